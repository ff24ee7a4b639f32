"""Pictures of one tensor: where its nonzeros are, and how its values are distributed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.report.tensor import Histogram, Picture
from dcz.tensor import Words

# Values that a histogram counts at most: a larger tensor is sampled at even distances.
_SAMPLE = 1 << 20
_BINS = 64
# Standard deviations from the mean that a histogram reaches at most: a few outliers would leave one full bin.
_REACH = 6.0


def picture(words: Words, cells: int) -> Picture | None:
    """Density over the matrix of the first dimension by all others; None where there is nothing to see."""
    if len(words.shape) < 2 or words.count == 0:
        return None
    rows = words.shape[0]
    matrix = np.frombuffer(words.data, f"<u{words.dtype.word}").reshape(rows, -1)
    columns = matrix.shape[1]
    across = min(cells, columns)
    out = []
    for part in np.array_split(np.arange(rows), min(cells, rows)):
        # At most eight to fifteen rows of a band: a picture needs no more.
        block = matrix[part[0] : part[-1] + 1 : max(1, len(part) // 8)] != 0
        edges = np.arange(across) * columns // across
        ones = np.add.reduceat(np.count_nonzero(block, axis=0), edges)
        weights = len(block) * np.diff(np.append(edges, columns))
        out.append(np.rint(255 * ones / weights).astype(np.uint8))
    return Picture(len(out), across, np.stack(out).tobytes())


def histogram(words: Words, nonzeros: int) -> Histogram | None:
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


def _values(words: Words) -> NDArray[np.float64]:
    """The nonzero words as numbers; of a complex tensor its parts."""
    dtype = words.dtype
    plain = np.frombuffer(words.data, f"<u{dtype.word}")
    step = -(-plain.size // _SAMPLE) | 1 if plain.size > _SAMPLE else 1  # odd: no column is sampled alone
    plain = np.ascontiguousarray(plain[::step])
    plain = plain[plain != 0]
    numbers = plain.view(f"<f{dtype.word}") if dtype.words == 2 else plain.view(dtype.numpy())
    with np.errstate(all="ignore"):
        return numbers.astype(np.float64)
