"""Measure opening, loading and slicing of models in many shards, on one machine.

    python -m benchmarks.studies.scale.loading SCRATCH [--shard-size 200MB] [--rounds 5]

SCRATCH should be a folder in memory, such as one in /dev/shm. A synthetic checkpoint is made there and packed, loaded
by one thread and by all, into fresh memory and into arrays that exist, and cut into eighths. Then 200,000 small tensors
are saved in one file and in 1,000 shards, and opened. Prints `benchmarks/results/scale_loading.md`; the scratch files
are removed. Times are the shortest of the rounds, which alternate.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import dcz
from benchmarks.studies.scale import checkpoint
from dcz.container.shards import ShardIndex
from dcz.container.threads import thread_count

SIZE = 2_000_000_000
SHARDS, EACH = 1000, 200


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(rounds: int, works: Mapping[Any, Callable[[], object]]) -> dict[Any, float]:
    """Return the shortest time of each call, of rounds in which they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for key, work in works.items():
            best[key] = min(best[key], seconds(work))
    return best


def loading(index: str, rounds: int) -> list[str]:
    """Return the section on threads, with what they would give on more cores."""
    cores = thread_count(None)
    out = dcz.load_file(index)
    total = sum(array.nbytes for array in out.values())
    copies = {name: array.copy() for name, array in out.items()}
    works: dict[Any, Callable[[], object]] = {"copy": lambda: [np.copyto(out[name], copies[name]) for name in out]}
    for threads in (1, cores):
        works["fresh", threads] = lambda threads=threads: dcz.load_file(index, threads=threads)
        works["warm", threads] = lambda threads=threads: dcz.load_file(index, threads=threads, out=out)
    best = interleaved(rounds, works)
    lines = [
        f"{total / 1e9:.2f} GB of tensors in {len(ShardIndex.read(index).files())} shards; a copy of them in memory "
        f"by one thread takes {1000 * best['copy']:.0f} ms ({total / best['copy'] / 1e9:.1f} GB/s).",
        "",
        f"| memory | one thread | {cores} threads | ratio | one after another | 16 cores | 64 cores |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in ("fresh", "warm"):
        one, many = best[kind, 1], best[kind, cores]
        serial = min(one, max(0.0, (cores * many - one) / (cores - 1))) if cores > 1 else one
        cells = [f"{1000 * one:.0f} ms, {total / one / 1e9:.2f} GB/s", f"{1000 * many:.0f} ms", f"{one / many:.2f}"]
        cells.append(f"{100 * serial / one:.0f} %")
        for wanted in (16, 64):
            cells.append(f"{1000 * (serial + (one - serial) / wanted):.0f} ms")
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, "", MODEL]


MODEL = """"One after another" is the part that threads do not shorten, by Amdahl's law from the two times: Python
between the kernels, page faults of one address space, and the memory's bandwidth, which the cores share. The last two
columns follow from it and are no measurements: on more cores the bandwidth may be the limit before that."""


class Counted(io.FileIO):
    """A file that counts what is read."""

    taken = 0

    def read(self, size: int | None = -1) -> Any:
        data = super().read(size)
        self.taken += len(data)
        return data


