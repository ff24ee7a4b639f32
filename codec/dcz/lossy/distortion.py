"""The error of rounded weights against the originals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcz.lossy.flat import dot, flat, pieces


@dataclass(frozen=True, slots=True)
class Fidelity:
    """`squared` is the sum of squared errors, `relative` its root over that of the squares of the original
    (0 is exact, 1 is what zeros would give), `largest` the greatest error, `cosine` that of the angle between."""

    squared: float
    relative: float
    largest: float
    cosine: float


class ErrorAccumulator:
    """Adds up errors piece by piece."""

    def __init__(self) -> None:
        self._squared = self._dot = self._before = self._after = self._largest = 0.0

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        """Original and rounded weights, both of shape (n,)."""
        if not len(before):
            return
        a, b = before.astype(np.float64), after.astype(np.float64)
        self._dot += dot(a, b)
        self._before += dot(a, a)
        self._after += dot(b, b)
        a -= b
        self._squared += dot(a, a)
        self._largest = max(self._largest, float(np.abs(a, out=a).max()))

    def read(self) -> Fidelity:
        """The errors of everything added so far."""
        norms = (self._before * self._after) ** 0.5
        cosine = min(self._dot / norms, 1.0) if norms else float(self._before == self._after)
        relative = (self._squared / self._before) ** 0.5 if self._before else float(self._squared > 0)
        return Fidelity(self._squared, relative, self._largest, cosine)


def fidelity(before: np.ndarray, after: np.ndarray) -> Fidelity:
    """Of two arrays of the same shape.

    >>> import numpy
    >>> fidelity(numpy.float32([3, 4]), numpy.float32([3, 0])).relative
    0.8
    """
    errors = ErrorAccumulator()
    rounded = flat(after)
    for part, values in pieces(flat(before)):
        errors.add(values, rounded[part])
    return errors.read()
