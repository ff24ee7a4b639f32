"""Pictures of one tensor: where its nonzeros are, and how its values are distributed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dcz.report.tensor import Histogram, Picture
from dcz.tensor.words import WordSource, blocks_of

# Values that a histogram counts at most: a larger tensor is sampled at even distances.
_SAMPLE = 1 << 20
_BINS = 64
# Standard deviations from the mean that a histogram reaches at most: a few outliers would leave one full bin.
_REACH = 6.0


def picture(words: WordSource, cells: int) -> Picture | None:
    """Density over the matrix of the first dimension by all others; None where there is nothing to see."""
    if len(words.shape) < 2 or words.count == 0:
        return None
    rows = words.shape[0]
    columns = words.count // rows
    across = min(cells, columns)
    edges = np.arange(across) * columns // across
    ones_of = _ones_held(words, columns, edges) if words.held else _ones_read(words, columns, edges)
    out = []
    for part in np.array_split(np.arange(rows), min(cells, rows)):
        # At most eight to fifteen rows of a band: a picture needs no more.
        band = range(part[0], part[-1] + 1, max(1, len(part) // 8))
        weights = len(band) * np.diff(np.append(edges, columns))
        out.append(np.rint(255 * ones_of(band) / weights).astype(np.uint8))
    return Picture(len(out), across, np.stack(out).tobytes())


# Returns the nonzeros of rows in each cell.
_OnesOf = Callable[[range], NDArray[np.int64]]


def _ones_held(words: WordSource, columns: int, edges: NDArray[np.int64]) -> _OnesOf:
    matrix = np.frombuffer(words.part(0, words.count), f"<u{words.dtype.word}").reshape(-1, columns)

    def ones(band: range) -> NDArray[np.int64]:
        block = matrix[band.start : band.stop : band.step] != 0
        return np.add.reduceat(np.count_nonzero(block, axis=0), edges)

    return ones


def _ones_read(words: WordSource, columns: int, edges: NDArray[np.int64]) -> _OnesOf:
    """Rows are read one by one, long ones in pieces."""

    def ones(band: range) -> NDArray[np.int64]:
        out = np.zeros(len(edges), np.int64)
        for row in band:
            for first in range(0, columns, words.block):
                last = min(first + words.block, columns)
                data = words.part(row * columns + first, row * columns + last)
                low = int(np.searchsorted(edges, first, "right")) - 1
                high = int(np.searchsorted(edges, last, "left"))
                starts = np.maximum(edges[low:high], first) - first
                out[low:high] += np.add.reduceat(np.frombuffer(data, f"<u{words.dtype.word}") != 0, starts, dtype=int)
        return out

    return ones


def histogram(words: WordSource, nonzeros: int) -> Histogram | None:
    """Distribution of the nonzero values, of a large tensor of a sample; None where no value is a finite number.

    A value that is not finite, or six standard deviations from the mean, is counted in `outside`."""
    if not nonzeros:
        return None
    values = _values(words)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    with np.errstate(all="ignore"):
        low, high = float(finite.min()), float(finite.max())
        center, spread = float(finite.mean()), float(finite.std())
        if np.isfinite(spread):
            low, high = max(low, center - _REACH * spread), min(high, center + _REACH * spread)
        if not low < high:
            low, high = low - abs(low) / 2, high + abs(high) / 2
        place = np.floor((finite - low) / (high - low) * _BINS)
    if not np.isfinite(place).all():  # the ends are too near each other, or too far apart
        return None
    counts = np.bincount(np.minimum(place[(low <= finite) & (finite <= high)], _BINS - 1).astype(np.int64))
    counts = np.pad(counts, (0, _BINS - len(counts)))
    return Histogram(low, high, tuple(counts.tolist()), int(values.size - counts.sum()))


def _values(words: WordSource) -> NDArray[np.float64]:
    """The nonzero words as numbers; of a complex tensor its parts."""
    dtype = words.dtype
    step = -(-words.count // _SAMPLE) | 1 if words.count > _SAMPLE else 1  # odd: no column is sampled alone
    parts = []
    for first, last in blocks_of(words):
        part = np.frombuffer(words.part(first, last), f"<u{dtype.word}")[-first % step :: step]
        parts.append(part[part != 0])
    plain = np.concatenate(parts)
    numbers = plain.view(f"<f{dtype.word}") if dtype.words == 2 else plain.view(dtype.numpy())
    with np.errstate(all="ignore"):
        return numbers.astype(np.float64)
