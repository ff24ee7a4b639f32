"""Memory and time of converting a sharded checkpoint, made here: `dcz pack` and `dcz unpack` in processes of their own.

    python benchmarks/studies/converting.py [GIGABYTES] [FOLDER]

The checkpoint is a transformer's in bfloat16, of 2 GB by default: an embedding (its largest tensor) and blocks, in
files of 500 MB. The bound for the peak of resident memory is twice the largest tensor and 200 MB.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

from dcz.convert import open_target
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES

SHARD = 500_000_000
ALLOWED = 200_000_000
_PIECE = 1 << 20


def checkpoint(gigabytes: float) -> dict[str, tuple[int, int]]:
    """Names to shapes: an eighth is the embedding, the rest matrices of 32 MB and less."""
    width = 2048
    shapes = {"model.embed_tokens.weight": (round(gigabytes * 1e9 / 8 / 2 / width), width)}
    left = gigabytes * 1e9 - 2 * width * shapes["model.embed_tokens.weight"][0]
    block = {
        "q_proj": (width, width),
        "k_proj": (width // 4, width),
        "up_proj": (4 * width, width),
        "down_proj": (width, 4 * width),
    }
    for number in range(round(left / sum(2 * a * b for a, b in block.values()))):
        shapes |= {f"model.layers.{number}.{name}.weight": shape for name, shape in block.items()}
    return dict(sorted(shapes.items()))


def weights(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Gaussian weights, drawn in pieces so that making them takes no more memory than they have."""
    rng = np.random.Generator(np.random.SFC64(seed))
    out = np.empty(shape[0] * shape[1], ml_dtypes.bfloat16)
    for at in range(0, len(out), _PIECE):
        part = out[at : at + _PIECE]
        part[:] = (0.02 * rng.standard_normal(len(part), np.float32)).astype(ml_dtypes.bfloat16)
    return out.reshape(shape)


def make(path: Path, shapes: dict[str, tuple[int, int]]) -> None:
    """Writes the checkpoint, tensor by tensor."""
    target = open_target(path, shard_size=SHARD)
    target.begin([Tensor(name, DTYPES["BF16"], shape) for name, shape in shapes.items()], {}, {"format": "pt"})
    for seed, (name, shape) in enumerate(shapes.items()):
        target.add(name, weights(shape, seed))
    target.close()


def measured(*command: object) -> tuple[float, int]:
    """Seconds that `dcz` takes, and the most memory that was resident in it."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "dcz", *map(str, command)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"dcz {command[0]} failed")
    return time.perf_counter() - start, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def runs(folder: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """What is measured, in this order."""
    source, packed = folder / "model.safetensors.index.json", folder / "packed.dcz.index.json"
    yield "shards to one dcz file", ("pack", source, folder / "one.dcz")
    yield "shards to dcz shards", ("pack", source, packed, "--shard-size", "500MB")
    yield (
        "dcz shards to safetensors shards",
        ("unpack", packed, "-o", folder / "back.safetensors.index.json", "--shard-size", "500MB"),
    )
    yield "diff of the first and the last", ("diff", source, folder / "back.safetensors.index.json")


def main(gigabytes: float, folder: Path) -> None:
    """Makes, converts, prints one line a run, and ends with an error where a peak is beyond the bound."""
    shapes = checkpoint(gigabytes)
    total, largest = (f(2 * a * b for a, b in shapes.values()) for f in (sum, max))
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss == 0:
        raise SystemExit("this system does not tell how much memory was resident")
    make(folder / "model.safetensors.index.json", shapes)
    bound = 2 * largest + ALLOWED
    print(
        f"{len(shapes)} tensors, {total / 1e9:.2f} GB, the largest {largest / 1e6:.0f} MB; bound {bound / 1e6:.0f} MB"
    )
    results = []
    for label, command in runs(folder):
        seconds, peak = measured(*command)
        results.append({"run": label, "seconds": round(seconds, 1), "peak_bytes": peak, "bound_bytes": bound})
        print(f"{label:34} {seconds:6.1f} s  {total / seconds / 1e6:5.0f} MB/s  peak {peak / 1e6:5.0f} MB", flush=True)
    (folder / "converting.json").write_text(json.dumps(results, indent=2))
    if any(each["peak_bytes"] > bound for each in results):
        raise SystemExit("a peak is beyond the bound")


if __name__ == "__main__":
    size = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    if len(sys.argv) > 2:
        Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
        main(size, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(size, Path(scratch))