def slices(index: str, rounds: int) -> list[str]:
    """Return the section on eighths of one tensor of each kind."""
    lines = ["| tensor | the whole | an eighth of its rows | an eighth of its columns |", "|---|---|---|---|"]
    found = ShardIndex.read(index)
    for matrix in kinds(found.weight_map):
        path = found.locate(found.weight_map[matrix.name])
        with Counted(path) as file, dcz.open(file) as reader:  # type: ignore[arg-type]
            info, view = reader.info(matrix.name), reader.get_slice(matrix.name)
            rows, columns = (length // 8 for length in info.shape)
            works: dict[str, Callable[[], object]] = {
                "whole": partial(reader.get_tensor, matrix.name),
                "rows": partial(view.__getitem__, slice(3 * rows, 4 * rows)),
                "columns": partial(view.__getitem__, (slice(None), slice(3 * columns, 4 * columns))),
            }
            best, taken = interleaved(rounds, works), {}
            for key, work in works.items():
                file.taken = 0
                work()
                taken[key] = file.taken
        cells = [f"{1000 * best['whole']:.1f} ms, {taken['whole'] / 1e6:.1f} MB"]
        for key in ("rows", "columns"):
            share, read = best[key] / best["whole"], taken[key] / taken["whole"]
            cells.append(f"{1000 * best[key]:.1f} ms ({share:.3f}), {taken[key] / 1e6:.1f} MB ({read:.3f})")
        lines.append(f"| {'x'.join(map(str, info.shape))}, {matrix.kind} | {' | '.join(cells)} |")
    return [*lines, "", COLUMNS]


def kinds(names: Mapping[str, str]) -> list[checkpoint.Matrix]:
    """Return the first large matrix of each kind."""
    found: dict[str, checkpoint.Matrix] = {}
    for matrix in checkpoint.matrices(SIZE):
        if matrix.name in names and "proj" in matrix.name and matrix.nbytes > 100_000_000:
            found.setdefault(matrix.kind, matrix)
    return list(found.values())


COLUMNS = """In parentheses the share of the whole. Rows lie together: an eighth of them costs its share and at most the
two chunks at its ends. Columns are spread over all rows, so every chunk is read and decoded: a rank that wants columns
saves memory and no time. Store such a tensor transposed, or cut it before it is packed."""


def index_of_many(scratch: Path, rounds: int) -> list[str]:
    """Return the section on 200,000 tensors, in one file and in 1,000."""
    tensors = {f"model.layers.{n}.weight": np.full(4, n, np.float32) for n in range(SHARDS * EACH)}
    one = scratch / "one.dcz"
    saved = seconds(lambda: dcz.save_file(tensors, one, threads=1))
    parts = dcz.save_sharded(tensors, scratch, shard_size=EACH * 16, name="many")
    best = interleaved(rounds, {"one": lambda: dcz.open(one).close(), "many": lambda: dcz.open(parts).close()})
    code = (
        "import dcz, os, sys\n"
        "def taken(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        "dcz.open\nbefore, model = taken(), dcz.open(sys.argv[1])\n"
        "opened, files = taken() - before, len(os.listdir('/proc/self/fd'))\n"
        "model['model.layers.77.weight']\n"
        "print(opened // 1_000_000, len(os.listdir('/proc/self/fd')) - files)"
    )
    memory, files = subprocess.run(
        [sys.executable, "-c", code, parts], check=True, capture_output=True, text=True
    ).stdout.split()
    return [
        f"| {SHARDS * EACH:,} tensors of 16 bytes | |",
        "|---|---|",
        f"| saved in one file, by one thread | {1000 * saved / len(tensors):.3f} ms each |",
        f"| that file opened | {best['one']:.2f} s |",
        f"| the index of {SHARDS:,} files opened | {best['many']:.2f} s, {memory} MB |",
        f"| files that loading one tensor opens | {files} |",
    ]


def main() -> None:
    """Measure it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--shard-size", default="200MB")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    source, packed = options.scratch / "source", options.scratch / "packed"
    made = [sys.executable, "-m", "benchmarks.studies.scale.checkpoint", str(source), str(SIZE)]
    subprocess.run([*made, "--shard-size", options.shard_size], check=True, stdout=subprocess.DEVNULL)
    index = packed / "model.dcz.index.json"
    packed.mkdir()
    subprocess.run(
        [sys.executable, "-m", "dcz", "pack", "--quiet", str(source / checkpoint.INDEX), str(index),
         "--shard-size", options.shard_size],
        check=True,
    )  # fmt: skip
    shutil.rmtree(source)
    print("# Loading models in many files\n\nShortest times of alternating rounds on one machine.\n\n## Threads\n")
    print("\n".join(loading(str(index), options.rounds)))
    print("\n## Slices\n")
    print("\n".join(slices(str(index), options.rounds)))
    shutil.rmtree(packed)
    print("\n## Index\n")
    print("\n".join(index_of_many(options.scratch, options.rounds)))


if __name__ == "__main__":
    main()
