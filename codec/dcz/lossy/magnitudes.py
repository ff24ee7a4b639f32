"""Scores of weights, the larger the more worth keeping, and the score that a given number of them reaches.

The k-th largest of any number of weights is found exactly by counting digits of their bit patterns, which for
floats that are not negative are in the order of the values: two passes for float32, and no copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.flat import Stored, dot, flat, pieces

_DIGIT = 16


@dataclass(frozen=True, slots=True)
class Threshold:
    """Scores above `score` are kept, and the first `ties` of those that equal it."""

    score: float
    ties: int


def keys(array: NDArray[Any] | Stored, wide: bool) -> Iterator[NDArray[Any]]:
    """Bit patterns of the magnitudes, piece by piece; as float64 where `wide`."""
    for _, values in pieces(flat(array)):
        magnitude = np.abs(values.astype(np.float64, copy=False) if wide else values)
        yield magnitude.view(np.uint64 if wide else np.uint32)


def largest(sources: Callable[[], Iterator[NDArray[Any]]], wide: bool, keep: int) -> Threshold:
    """The threshold that leaves `keep` of the magnitudes in `sources()`, which is read once for every 16 bits."""
    prefix, ties = 0, keep
    bits = 64 if wide else 32
    for shift in range(bits - _DIGIT, -1, -_DIGIT):
        counts = np.zeros(1 << _DIGIT, np.int64)
        for found in sources():
            kind = found.dtype.type
            if shift + _DIGIT < bits:
                found = found[found >> kind(shift + _DIGIT) == kind(prefix)]
            digits = (found >> kind(shift) & kind((1 << _DIGIT) - 1)).astype(np.int64)
            counts += np.bincount(digits, minlength=1 << _DIGIT)
        above = np.cumsum(counts[::-1])
        at = int(np.searchsorted(above, ties))
        ties -= int(above[at - 1]) if at else 0
        prefix = prefix << _DIGIT | ((1 << _DIGIT) - 1 - at)
    score = np.array(prefix, np.uint64 if wide else np.uint32).view(np.float64 if wide else np.float32)
    return Threshold(float(score), ties)


def kept(array: NDArray[Any], threshold: Threshold) -> tuple[NDArray[np.bool_], int]:
    """Mask of the elements of a flat array that a threshold keeps (never zeros), and the number of ties used."""
    out = np.empty(array.size, bool)
    used = 0
    for part, values in pieces(flat(array)):
        magnitude = np.abs(values)
        np.greater(magnitude, threshold.score, out=out[part])
        if threshold.score > 0 and used < threshold.ties:
            ties = np.flatnonzero(magnitude == threshold.score)[: threshold.ties - used]
            out[part][ties] = True
            used += len(ties)
    return out, used


def last_tie(array: Stored, threshold: Threshold) -> int:
    """The place of the last element that is kept though it only equals the threshold; -1 where there is none."""
    left, last = threshold.ties, -1
    if threshold.score > 0:
        for part, values in pieces(array):
            if left <= 0:
                break
            ties = np.flatnonzero(np.abs(values) == threshold.score)[:left]
            left -= len(ties)
            last = part.start + int(ties[-1]) if len(ties) else last
    return last


def spread(array: NDArray[Any] | Stored) -> tuple[float, float]:
    """Mean and standard deviation of the magnitudes of the nonzeros."""
    count, total, squares = 0, 0.0, 0.0
    for _, values in pieces(flat(array)):
        magnitude = np.abs(values.astype(np.float64))
        count += int(np.count_nonzero(magnitude))
        total += float(magnitude.sum())
        squares += dot(magnitude, magnitude)
    if count == 0:
        return 0.0, 0.0
    mean = total / count
    return mean, max(squares / count - mean * mean, 0.0) ** 0.5
