"""Generated files, decoded alike by all readers: valid ones, ones with a rule broken, ones with a stored bit changed.

Those of `spec/generate.py`, by each kernel set, the reference decoder, and the C reader; by 1 and by 8 threads too.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from conformance import Reader, built_in, command
from generate import cases, difference

import dcz
from campaign import ROOT
from campaign.results import Result
from dcz import kernels

FULL, SHORT = 20_000, 40


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign; `seed` is the first file's."""
    result = Result({"first seed": seed})
    count = max(1, int((FULL if full else SHORT) * scale))
    readers: dict[str, Reader] = {name: built_in(name) for name in (*kernels.available(), "reference")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = _c_reader(folder)
        if program is not None:
            readers["C"] = command(f"{program} --json")
        result.figures["readers"] = ", ".join(readers)
        for number in range(seed, seed + count):
            for case in cases(number):
                kind, data, base, _ = case
                wrong = difference(case, readers, folder) or (kind == "valid" and _threads(data, base)) or ""
                if wrong:
                    result.fault(f"{kind} file of seed {number}: {wrong}")
                result.count(f"{kind} files")
    return result


def _c_reader(folder: Path) -> Path | None:
    """`dcz-cat`, where there are a C compiler and libzstd."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        return None
    c, out = ROOT / "codec" / "c", folder / "dcz-cat"
    sources = [c / "tools" / "dcz-cat.c", c / "dcz.c", c / "dcz_zstd.c"]
    flags = ["-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L"]
    done = subprocess.run([compiler, *flags, "-o", out, *sources, "-lzstd"], capture_output=True)
    return out if done.returncode == 0 else None


def _threads(data: bytes, base: bytes) -> str:
    """What differs between 1 and 8 threads."""
    found = []
    for threads in (1, 8):
        try:
            arrays = dcz.load_file(data, base=dcz.load(base) if base else None, threads=threads)
        except dcz.UnsupportedError:
            found.append({})
            continue
        found.append({name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()})
    return "" if found[0] == found[1] else "1 and 8 threads load other words"
