"""Weights in ascending order with sums over any range of them at hand: what one-dimensional clustering stands on.

A cluster of k-means in one dimension is a range of the sorted weights, so a round of Lloyd's algorithm needs no
pass over the weights, only sums over k ranges."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.flat import dot

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# Weights summed to one number: an eighth of them is what sums take in memory, and adding up the rest is quick.
_BLOCK = 16


class Samples:
    """`points` ascend, shape (n,), float32 or float64; `weights`, if any, are how much each counts."""

    def __init__(self, points: NDArray[Any], weights: NDArray[Any] | None = None) -> None:
        self.points = points
        self.weights = weights
        self.n = len(points)
        starts = np.arange(0, self.n, _BLOCK)
        self._moments = self._sums(starts, points if weights is None else points * weights.astype(np.float64))
        self._masses = None if weights is None else self._sums(starts, weights)

    @staticmethod
    def of(values: NDArray[Any], weights: NDArray[Any] | None = None) -> Samples:
        """From values in any order, which are sorted in place. Those of 16 bits or fewer, converted to float32,
        are often equal: many values that are few distinct ones are counted."""
        if weights is not None:
            order = np.argsort(values, kind="stable")
            return Samples(values[order], weights[order])
        values.sort()
        return Samples(values)

    @staticmethod
    def counted(words: NDArray[Any], dtype: np.dtype) -> Samples:
        """From the bit patterns of values of 16 bits: at most 65,536 points, each with its count."""
        return Samples.of_counts(np.bincount(words, minlength=1), dtype)

    @staticmethod
    def of_counts(counts: I64, dtype: np.dtype) -> Samples:
        """From how often each bit pattern of 16 bits occurs."""
        found = np.flatnonzero(counts)
        points = found.astype(np.uint16).view(dtype).astype(np.float32)
        order = np.argsort(points, kind="stable")
        return Samples(points[order], counts[found][order].astype(np.float64))

    @staticmethod
    def _sums(starts: I64, terms: NDArray[Any]) -> F64:
        if not len(starts):
            return np.zeros(1)
        return np.concatenate([[0.0], np.cumsum(np.add.reduceat(terms, starts, dtype=np.float64))])

    def masses(self, cuts: I64) -> F64:
        """Weight of each range between consecutive cuts."""
        if self._masses is None:
            return np.diff(cuts).astype(np.float64)
        return np.diff(self._before(cuts, self._masses, moments=False))

    def moments(self, cuts: I64) -> F64:
        """Weighted sum of each range between consecutive cuts."""
        return np.diff(self._before(cuts, self._moments, moments=True))

    def _before(self, cuts: I64, sums: F64, moments: bool) -> F64:
        """Sums of all terms in front of each cut."""
        block = cuts // _BLOCK
        at = block[:, None] * _BLOCK + np.arange(_BLOCK)
        inside = at < cuts[:, None]
        at = np.minimum(at, max(self.n - 1, 0))
        terms = np.ones(at.shape) if self.weights is None else self.weights[at].astype(np.float64)
        if moments:
            terms = terms * self.points[at]
        return sums[np.minimum(block, len(sums) - 1)] + np.where(inside, terms, 0).sum(axis=1)

    def cuts(self, edges: F64) -> I64:
        """Start and end of the ranges whose inclusive upper bounds are the ascending `edges`."""
        inner = np.searchsorted(self.points, floor_to(edges, self.points.dtype), "right")
        return np.concatenate([[0], inner, [self.n]])

    @cached_property
    def mass(self) -> float:
        """Weight of all."""
        return float(self.n) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @cached_property
    def squares(self) -> float:
        """Weighted sum of squares of all."""
        total = 0.0
        for start in range(0, self.n, 1 << 20):
            part = slice(start, start + (1 << 20))
            points = self.points[part].astype(np.float64)
            total += dot(points, points if self.weights is None else points * self.weights[part])
        return total

    @cached_property
    def distinct(self) -> int:
        """Number of distinct points."""
        return int(np.count_nonzero(self.points[1:] != self.points[:-1])) + 1 if self.n else 0

    def unique(self) -> Samples:
        """The same with equal points as one."""
        starts = np.flatnonzero(np.concatenate([[True], self.points[1:] != self.points[:-1]]))
        weights = np.ones(self.n) if self.weights is None else self.weights.astype(np.float64)
        return Samples(self.points[starts], np.add.reduceat(weights, starts))

    def thinned(self, count: int) -> Samples:
        """At most about `count` points that stand for all: ranges of equal number and of equal width, each by its
        mean and weight."""
        if self.n <= count:
            return self
        even = np.linspace(0, self.n, count // 2 + 1).astype(np.int64)
        wide = self.cuts(np.linspace(float(self.points[0]), float(self.points[-1]), count // 2 + 1)[1:-1])
        cuts = np.union1d(even, wide)
        masses = self.masses(cuts)
        some = masses > 0
        return Samples(self.moments(cuts)[some] / masses[some], masses[some])


def floor_to(edges: F64, dtype: np.dtype) -> NDArray[Any]:
    """The largest values of `dtype` that are no greater: comparing with them needs no wider copy of the weights."""
    if dtype == np.float64:
        return edges
    with np.errstate(over="ignore"):
        out = edges.astype(dtype)
    above = out > edges
    out[above] = np.nextafter(out[above], np.array(-np.inf, dtype))
    return out
