"""One codebook: fitted to values, rounded to a dtype, and ready to assign weights to its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.entropy_constrained import entropy_constrained
from dcz.lossy.flat import working
from dcz.lossy.inits import INITS
from dcz.lossy.lloyd import Partition, lloyd, midpoints
from dcz.lossy.optimal import optimal
from dcz.lossy.samples import F64, Samples, floor_to

if TYPE_CHECKING:
    from dcz.lossy.clustering import Scheme

# What codebook values may be rounded to, and where the type comes from.
CODEBOOK_DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """`values` ascend, in the tensor's dtype; weights up to and with `edges[j]` belong to entry j."""

    values: np.ndarray
    edges: NDArray
    iterations: int
    converged: bool

    def assign(self, values: NDArray) -> NDArray[np.int64]:
        """The entry of each value."""
        return np.searchsorted(self.edges, values, "left")


def fit(values: np.ndarray, scheme: Scheme, weights: NDArray[np.float64] | None) -> Codebook:
    """The codebook of nonzero values, shape (n,), which may be changed; `weights` are how much each counts."""
    dtype, kind = values.dtype, working(values.dtype)
    if not len(values):
        return Codebook(np.zeros(0, dtype), np.zeros(0, kind), 0, True)
    if weights is not None and not weights.any():
        weights = None  # nothing counts: then all the same
    if dtype.itemsize == 2 and weights is None:
        samples = Samples.counted(values.view(np.uint16), dtype)
    else:
        samples = Samples.of(values.astype(kind, copy=False), weights)
    if samples.distinct <= scheme.k and not scheme.entropy:
        points = samples.unique().points.astype(np.float64)
        return _rounded(Partition(points, np.arange(len(points) + 1), 0, True), None, dtype, scheme)
    part = _partition(samples, min(scheme.k, samples.distinct), scheme)
    edges = None
    if scheme.entropy:
        price = scheme.entropy * samples.squares / samples.mass
        part, edges = entropy_constrained(samples, part, price, scheme.max_iter)
    return _rounded(part, edges, dtype, scheme)


def _partition(samples: Samples, k: int, scheme: Scheme) -> Partition:
    rng = np.random.Generator(np.random.PCG64(scheme.seed))
    if scheme.init == "optimal":
        return optimal(samples, k, scheme.max_iter, rng)
    return lloyd(samples, INITS[scheme.init](samples, k, rng), scheme.max_iter)


def _rounded(part: Partition, edges: F64 | None, dtype: np.dtype, scheme: Scheme) -> Codebook:
    """In the dtypes asked for, equal values once. Weights then go to the nearest, or keep the edges given."""
    kind, exact = working(dtype), part.centroids
    values = exact.astype(kind)
    if scheme.codebook_dtype is not None:
        values = values.astype(_dtype(scheme.codebook_dtype)).astype(kind)
    values = values.astype(dtype) + dtype.type(0)  # -0.0 is a value of its own to the codec
    wide = values.astype(np.float64)
    last = np.append(wide[1:] != wide[:-1], True)
    values, wide = values[last], wide[last]
    between = midpoints(wide) if edges is None else edges[last[:-1]]
    return Codebook(values, floor_to(between, kind), part.iterations, part.converged)


def _dtype(name: str) -> np.dtype:
    if hasattr(np, name):
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name))
