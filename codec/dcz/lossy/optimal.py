"""The clusters of least within-cluster sum of squares there are: dynamic programming on sorted weights.

In one dimension the best k clusters of the first j points end with a cluster i..j that leaves k - 1 clusters of the
first i points, and the best i moves only up with j (Wu 1991; Wang and Song 2011). So each of k rows takes log n
sweeps of n steps each, which are array operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.flat import dot
from dcz.lossy.inits import density, linear
from dcz.lossy.lloyd import Partition, lloyd, wcss
from dcz.lossy.samples import F64, I64, Samples

# Points up to which the result is the optimum exactly. More are first put into so many cells, finer where there are
# many weights and where they are large; Lloyd's algorithm on all of them then settles the edges.
EXACT = 8192
# The table of a thousand rows takes some seconds and 16 MB.
MAX_CLUSTERS = 1024


def optimal(samples: Samples, k: int, max_iter: int, rng: np.random.Generator) -> Partition:
    """The best partition into `k` clusters: exactly that for at most 8,192 distinct weights; for more, the best on
    8,192 cells, settled by Lloyd's algorithm on all, and never worse than from `linear` or `density`."""
    points = samples.unique() if samples.distinct <= EXACT else samples.thinned(EXACT)
    centroids = _solve(points, min(k, points.n))
    found = [lloyd(samples, centroids, max_iter)]
    found += [lloyd(samples, init(samples, k, rng), max_iter) for init in (linear, density)]
    return min(found, key=lambda each: wcss(samples, each.centroids, each.cuts))


class _Costs:
    """The within-cluster sum of squares of any range of points, from running sums about the mean."""

    def __init__(self, points: Samples) -> None:
        values = points.points.astype(np.float64)
        weights = np.ones(points.n) if points.weights is None else points.weights.astype(np.float64)
        values = values - dot(values, weights) / float(weights.sum())
        self.mass, self.moment, self.square = (
            np.concatenate([[0.0], np.cumsum(terms)])
            for terms in (weights, weights * values, weights * values * values)
        )

    def __call__(self, i: I64, j: I64) -> F64:
        """Of points i to j - 1."""
        moment = self.moment[j] - self.moment[i]
        with np.errstate(divide="ignore", invalid="ignore"):
            cost = self.square[j] - self.square[i] - moment * moment / (self.mass[j] - self.mass[i])
        return np.maximum(np.nan_to_num(cost, nan=0.0, neginf=0.0), 0)


def _solve(points: Samples, k: int) -> F64:
    costs, n = _Costs(points), points.n
    best = costs(np.zeros(n + 1, np.int64), np.arange(n + 1))
    best[0] = 0
    choices: list[NDArray[np.uint16]] = []
    for clusters in range(2, k + 1):
        best, begins = _row(costs, best, clusters, n)
        choices.append(begins.astype(np.uint16))
    ends = [n]
    for choice in reversed(choices):
        ends.append(int(choice[ends[-1]]))
    cuts = np.array([0, *reversed(ends)], np.int64)
    return points.moments(cuts) / points.masses(cuts)


def _row(costs: _Costs, before: F64, clusters: int, n: int) -> tuple[F64, I64]:
    """The least cost of the first j points in `clusters` clusters, and where the last of them begins. Each sweep
    halves the distance between the j that are known, and looks only between the neighbours' choices."""
    best, choice = np.full(n + 1, np.inf), np.zeros(n + 1, np.int64)
    first = clusters  # fewer points than clusters have no answer
    choice[:first] = np.arange(first) - 1
    known = np.array([first - 1, n + 1])
    lowest, highest = np.array([clusters - 1]), np.array([n - 1])
    while True:
        wanted = (known[:-1] + known[1:]) // 2
        new = wanted > known[:-1]
        if not new.any():
            return best, choice
        wanted, low, high = wanted[new], lowest[new], highest[new]
        high = np.minimum(high, wanted - 1)
        low = np.minimum(low, high)
        best[wanted], choice[wanted] = _least(costs, before, wanted, low, high)
        known = np.union1d(known, wanted)
        picks = choice[known[1:-1]]
        lowest, highest = np.concatenate([[clusters - 1], picks]), np.concatenate([picks, [n - 1]])


def _least(costs: _Costs, before: F64, wanted: I64, low: I64, high: I64) -> tuple[F64, I64]:
    """For each j of `wanted` the i of low..high with the least cost, and that cost."""
    lengths = high - low + 1
    starts = np.cumsum(lengths) - lengths
    i = np.arange(int(lengths.sum())) + np.repeat(low - starts, lengths)
    values = before[i] + costs(i, np.repeat(wanted, lengths))
    least = np.minimum.reduceat(values, starts)
    hits = np.flatnonzero(values == np.repeat(least, lengths))
    return least, i[hits[np.searchsorted(hits, starts)]]
