"""The compiled kernels behind the interface: allocates what they fill, raises what they refuse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.kernels import _native
from dcz.kernels.interface import I64, JOB_FIELDS, LANES, SYMBOLS, U8, Columns, KernelError, Scan, Status

WORD = JOB_FIELDS.index("word")


def _check(status: int, row: int = 0) -> None:
    if status:
        raise KernelError(Status(status), row)


class NativeKernels:
    """One compiled kernel set: `portable`, `avx2` or `avx512`."""

    def __init__(self, kernel_set: _native.KernelSet) -> None:
        self._set = kernel_set
        self.name = kernel_set.name
        self.check_codes = kernel_set.check_codes
        self.crc32c = kernel_set.crc32c  # the one call that is short enough to notice a wrapper

    def crc32c_rows(self, data: U8, bounds: I64) -> NDArray[np.uint32]:
        out = np.empty(len(bounds) - 1, np.uint32)
        self._set.crc32c_rows(data, bounds, out)
        return out

    def histograms(self, symbols: U8, bounds: I64) -> NDArray[np.uint32]:
        out = np.empty((len(bounds) - 1, SYMBOLS), np.uint32)
        self._set.histograms(symbols, bounds, out)
        return out

    def code_lengths(self, histogram: NDArray[np.uint64], limit: int) -> U8:
        out = np.empty(SYMBOLS, np.uint8)
        _check(self._set.code_lengths(histogram, limit, out))
        return out

    def lane_sizes(self, symbols: U8, bounds: I64, use: U8, codes: U8) -> I64:
        out = np.empty((len(use), LANES), np.int64)
        _check(*self._set.lane_sizes(symbols, bounds, use, codes, out))
        return out

    def encode(self, symbols: U8, bounds: I64, use: U8, codes: U8, lanes: I64, out: U8, offsets: I64) -> None:
        _check(*self._set.encode(symbols, bounds, use, codes, lanes, out, offsets))

    def decode(self, record: U8, data: U8, out: U8) -> None:
        _check(self._set.decode(record, data, out))

    def scan(self, words: U8, word: int, limit: int) -> Scan | None:
        n = len(words) // word
        slots = np.empty(1 << (4 * limit - 1).bit_length(), np.uint32)
        keys = np.empty(limit, np.uint64)
        bitmap = np.empty(-(-n // 8), np.uint8)
        ids = np.empty(n, np.uint8 if limit <= SYMBOLS else np.uint16)
        status, found, nonzeros = self._set.scan(
            words, word, limit, keys, slots, bitmap, ids.view(np.uint8), ids.itemsize
        )
        if status == Status.FULL:
            return None
        _check(status)
        return Scan(keys[:found], ids[:nonzeros], bitmap)

    def bitmap(self, words: U8, word: int) -> tuple[U8, int]:
        out = np.empty(-(-len(words) // (8 * word)), np.uint8)
        return out, self._set.bitmap(words, word, out)

    def nonzeros(self, words: U8, word: int, count: int) -> U8:
        out = np.empty(count * word, np.uint8)
        self._set.nonzeros(words, word, out)
        return out

    def split(self, words: U8, word: int, rotate: bool) -> NDArray[np.uint8]:
        out = np.empty((word, len(words) // word), np.uint8)
        self._set.split(words, word, rotate, out)
        return out

    def merge(self, planes: NDArray[np.uint8], rotate: bool) -> U8:
        out = np.empty(planes.size, np.uint8)
        self._set.merge(planes, rotate, out)
        return out

    def gaps(self, bitmap: U8, weights: int, chunk: int, bits: int, count: int) -> tuple[U8, I64]:
        out = np.empty((count + weights // ((1 << bits) - 1)) * (2 if bits == 16 else 1), np.uint8)
        entries = np.empty(-(-weights // chunk), np.int64)
        status, written = self._set.gaps(bitmap, weights, chunk, bits, out, entries)
        _check(status)
        return out[: written * (2 if bits == 16 else 1)], entries

    def codebook(self, columns: Columns, book: int, word: int, rotate: bool, count: int, entries: int, data: U8) -> U8:
        out = np.empty(count * entries * word, np.uint8)
        _check(self._set.codebook(columns.records, columns.books, book, rotate, count, entries, data, out, word))
        return out

    def run_jobs(self, jobs: NDArray[np.int64], columns: Columns, words: U8, data: U8, out: list[U8]) -> None:
        c = columns
        status, job, chunk = self._set.run_jobs(jobs, c.records, c.counts, c.numbers, c.rows, c.books, words, data, out)
        if status:
            raise KernelError(Status(status), chunk, job)

    def compare(self, now: U8, base: U8, word: int, transform: int, magnitude: bool) -> tuple[U8, U8]:
        bitmap = np.empty(-(-len(now) // (8 * word)), np.uint8)
        out = np.empty(len(now), np.uint8)  # of memory that nothing is written to, nothing is used
        status, count = self._set.compare(now, base, word, transform, magnitude, bitmap, out)
        _check(status)
        return bitmap, out[: count * word].copy() if count * word < len(out) else out

    def change_jobs(
        self,
        jobs: NDArray[np.int64],
        columns: Columns,
        words: U8,
        data: U8,
        changes: NDArray[np.int64],
        crcs: I64,
        out: list[U8],
    ) -> None:
        c = columns
        status, job, chunk = self._set.change_jobs(
            jobs, changes, crcs, c.records, c.counts, c.numbers, c.rows, c.books, words, data, out
        )
        if status:
            raise KernelError(Status(status), chunk, job)

    def list_job(self, job: I64, columns: Columns, words: U8, data: U8, count: int) -> tuple[I64, U8]:
        c = columns
        places, out = np.empty(count, np.int64), np.empty(count * int(job[WORD]), np.uint8)
        _check(*self._set.list_job(job, c.records, c.counts, c.numbers, c.rows, c.books, words, data, places, out))
        return places, out


def sets() -> list[NativeKernels]:
    """The kernel sets this machine runs, the fastest last."""
    return [NativeKernels(s) for s in _native.kernel_sets()]
