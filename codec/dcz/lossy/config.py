"""Checked settings for pruning and clustering, passed whole to every part of the lossy step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcz.errors import DczError
from dcz.lossy.inits import INITS
from dcz.lossy.lloyd import MAX_ITER
from dcz.lossy.optimal import MAX_CLUSTERS
from dcz.lossy.selection import check_choice, check_integer, check_number

SCOPES = ("tensor", "global")
MAX_BITS = 16
METHODS = ("kmeans", "grid")
# How codebooks get their size: a number of clusters for k-means, a step for a grid.
STEPS = ("step", "step_absolute")
SIZES = ("n_bits", "n_clusters", *STEPS)
GRANULARITIES = ("per_tensor", "per_grouped_channel", "per_channel")
INIT_NAMES = (*INITS, "optimal")
# What codebook values may be rounded to.
CODEBOOK_DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
_HUGE = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class PruneConfig:
    """The rule that chooses weights: one of `density`, `threshold`, `quality` and `n_m_ratio`. See `prune`."""

    density: float | None = None
    threshold: float | None = None
    quality: float | None = None
    n_m_ratio: tuple[int, int] | None = None
    block_size: int | tuple[int, ...] | None = None
    dim: int | None = None
    scope: str = "tensor"

    def __post_init__(self) -> None:
        given = [key for key in ("density", "threshold", "quality", "n_m_ratio") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise DczError(f"pruning: give one of density, threshold, quality and n_m_ratio, found {found}")
        if self.density is not None:
            check_number(self.density, "density", 0, 1, open_left=True)
        if self.threshold is not None:
            check_number(self.threshold, "threshold", 0, _HUGE)
        if self.quality is not None:
            check_number(self.quality, "quality", -_HUGE, _HUGE)
        if self.dim is not None:
            check_integer(self.dim, "dim", 0, 63)
        check_choice(self.scope, "scope", SCOPES)
        if self.scope == "global" and self.density is None:
            raise DczError("scope: global goes with density; a threshold is the same for all tensors anyway")
        if self.n_m_ratio is not None:
            self._check_ratio(self.n_m_ratio)
        if self.block_size is not None:
            self._check_block(self.block_size)

    def _check_ratio(self, ratio: object) -> None:
        if not isinstance(ratio, (tuple, list)) or len(ratio) != 2:
            raise DczError(f"n_m_ratio: expected [n, m], n zeros in every m weights, found {ratio!r:.80}")
        m = check_integer(ratio[1], "n_m_ratio: m", 2, 1 << 16)
        check_integer(ratio[0], "n_m_ratio: n", 1, m - 1)
        if self.block_size is not None:
            raise DczError("n_m_ratio: does not go with block_size; give one of them")

    def _check_block(self, block: object) -> None:
        for size in block if isinstance(block, (tuple, list)) and block else (block,):
            check_integer(size, "block_size", 1, 1 << 31)


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """The size of codebooks: one of `n_bits` and `n_clusters`, or of `step` and `step_absolute`. See `cluster`."""

    n_bits: int | None = None
    n_clusters: int | None = None
    method: str | None = None
    step: float | None = None
    step_absolute: float | None = None
    init: str = "linear"
    entropy: float = 0.0
    codebook_dtype: str | None = None
    rescale: bool = False
    granularity: str = "per_tensor"
    group_size: int | None = None
    axis: int = 0
    seed: int = 0
    max_iter: int = MAX_ITER

    def __post_init__(self) -> None:
        self._check_size()
        check_choice(self.init, "init", INIT_NAMES)
        if self.init == "optimal" and self.k > MAX_CLUSTERS:
            raise DczError(f"init: optimal makes at most {MAX_CLUSTERS} clusters, found {self.k}; take kmeans++")
        check_number(self.entropy, "entropy", 0, 1e6)
        if self.codebook_dtype is not None:
            check_choice(self.codebook_dtype, "codebook_dtype", CODEBOOK_DTYPES)
        if self.rescale not in (True, False):
            raise DczError(f"rescale: expected true or false, found {self.rescale!r:.80}")
        check_choice(self.granularity, "granularity", GRANULARITIES)
        if (self.granularity == "per_grouped_channel") != (self.group_size is not None):
            raise DczError("group_size: goes with granularity per_grouped_channel, and that needs it")
        if self.group_size is not None:
            check_integer(self.group_size, "group_size", 1, 1 << 31)
        self._check_channels()
        check_integer(self.seed, "seed", 0, 1 << 63)
        check_integer(self.max_iter, "max_iter", 1, 1 << 31)

    def _check_size(self) -> None:
        if self.method is not None:
            check_choice(self.method, "method", METHODS)
        given = [key for key in SIZES if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise DczError(f"clustering: give one of {', '.join(SIZES[:-1])} and {SIZES[-1]}, found {found}")
        expected = "grid" if given[0] in STEPS else "kmeans"
        if self.method not in (None, expected):
            keys = " or ".join(STEPS if self.method == "grid" else SIZES[:2])
            raise DczError(f"method: {self.method} takes {keys}, found {given[0]}")
        if self.n_bits is not None:
            check_integer(self.n_bits, "n_bits", 1, MAX_BITS)
        if self.n_clusters is not None:
            check_integer(self.n_clusters, "n_clusters", 1, 1 << MAX_BITS)
        if self.step is not None:
            check_number(self.step, "step", 0, 1e6, open_left=True)
        if self.step_absolute is not None:
            check_number(self.step_absolute, "step_absolute", 0, _HUGE, open_left=True)

    def _check_channels(self) -> None:
        check_integer(self.axis, "axis", -64, 63)
        if self.granularity != "per_channel":
            if self.axis != 0:
                raise DczError("axis: goes with granularity per_channel; groups of channels are of the first dimension")
        elif self.step is None:
            raise DczError("granularity: per_channel takes a step, in units of each channel's root mean square")
        elif self.codebook_dtype is not None:
            raise DczError("codebook_dtype: does not go with granularity per_channel, whose values are exact multiples")

    @property
    def grid(self) -> bool:
        """True if clusters are the levels of a uniform grid."""
        return self.step is not None or self.step_absolute is not None

    @property
    def k(self) -> int:
        """Clusters of each codebook at most, zero apart."""
        if self.grid:
            return 1 << MAX_BITS
        return 1 << self.n_bits if self.n_bits is not None else int(self.n_clusters or 0)
