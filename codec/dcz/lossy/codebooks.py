"""One codebook: fitted to values, rounded to a dtype, and ready to assign weights to its entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.config import ClusterConfig
from dcz.lossy.entropy_constrained import entropy_constrained
from dcz.lossy.flat import dot, limits_of, working
from dcz.lossy.grid import fits, grid, price_of, step_for, step_of
from dcz.lossy.inits import INITS
from dcz.lossy.lloyd import Partition, lloyd, midpoints
from dcz.lossy.optimal import optimal
from dcz.lossy.samples import F64, Samples, floor_to


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """`values` ascend, in the tensor's dtype; weights up to and with `edges[j]` belong to entry j."""

    values: np.ndarray
    edges: NDArray[Any]
    iterations: int
    converged: bool

    def assign(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The entry of each value."""
        return np.searchsorted(self.edges, values, "left")


def fit(values: np.ndarray, config: ClusterConfig, weights: NDArray[np.float64] | None, name: str) -> Codebook:
    """The codebook of nonzero values, shape (n,), which may be changed; `weights` are how much each counts.

    Raises `DczError` that names the tensor where `config.codebook_dtype` cannot hold the values."""
    dtype, kind = values.dtype, working(values.dtype)
    if not len(values):
        return Codebook(np.zeros(0, dtype), np.zeros(0, kind), 0, True)
    if weights is not None and not weights.any():
        weights = None  # nothing counts: then all the same
    if dtype.itemsize == 2 and weights is None:
        samples = Samples.counted(values.view(np.uint16), dtype)
    else:
        samples = Samples.of(values.astype(kind, copy=False), weights)
    return fit_samples(samples, dtype, config, name)


def fit_samples(samples: Samples, dtype: np.dtype, config: ClusterConfig, name: str) -> Codebook:
    """The codebook, in `dtype`, of values that are sorted or counted."""
    if samples.distinct <= config.k and not config.entropy and not config.grid:
        points = samples.unique().points.astype(np.float64)
        return _rounded(Partition(points, np.arange(len(points) + 1), 0, True), None, dtype, config, name)
    edges = None
    if config.grid or config.entropy:
        part, edges = _by_rate(samples, config, name)
    else:
        part = _partition(samples, min(config.k, samples.distinct), config)
    if config.rescale:
        part, edges = _rescaled(samples, part, edges, dtype)
    return _rounded(part, edges, dtype, config, name)


def _rescaled(samples: Samples, part: Partition, edges: F64 | None, dtype: np.dtype) -> tuple[Partition, F64]:
    """Centroids times <w, w> / <w, q>, as far as `dtype` reaches, and the edges as they were."""
    shrunk = dot(samples.moments(part.cuts), part.centroids)
    factor = samples.squares / shrunk if shrunk > 0 else 1.0
    most = float(limits_of(dtype).max)
    scaled = np.clip(part.centroids * factor, -most, most)
    return replace(part, centroids=scaled), midpoints(part.centroids) if edges is None else edges


def _by_rate(samples: Samples, config: ClusterConfig, name: str) -> tuple[Partition, F64]:
    """Clusters and edges of the least squared error + lambda * bits. They start from a grid where one of at most k
    levels suits lambda; else k is what limits them, and k-means places them better."""
    price = config.entropy * samples.squares / samples.mass
    if config.grid:
        step = step_of(samples, config)
        start, price = grid(samples, step, name), price or price_of(step)
    elif config.init == "linear" and fits(samples, step_for(price), config.k):
        start = grid(samples, step_for(price), name)
    else:
        start = _partition(samples, min(config.k, samples.distinct), config)
    return entropy_constrained(samples, start, price, config.max_iter)


def _partition(samples: Samples, k: int, config: ClusterConfig) -> Partition:
    rng = np.random.Generator(np.random.PCG64(config.seed))
    if config.init == "optimal":
        return optimal(samples, k, config.max_iter, rng)
    return lloyd(samples, INITS[config.init](samples, k, rng), config.max_iter)


def _rounded(part: Partition, edges: F64 | None, dtype: np.dtype, config: ClusterConfig, name: str) -> Codebook:
    """The codebook in its final dtype, without duplicates. Weights go to the nearest value, or keep the edges given."""
    kind, exact = working(dtype), part.centroids
    values = exact.astype(kind)
    if config.codebook_dtype is not None:
        values = _narrowed(values, config.codebook_dtype, name)
    values = values.astype(dtype) + dtype.type(0)  # -0.0 is a value of its own to the codec
    wide = values.astype(np.float64)
    last = np.append(wide[1:] != wide[:-1], True)
    values, wide = values[last], wide[last]
    between = midpoints(wide) if edges is None else edges[last[:-1]]
    return Codebook(values, floor_to(between, kind), part.iterations, part.converged)


def _narrowed(values: NDArray[Any], codebook_dtype: str, name: str) -> NDArray[Any]:
    """The values rounded to a narrower dtype, in their own. What it cannot hold is refused: float16 would make
    infinities of large values, float8_e4m3fn NaN, and any of them zeros of a tensor that is small throughout."""
    narrow = _dtype(codebook_dtype)
    with np.errstate(over="ignore"):
        rounded = values.astype(narrow).astype(values.dtype)
    beyond = ~np.isfinite(rounded)
    if beyond.any():
        worst = float(np.abs(values[beyond]).max())
        raise DczError(
            f"tensor {name!r}: {int(beyond.sum())} of {len(values)} codebook values are beyond the range of "
            f"codebook_dtype {codebook_dtype} (the largest is {worst:.6g}); choose a wider codebook_dtype for it"
        )
    if not rounded.any() and values.any():
        raise DczError(
            f"tensor {name!r}: all {len(values)} codebook values round to zero in codebook_dtype {codebook_dtype} "
            f"(the largest is {float(np.abs(values).max()):.6g}); choose a codebook_dtype that reaches smaller numbers"
        )
    return rounded


def _dtype(name: str) -> np.dtype:
    if hasattr(np, name):
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))
