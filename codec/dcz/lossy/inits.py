"""Initial centroids: linear, density and random (Forgy) as in Han et al. 2016, section 3.2, and k-means++."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dcz.lossy.samples import F64, Samples

# Points that stand for all where drawing looks at every one of them, round after round.
_DRAW_FROM = 1 << 15
# Centroids that are drawn one at a time; beyond, an eighth of them at once.
_ONE_BY_ONE = 512


def linear(samples: Samples, k: int, rng: np.random.Generator) -> F64:
    """Evenly from the least to the greatest weight: few large weights keep centroids of their own."""
    return np.linspace(float(samples.points[0]), float(samples.points[-1]), k)


def density(samples: Samples, k: int, rng: np.random.Generator) -> F64:
    """Evenly in the cumulative distribution: as many weights for each."""
    shares = (np.arange(k) + 0.5) / k
    if samples.weights is None:
        at = (shares * samples.n).astype(np.int64)
    else:
        at = np.searchsorted(np.cumsum(samples.weights, dtype=np.float64), shares * samples.mass)
    return samples.points[np.minimum(at, samples.n - 1)].astype(np.float64)


def random(samples: Samples, k: int, rng: np.random.Generator) -> F64:
    """Weights drawn at random, no one twice."""
    if samples.weights is None:
        return samples.points[rng.choice(samples.n, k, replace=False, shuffle=False)].astype(np.float64)
    some = np.flatnonzero(samples.weights)
    share = samples.weights[some].astype(np.float64)
    return samples.points[rng.choice(some, min(k, len(some)), replace=False, p=share / share.sum())].astype(np.float64)


def kmeans_plus_plus(samples: Samples, k: int, rng: np.random.Generator) -> F64:
    """Drawn one after another with the square of the distance to those drawn already (Arthur and Vassilvitskii
    2007), from at most 32,768 points that stand for all."""
    few = samples.thinned(max(_DRAW_FROM, 4 * k))
    points = few.points.astype(np.float64)
    weights = np.ones(few.n) if few.weights is None else few.weights.astype(np.float64)
    drawn = [float(points[_draw(weights, 1, rng)[0]])]
    distance = np.square(points - drawn[0])
    while len(drawn) < k:
        count = 1 if k <= _ONE_BY_ONE else min(max(1, len(drawn) // 8), k - len(drawn))
        chances = distance * weights
        if not chances.any():
            break
        for at in _draw(chances, count, rng):
            drawn.append(float(points[at]))
            if count == 1:
                np.minimum(distance, np.square(points - drawn[-1]), out=distance)
        if count > 1:
            distance = _distances(points, np.sort(drawn))
    return np.array(drawn + [drawn[0]] * (k - len(drawn)))


def _draw(chances: F64, count: int, rng: np.random.Generator) -> list[int]:
    edges = np.cumsum(chances)
    found = np.searchsorted(edges, rng.random(count) * edges[-1], "right")
    return np.minimum(found, len(chances) - 1).tolist()


def _distances(points: F64, drawn: F64) -> F64:
    """Squares of the distances to the nearest of the sorted `drawn`."""
    after = np.clip(np.searchsorted(drawn, points), 1, len(drawn) - 1)
    return np.square(np.minimum(np.abs(points - drawn[after - 1]), np.abs(points - drawn[after])))


INITS: dict[str, Callable[[Samples, int, np.random.Generator], F64]] = {
    "linear": linear,
    "density": density,
    "random": random,
    "kmeans++": kmeans_plus_plus,
}
