"""Symbols of one stream of a tensor, one row per chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import I64, U8


class Symbols:
    """Symbols in rows. `data` holds all rows in order; row r of `rows` is `data[bounds[r]:bounds[r + 1]]`."""

    __slots__ = ("_histograms", "bounds", "data", "rows")

    def __init__(self, data: U8, bounds: I64, histograms: NDArray[np.uint32] | None = None) -> None:
        self.data, self.bounds, self.rows = data, bounds, len(bounds) - 1
        self._histograms = histograms

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
        return len(self.data) < int(self.bounds[-1])

    def release(self) -> None:
        """Release the memory of the symbols."""
        assert self.histograms is not None  # while they can still be counted
        self.data = np.empty(0, np.uint8)
