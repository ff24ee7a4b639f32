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
GRANULARITIES = ("per_tensor", "per_grouped_channel")
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
    """The size of codebooks: one of `n_bits` and `n_clusters`. See `cluster`."""

    n_bits: int | None = None
    n_clusters: int | None = None
    init: str = "linear"
    entropy: float = 0.0
    codebook_dtype: str | None = None
    granularity: str = "per_tensor"
    group_size: int | None = None
    seed: int = 0
    max_iter: int = MAX_ITER

    def __post_init__(self) -> None:
        if (self.n_bits is None) == (self.n_clusters is None):
            raise DczError("clustering: give one of n_bits and n_clusters")
        if self.n_bits is not None:
            check_integer(self.n_bits, "n_bits", 1, MAX_BITS)
        else:
            check_integer(self.n_clusters, "n_clusters", 1, 1 << MAX_BITS)
        check_choice(self.init, "init", INIT_NAMES)
        if self.init == "optimal" and self.k > MAX_CLUSTERS:
            raise DczError(f"init: optimal makes at most {MAX_CLUSTERS} clusters, found {self.k}; take kmeans++")
        check_number(self.entropy, "entropy", 0, 1e6)
        if self.codebook_dtype is not None:
            check_choice(self.codebook_dtype, "codebook_dtype", CODEBOOK_DTYPES)
        check_choice(self.granularity, "granularity", GRANULARITIES)
        if (self.granularity == "per_tensor") != (self.group_size is None):
            raise DczError("group_size: goes with granularity per_grouped_channel, and that needs it")
        if self.group_size is not None:
            check_integer(self.group_size, "group_size", 1, 1 << 31)
        check_integer(self.seed, "seed", 0, 1 << 63)
        check_integer(self.max_iter, "max_iter", 1, 1 << 31)

    @property
    def k(self) -> int:
        """Clusters of each codebook, zero apart."""
        return 1 << self.n_bits if self.n_bits is not None else int(self.n_clusters or 0)
