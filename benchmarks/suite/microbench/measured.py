"""Measurements that need a process of their own: memory peaks, start-up, what a slice reads."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.suite import inputs
from benchmarks.suite.harness import process
from benchmarks.suite.harness.workers import ROOT

_STARTS = 15
_SLICES = (1, 1 / 4, 1 / 16, 1 / 64)
_SLICE_RUNS = 5


def run_apart(what: str, *arguments: object) -> dict:
    """A function of this module, in a fresh process."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.suite.microbench.measured", what, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def load_peak(path: str) -> dict:
    """Peak resident memory of `load_file` above what `import dcz` and its kernels have taken."""
    import dcz
    from dcz import kernels, numpy  # noqa: F401

    kernels.active()
    tensors, peak = process.peak_of(lambda: dcz.load_file(path))
    return {"peak": peak, "decoded": sum(array.nbytes for array in tensors.values())}


def save_peak(name: str, folder: str) -> dict:
    """Peak resident memory of `save_file` above the model's arrays, which are there before."""
    import dcz
    from dcz import kernels, numpy  # noqa: F401

    kernels.active()
    tensors = {key: np.array(array) for key, array in inputs.open_prepared(name, Path(folder)).tensors.items()}
    target = Path(folder) / "peak.dcz"
    _, peak = process.peak_of(lambda: dcz.save_file(tensors, target))
    target.unlink()
    return {"peak": peak, "largest": max(array.nbytes for array in tensors.values())}


class _Counting(io.FileIO):
    """A file that knows how much has been read of it."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        part = super().read(size)
        self.taken += len(part)
        return part


def slices(path: str) -> dict:
    """For leading parts of the file's largest tensor: bytes read and seconds, beside the whole of it."""
    import dcz

    found = []
    with _Counting(path) as file, dcz.open(file) as reader:
        name = max(reader, key=lambda each: reader.info(each).nbytes)
        info = reader.info(name)
        for part in _SLICES:
            rows = max(1, round(info.shape[0] * part))
            seconds = []
            for _ in range(_SLICE_RUNS):
                before, start = file.taken, time.perf_counter()
                reader.get_slice(name)[:rows]
                seconds.append(time.perf_counter() - start)
            found.append({"part": rows / info.shape[0], "read": file.taken - before, "seconds": median(seconds)})
        chunks = len(info.layout.crc32c)
    return {"tensor": name, "stored": info.stored, "nbytes": info.nbytes, "chunks": chunks, "slices": found}


def write_small(path: Path) -> None:
    """A file of a few small tensors."""
    import dcz

    dcz.save_file({f"tensor{number}": np.arange(100.0) for number in range(10)}, path)


def start_up(path: Path, starts: int = _STARTS) -> dict[str, float]:
    """Seconds of whole processes, medians in turns: an empty one, `import numpy`, `import dcz`, `dcz inspect FILE`."""
    commands = {
        "python": ["-c", "pass"],
        "import numpy": ["-c", "import numpy"],
        "import dcz": ["-c", "import dcz"],
        "import dcz, dcz.api": ["-c", "import dcz; dcz.load_file"],
        "dcz inspect": ["-m", "dcz", "inspect", str(path)],
    }
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(starts):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True, env=os.environ)
            runs[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in runs.items()}


_APART: dict[str, Callable[..., dict]] = {"load_peak": load_peak, "save_peak": save_peak, "slices": slices}

if __name__ == "__main__":
    print(json.dumps(_APART[sys.argv[1]](*sys.argv[2:])))
