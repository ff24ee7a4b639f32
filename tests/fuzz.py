"""Hostile input for the kernels: valid jobs with numbers and bits changed at random, checksums made right again.

Whatever comes in, a kernel either decodes or refuses; it never leaves its buffers. That shows under the
sanitizers (see .ci/run). As a campaign:

    python tests/fuzz.py 100000
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import dcz
from dcz import kernels
from dcz.container.file import OpenFile
from dcz.kernels.interface import I64, JOB_FIELDS, MAX_ROW, ROW_HEAD, XOR, KernelError, Kernels
from dcz.kernels.pure.jobs import CODEBOOK

_NOTHING = np.zeros(0, np.uint8)
_PAIRS = np.arange(64)
_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    63,
    64,
    65,
    255,
    256,
    511,
    512,
    513,
    4096,
    65535,
    65536,
    1 << 20,
    1 << 31,
    1 << 32,
    1 << 62,
    -1,
    -64,
)


def corpus(seed: int) -> list[bytes]:
    """Small files that between them use every layout, code and word size."""
    rng = np.random.default_rng(seed)
    files = []
    for dtype, weights in (("float32", 9000), ("float16", 5000), ("int64", 3000), ("uint8", 4000), ("float32", 700)):
        for density, k in ((0.08, 12), (0.5, 256), (1.0, 16), (0.3, 0), (0.97, 300)):
            word = np.dtype(dtype).itemsize
            values = rng.integers(1, 256, (weights, word), dtype=np.uint8).view(f"u{word}").reshape(-1)
            if k:
                values = values[:k][rng.integers(0, k, weights)]
            values = np.where(rng.random(weights) < density, values, 0).astype(f"u{word}")
            for profile in ("auto", "csr", "bitmap", "dense", "paper"):
                files.append(dcz.save({"t": values.view(dtype)}, profile=profile, threads=1))
    return files


class Case:
    """The jobs of one file, to be changed."""

    def __init__(self, file: bytes) -> None:
        store = OpenFile(file)
        entry = store.index.entries["t"]
        self.columns = store.index.columns.kernel
        self.jobs = store.decoder._jobs.copy()
        self.data = np.frombuffer(file, np.uint8)[entry.offset : entry.offset + entry.size].copy()
        self.out = entry.nbytes

    def run(self, kernel: Kernels) -> str:
        """What came of it: "ok" or the kernel's reason."""
        out = np.zeros(self.out, np.uint8)
        return self._end(kernel.run_jobs, self.jobs, self.columns, _NOTHING, self.data, [out])

    def change(self, kernel: Kernels, rng: random.Random) -> None:
        """The same as changes of a base of zeros, which gives the same words, or is refused as well; then with numbers
        that are invalid, and as a list: harmless."""
        decoded, changed = np.zeros(self.out, np.uint8), np.zeros(self.out, np.uint8)
        plain = self._end(kernel.run_jobs, self.jobs, self.columns, _NOTHING, self.data, [decoded])
        numbers = np.array([[XOR, 0, 0, -1]])
        found = self._end(kernel.change_jobs, self.jobs, self.columns, _NOTHING, self.data, numbers, _PAIRS, [changed])
        assert (found == "ok") == (plain == "ok"), (plain, found)
        if plain == "ok":
            assert decoded.tobytes() == changed.tobytes()
        numbers = np.array([[rng.choice((*range(-1, 6), *_NUMBERS)) for _ in range(4)]])
        self._end(kernel.change_jobs, self.jobs, self.columns, _NOTHING, self.data, numbers, _PAIRS, [changed])
        self._end(kernel.list_job, self.jobs[0], self.columns, _NOTHING, self.data, rng.randint(0, 9000))

    @staticmethod
    def _end(work: Callable[..., object], *arguments: object) -> str:
        try:
            work(*arguments)
        except KernelError as error:
            return error.status.name
        except (ValueError, MemoryError, OverflowError) as error:  # the binding's own checks of shapes and sizes
            return type(error).__name__
        return "ok"

    def mutate(self, rng: random.Random) -> None:
        """Changes one to four things."""
        for _ in range(rng.randint(1, 4)):
            rng.choice((self._bits, self._bits, self._row, self._row, self._job, self._column, self._shorten))(rng)
        self._fix_checksums()

    def _bits(self, rng: random.Random) -> None:
        if len(self.data):
            for _ in range(rng.randint(1, 8)):
                self.data[rng.randrange(len(self.data))] ^= 1 << rng.randrange(8)

    def _row(self, rng: random.Random) -> None:
        self._change("rows", rng)

    def _column(self, rng: random.Random) -> None:
        name = rng.choice(("counts", "numbers", "books", "records"))
        self._change(name, rng)

    def _change(self, name: str, rng: random.Random) -> None:
        column = getattr(self.columns, name).copy()
        if len(column):
            at = rng.randrange(len(column))
            if column.dtype == np.uint8:
                column[at] ^= 1 << rng.randrange(8)
            else:
                column[at] = rng.choice((int(column[at]) + rng.randint(-3, 3), rng.choice(_NUMBERS)))
            self.columns = replace(self.columns, **{name: column})

    def _job(self, rng: random.Random) -> None:
        at = rng.randrange(len(JOB_FIELDS))
        self.jobs[0, at] = rng.choice((int(self.jobs[0, at]) + rng.randint(-2, 2), rng.choice(_NUMBERS)))

    def _shorten(self, rng: random.Random) -> None:
        if rng.random() < 0.5:
            self.out = rng.randint(0, self.out)
        else:
            self.data = self.data[: rng.randint(0, len(self.data))].copy()

    def _fix_checksums(self) -> None:
        """Makes the checksums right wherever rows and bytes still make sense."""
        job = dict(zip(JOB_FIELDS, self.jobs[0].tolist()))
        width = ROW_HEAD + 2 * (job["planes"] + (job["positions"] != 0) + (job["positions"] == 16))
        rows, books = self.columns.rows.copy(), self.columns.books.copy()
        crc = kernels.active().crc32c
        at = 0
        numbers = self._book(job, books)
        if numbers is not None:
            at = int(np.clip(numbers[2::2], 0, len(self.data)).sum())
            numbers[0] = crc(np.ascontiguousarray(self.data[:at]))
        for k in range(min(max(job["count"], 0), 64)):
            start = job["rows"] + k * width
            row = rows[start : start + width] if start >= 0 else rows[:0]
            if len(row) < width or width < ROW_HEAD + 2:
                break
            size = int(np.clip(row[ROW_HEAD + 1 :: 2], 0, len(self.data)).sum())
            row[2] = crc(np.ascontiguousarray(self.data[at : at + size]))
            at += size
        self.columns = replace(self.columns, rows=rows, books=books)

    @staticmethod
    def _book(job: dict[str, int], books: I64) -> I64 | None:
        """The part of the books' column that is the job's codebook: a CRC-32C, then a code and a length for each row of
        each byte plane. None where it has no such part."""
        if job["values"] != CODEBOOK or job["word"] not in (2, 4, 8) or job["group"] < 1 or job["book"] < 0:
            return None
        words = max(-(-job["weights"] // job["group"]), 1) * job["entries"]
        length = 1 + 2 * job["word"] * -(-words // MAX_ROW)
        part = books[job["book"] : job["book"] + length]
        return part if 0 < length == len(part) else None


def campaign(cases: int, seed: int, kernel: Kernels) -> dict[str, int]:
    """Runs that many cases; returns how many ended how."""
    files, rng = corpus(seed), random.Random(seed)
    ends: dict[str, int] = {}
    for _ in range(cases):
        case = Case(rng.choice(files))
        case.mutate(rng)
        end = case.run(kernel)
        case.change(kernel, rng)
        ends[end] = ends.get(end, 0) + 1
    return ends


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for kernel_set in kernels.available().values():
        if kernel_set.name != "pure":
            print(kernel_set.name, dict(sorted(campaign(count, 0, kernel_set).items())))
