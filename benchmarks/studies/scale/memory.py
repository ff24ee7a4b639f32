"""Measure what packing and unpacking take in memory, for checkpoints of several sizes.

    python -m benchmarks.studies.scale.memory SCRATCH [SIZE ...] [--max-memory 300MB]

For each size, such as 500MB, a synthetic checkpoint is made in the folder SCRATCH, packed and unpacked, each by a
process of its own, and compared; the scratch files are removed. Prints `benchmarks/results/scale_memory.md`: the
largest resident set of each process as the system counts it, its time, and the sizes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.studies.scale import checkpoint
from dcz.convert.shards import parse_size

TITLE = """# Memory out of core

The largest resident set of each process, Python and libraries included, and its wall-clock time.
"""


def run(*arguments: str) -> tuple[float, float]:
    """Run the `dcz` command; return its largest resident set in MB, and its seconds."""
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "dcz", *arguments], os.environ)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"dcz {' '.join(arguments)}: exit status {status}")
    return usage.ru_maxrss / 1000, time.perf_counter() - began


def measure(scratch: Path, size: int, bound: str) -> str:
    """Return the row of one size."""
    source = scratch / "source"
    index = source / checkpoint.INDEX
    # By a process of its own: what this one takes counts as taken by those that it starts.
    make = [sys.executable, "-m", "benchmarks.studies.scale.checkpoint", str(source), str(size)]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    largest = max(each.nbytes for each in checkpoint.matrices(size))
    options = ["--quiet", "--max-memory", bound]
    found = [run("pack", str(index), str(scratch / "packed.dcz"), *options)]
    found.append(run("verify", str(scratch / "packed.dcz"), "--quiet"))
    found.append(run("unpack", str(scratch / "packed.dcz"), str(scratch / "again.safetensors"), *options))
    run("diff", str(index), str(scratch / "again.safetensors"), "--quiet")
    shutil.rmtree(source)
    stored = os.path.getsize(scratch / "packed.dcz")
    for name in ("packed.dcz", "again.safetensors"):
        (scratch / name).unlink()
    cells = [f"{memory:.0f} MB, {seconds:.0f} s" for memory, seconds in found]
    return f"| {size / 1e9:g} GB | {largest / 1e6:.0f} MB | {stored / 1e6:.0f} MB | {' | '.join(cells)} |"


def main() -> None:
    """Measure the sizes of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("sizes", type=parse_size, nargs="*", default=[2 * 10**9, 5 * 10**9, 10 * 10**9])
    parser.add_argument("--max-memory", default="300MB")
    args = parser.parse_args()
    print(TITLE)
    print(f"| tensors | largest | packed | pack --max-memory {args.max_memory} | verify | unpack, likewise |")
    print("|---|---|---|---|---|---|")
    for size in args.sizes:
        print(measure(args.scratch, size, args.max_memory), flush=True)


if __name__ == "__main__":
    main()
