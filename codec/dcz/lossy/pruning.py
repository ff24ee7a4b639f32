"""Pruning: the smallest weights become zero (Han et al. 2016, section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy import magnitudes, structured
from dcz.lossy.config import PruneConfig
from dcz.lossy.flat import Stored
from dcz.lossy.magnitudes import Threshold
from dcz.lossy.selection import WEIGHT_THRESHOLD, select


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of `prune`: `tensors` are all tensors, those that were pruned as new arrays; `masks` has a boolean
    array for each of these, true where a weight was kept; `skipped` says why the others were left alone."""

    tensors: dict[str, np.ndarray]
    masks: dict[str, NDArray[np.bool_]]
    skipped: dict[str, str]

    @property
    def density(self) -> float:
        """Fraction of the weights of the pruned tensors that is kept."""
        weights = sum(mask.size for mask in self.masks.values())
        return sum(int(np.count_nonzero(mask)) for mask in self.masks.values()) / weights if weights else 1.0


def prune(
    tensors: Mapping[str, np.ndarray],
    *,
    density: float | None = None,
    threshold: float | None = None,
    quality: float | None = None,
    n_m_ratio: tuple[int, int] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    dim: int | None = None,
    scope: str = "tensor",
    names: Iterable[str] | None = None,
    weight_threshold: int = WEIGHT_THRESHOLD,
    keep_nonfinite: bool = False,
) -> Pruned:
    """Sets the weights of least magnitude to zero (Han et al. 2016, section 2). The arrays given stay as they are.

    Biases, norms (all of fewer than two dimensions), tensors of fewer than `weight_threshold` weights and of
    other dtypes than floats are left alone. Zeros are never kept: what is pruned already stays so.

    Args:
        tensors: names to numpy arrays.
        density: the fraction of the weights to keep, in (0, 1].
        threshold: weights of this magnitude and below become zero.
        quality: the threshold is mean + quality * standard deviation of the nonzeros' magnitudes, as in the
            paper's code.
        n_m_ratio: (n, m) sets n of every m weights along `dim` to zero (coremltools' meaning; 2:4 is (2, 4)).
        block_size: prunes whole blocks, by their root mean square: so many weights along `dim`, or a shape over
            the first dimensions. Goes with density, threshold and quality.
        dim: the dimension for `n_m_ratio` (by default 1, the inputs) and `block_size` (by default 0).
        scope: "tensor" keeps `density` of each tensor; "global" keeps it of all together, where it matters most.
        names: names, or patterns as for file names, of those to prune; a tensor whose very name is given is
            pruned though it is small or a bias.
        weight_threshold: tensors of fewer weights are left alone.
        keep_nonfinite: leaves tensors with NaN or infinity alone instead of refusing them.

    Raises:
        DczError: invalid arguments, NaN or infinity, patterns that match nothing.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).standard_normal((64, 64))
    >>> pruned = dcz.prune({"w": w, "bias": numpy.ones(64)}, density=0.1)
    >>> int(pruned.masks["w"].sum()), int(numpy.count_nonzero(pruned.tensors["w"])), list(pruned.skipped)
    (410, 410, ['bias'])
    """
    config = PruneConfig(
        density=density,
        threshold=threshold,
        quality=quality,
        n_m_ratio=n_m_ratio,
        block_size=block_size,
        dim=dim,
        scope=scope,
    )
    chosen, skipped = select(tensors, names, weight_threshold, keep_nonfinite)
    found = masks({name: tensors[name] for name in chosen}, config)
    out = {name: masked(array, found[name]) if name in found else array for name, array in tensors.items()}
    return Pruned(out, found, skipped)


def masks(tensors: Mapping[str, np.ndarray], config: PruneConfig) -> dict[str, NDArray[np.bool_]]:
    """The masks of these tensors, which are all pruned."""
    if config.scope == "tensor":
        return {name: mask(array, config, name=name) for name, array in tensors.items()}
    threshold = global_threshold(lambda: iter(tensors.items()), config)
    out = {}
    for name, array in tensors.items():
        out[name], threshold = mask_by(array, config, threshold, name)
    return out


def mask(array: np.ndarray, config: PruneConfig, *, name: str = "array") -> NDArray[np.bool_]:
    """The mask of one array by a rule of scope "tensor"; true where a weight is kept."""
    array = np.asarray(array)
    if config.n_m_ratio is not None:
        return structured.n_of_m(array, *config.n_m_ratio, config.dim, name)
    return mask_by(array, config, threshold_of(_scores(array, config, name), config), name)[0]


def threshold_of(scores: NDArray[Any] | Stored, config: PruneConfig) -> Threshold:
    """The threshold of one tensor by a rule other than n of m."""
    if config.density is not None:
        return _densest([scores], config.density)
    if config.threshold is not None:
        return Threshold(float(config.threshold), 0)
    mean, deviation = magnitudes.spread(scores)
    return Threshold(max(mean + float(config.quality or 0) * deviation, 0.0), 0)


def mask_by(
    array: np.ndarray, config: PruneConfig, threshold: Threshold, name: str = "array"
) -> tuple[NDArray[np.bool_], Threshold]:
    """The mask by a known threshold, and the threshold with the ties that are left."""
    scores = _scores(array, config, name)
    found, used = magnitudes.kept(scores, threshold)
    found = found.reshape(scores.shape)
    if config.block_size is not None:
        block = structured.block_shape(array.shape, _plain(config.block_size), config.dim, name)
        found = structured.spread_blocks(found, block, array.shape) & (array != 0)
    return found, Threshold(threshold.score, threshold.ties - used)


def global_threshold(sources: object, config: PruneConfig) -> Threshold:
    """The threshold that keeps `density` of all the arrays together; `sources()` gives (name, array) again and
    again."""
    assert config.density is not None and callable(sources)
    total, wide = 0, False
    for name, array in sources():
        total += _scores(array, config, name).size
        wide = wide or array.dtype.name == "float64"

    def keys() -> Iterator[NDArray[Any]]:
        for name, array in sources():
            yield from magnitudes.keys(_scores(array, config, name), wide)

    return magnitudes.largest(keys, wide, max(1, round(total * config.density))) if total else Threshold(0.0, 0)


def masked(array: np.ndarray, kept: NDArray[np.bool_]) -> np.ndarray:
    """A copy with zeros (never -0.0) where the mask is false."""
    out = np.zeros(array.shape, array.dtype)
    np.copyto(out, array, where=kept)
    return out


def _densest(scores: list[NDArray[Any] | Stored], density: float) -> Threshold:
    wide = scores[0].dtype.name == "float64"
    total = sum(each.size for each in scores)
    if total == 0:
        return Threshold(0.0, 0)
    keep = max(1, round(total * density))
    return magnitudes.largest(lambda: (k for each in scores for k in magnitudes.keys(each, wide)), wide, keep)


def _scores(array: np.ndarray, config: PruneConfig, name: str) -> NDArray[Any]:
    """The values to compare: the weights (by magnitude), or the root mean squares of blocks."""
    if config.block_size is None:
        return array
    return structured.block_scores(
        array, structured.block_shape(array.shape, _plain(config.block_size), config.dim, name)
    )


def _plain(block_size: int | tuple[int, ...] | list[int]) -> int | tuple[int, ...]:
    return int(block_size) if isinstance(block_size, (int, np.integer)) else tuple(block_size)
