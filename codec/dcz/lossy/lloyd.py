"""Lloyd's algorithm on sorted weights: k-means in one dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcz.lossy.flat import dot
from dcz.lossy.samples import F64, I64, Samples

# Rounds after which it is stopped: in practice it settles after some hundreds.
MAX_ITER = 10_000


@dataclass(frozen=True, slots=True)
class Partition:
    """Clusters of sorted samples: cluster j holds `points[cuts[j]:cuts[j + 1]]`, and its mean is `centroids[j]`."""

    centroids: F64
    cuts: I64
    iterations: int
    converged: bool


def lloyd(samples: Samples, centroids: F64, max_iter: int = MAX_ITER) -> Partition:
    """Assigns every weight to the nearest centroid and moves centroids to the means, until nothing changes.

    A cluster that is left empty takes the weight that is farthest from its centroid, as in scikit-learn."""
    centroids = np.sort(centroids.astype(np.float64))
    cuts = samples.cuts(midpoints(centroids))
    for iteration in range(1, max_iter + 1):
        masses, moments = samples.masses(cuts), samples.moments(cuts)
        if masses.all():
            centroids = moments / masses
        else:
            centroids = _refill(samples, centroids, cuts, masses, moments)
        found = samples.cuts(midpoints(centroids))
        if np.array_equal(found, cuts):
            return Partition(centroids, cuts, iteration, True)
        cuts = found
    return Partition(centroids, cuts, max_iter, False)


def midpoints(centroids: F64) -> F64:
    """Between neighbours, without overflow."""
    return centroids[:-1] / 2 + centroids[1:] / 2


def wcss(samples: Samples, centroids: F64, cuts: I64) -> float:
    """Within-cluster sum of squares."""
    masses, moments = samples.masses(cuts), samples.moments(cuts)
    return max(samples.squares - 2 * dot(centroids, moments) + dot(centroids * centroids, masses), 0.0)


def _refill(samples: Samples, centroids: F64, cuts: I64, masses: F64, moments: F64) -> F64:
    """New centroids where some clusters are empty: each takes one of the points farthest from their centroids,
    which leaves its old cluster."""
    empty = np.flatnonzero(masses == 0)
    at = _ends(cuts, len(empty), samples.n)
    owner = np.searchsorted(cuts, at, "right") - 1
    if samples.weights is not None:  # points that weigh nothing move no centroid
        some = samples.weights[at] > 0
        at, owner = at[some], owner[some]
    distance = np.abs(samples.points[at] - centroids[owner])
    far = np.argsort(-distance, kind="stable")[: len(empty)]
    points = samples.points[at[far]].astype(np.float64)
    weights = np.ones(len(far)) if samples.weights is None else samples.weights[at[far]].astype(np.float64)
    masses, moments = masses.copy(), moments.copy()
    np.subtract.at(masses, owner[far], weights)
    np.subtract.at(moments, owner[far], weights * points)
    out = centroids.copy()
    some = masses > 1e-12 * samples.mass
    out[some] = moments[some] / masses[some]
    out[empty[: len(far)]] = points
    return np.sort(out)


def _ends(cuts: I64, count: int, n: int) -> I64:
    """The first and last `count` points of each cluster: those farthest from its centroid are among them."""
    if 2 * count * (len(cuts) - 1) >= n:
        return np.arange(n)
    steps = np.arange(count)
    low = np.minimum(cuts[:-1, None] + steps, cuts[1:, None] - 1)
    high = np.maximum(cuts[1:, None] - 1 - steps, cuts[:-1, None])
    full = cuts[1:] > cuts[:-1]
    return np.unique(np.concatenate([low[full].reshape(-1), high[full].reshape(-1)]))
