"""Symbols of one stream of a tensor, one row per chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import I64, SYMBOLS, U8

# Returns the symbols of rows [first, last). A memo is for one such range: streams that are made together share it.
Make = Callable[[int, int, "dict[int, list[U8]]"], U8]


class Symbols:
    """Symbols in rows. `data` holds all rows in order; row r of `rows` is `data[bounds[r]:bounds[r + 1]]`.

    Symbols of a tensor larger than memory are not held in `data`: `part` makes some of their rows, at most `step`."""

    __slots__ = ("_histograms", "_make", "bounds", "data", "rows", "step")

    def __init__(self, data: U8, bounds: I64, histograms: NDArray[np.uint32] | None = None) -> None:
        self.data, self.bounds, self.rows = data, bounds, len(bounds) - 1
        self._histograms = histograms
        self._make: Make | None = None
        self.step = self.rows

    @staticmethod
    def made(make: Make, bounds: I64, histograms: NDArray[np.uint32], step: int) -> Symbols:
        """Return symbols that are made when they are asked for, at most `step` rows at a time."""
        symbols = Symbols(np.empty(0, np.uint8), bounds, histograms)
        symbols._make, symbols.step = make, step
        return symbols

    @staticmethod
    def even(data: U8, chunk: int) -> Symbols:
        """Return rows of `chunk` symbols; the last may be shorter."""
        if 0 < len(data) <= chunk:
            return Symbols.one_row(data)
        return Symbols(data, np.append(np.arange(0, len(data), chunk, dtype=np.int64), np.int64(len(data))))

    @staticmethod
    def one_row(data: U8) -> Symbols:
        """Return all symbols in one row."""
        return Symbols(data, np.array([0, len(data)], np.int64))

    @staticmethod
    def counted(data: U8, counts: I64) -> Symbols:
        """Return rows of the given lengths."""
        if len(counts) == 1:
            return Symbols.one_row(data)
        return Symbols(data, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @property
    def held(self) -> bool:
        """Whether the symbols are held in memory, and not made when they are asked for."""
        return self._make is None

    @property
    def count(self) -> int:
        """The number of symbols."""
        return int(self.bounds[-1])

    def part(self, first: int, last: int, memo: dict[int, list[U8]] | None = None) -> tuple[U8, I64]:
        """Return symbols with the rows [first, last) among them, and where these rows begin and end there."""
        bounds = self.bounds[first : last + 1]
        if self._make is None:
            return self.data, bounds
        return self._make(first, last, {} if memo is None else memo), bounds - bounds[0]

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows: all at once where they are held, else as many as are made at a time."""
        for first in range(0, self.rows, max(self.step, 1)):
            yield first, min(first + self.step, self.rows)

    def between(self, start: int, stop: int) -> U8:
        """Return the symbols [start, stop), counted over all rows."""
        if self._make is None:
            return self.data[start:stop]
        pieces = []
        first = int(np.searchsorted(self.bounds, start, "right")) - 1
        while first < self.rows and self.bounds[first] < stop:
            data, bounds = self.part(first, first + 1)
            at = int(self.bounds[first])
            pieces.append(data[max(start - at, 0) : min(stop - at, int(bounds[1]))])
            first += 1
        return np.concatenate(pieces)

    def histograms_of(self, edges: I64) -> NDArray[np.uint32]:
        """Return the counts of each symbol between every two of `edges`, which ascend from 0 to the end: rows other
        than the symbols' own."""
        out = np.zeros((len(edges) - 1, SYMBOLS), np.uint32)
        for first, last in self.blocks():
            data, own = self.part(first, last)
            begin, end = int(self.bounds[first]), int(self.bounds[last])
            if begin == end:
                continue
            low = int(np.searchsorted(edges, begin, "right")) - 1
            high = int(np.searchsorted(edges, end, "left"))
            clipped = np.clip(edges[low : high + 1], begin, end) - begin + int(own[0])
            out[low:high] += kernels.active().histograms(data, np.ascontiguousarray(clipped))
        return out

    @property
    def counts(self) -> I64:
        """The number of symbols of each row."""
        return np.diff(self.bounds)

    @property
    def histograms(self) -> NDArray[np.uint32]:
        """Counts of each symbol in each row, shape (rows, 256); computed once."""
        if self._histograms is None:
            self._histograms = kernels.active().histograms(self.data, self.bounds)
        return self._histograms

    @property
    def released(self) -> bool:
        """Whether the symbols are released; their number and histograms are still known."""
        return self._make is None and len(self.data) < int(self.bounds[-1])

    def release(self) -> None:
        """Release the memory of the symbols."""
        assert self.histograms is not None  # while they can still be counted
        self.data = np.empty(0, np.uint8)
