"""Pruning: the smallest weights become zero (Han et al. 2016, section 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy import magnitudes, structured
from dcz.lossy.magnitudes import Cut
from dcz.lossy.selection import (
    WEIGHT_THRESHOLD,
    check_choice,
    check_finite,
    check_integer,
    check_number,
    check_patterns,
    check_tensors,
    matches,
    names_one,
    why_left,
)

SCOPES = ("tensor", "global")
_HUGE = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class Rule:
    """How weights are chosen: one of `density`, `threshold`, `quality` and `n_m_ratio`. See `prune`."""

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
class Pruned:
    """What `prune` gives: `tensors` are all tensors, those that were pruned as new arrays; `masks` has a boolean
    array for each of these, true where a weight was kept; `left` says why the others were left alone."""

    tensors: dict[str, np.ndarray]
    masks: dict[str, NDArray[np.bool_]]
    left: dict[str, str]

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
        DczError: arguments that make no sense, NaN or infinity, patterns that match nothing.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).standard_normal((64, 64))
    >>> pruned = dcz.prune({"w": w, "bias": numpy.ones(64)}, density=0.1)
    >>> int(pruned.masks["w"].sum()), int(numpy.count_nonzero(pruned.tensors["w"])), list(pruned.left)
    (410, 410, ['bias'])
    """
    rule = Rule(density, threshold, quality, n_m_ratio, block_size, dim, scope)
    chosen, left = select(tensors, names, weight_threshold, keep_nonfinite)
    found = masks({name: tensors[name] for name in chosen}, rule)
    out = {name: masked(array, found[name]) if name in found else array for name, array in tensors.items()}
    return Pruned(out, found, left)


def select(
    tensors: Mapping[str, np.ndarray], names: Iterable[str] | None, weight_threshold: int, keep_nonfinite: bool
) -> tuple[list[str], dict[str, str]]:
    """Names of the tensors to work on, and why the others are left alone."""
    check_tensors(tensors)
    check_integer(weight_threshold, "weight_threshold", 0, 1 << 62)
    wanted = None if names is None else [names] if isinstance(names, str) else list(names)
    if wanted is not None:
        check_patterns(wanted, tensors, "names")
    chosen, left = [], {}
    for name, array in tensors.items():
        if wanted is not None and not any(matches(name, pattern) for pattern in wanted):
            left[name] = "it is not among names"
            continue
        asked = any(names_one(pattern) and pattern == name for pattern in wanted or ())
        reason = why_left(array.shape, array.dtype, weight_threshold=weight_threshold, asked=asked)
        reason = reason or check_finite(name, np.asarray(array), keep_nonfinite)
        if reason is None:
            chosen.append(name)
        else:
            left[name] = reason
    return chosen, left


def masks(tensors: Mapping[str, np.ndarray], rule: Rule) -> dict[str, NDArray[np.bool_]]:
    """The masks of these tensors, which are all pruned."""
    if rule.scope == "tensor":
        return {name: mask(array, rule, name=name) for name, array in tensors.items()}
    cut = global_cut(lambda: iter(tensors.items()), rule)
    out = {}
    for name, array in tensors.items():
        out[name], cut = mask_by(array, rule, cut, name)
    return out


def mask(array: np.ndarray, rule: Rule, *, name: str = "array") -> NDArray[np.bool_]:
    """The mask of one array by a rule of scope "tensor"; true where a weight is kept."""
    array = np.asarray(array)
    if rule.n_m_ratio is not None:
        return structured.n_of_m(array, *rule.n_m_ratio, rule.dim, name)
    scores = _scores(array, rule, name)
    if rule.density is not None:
        cut = _densest([scores], rule.density)
    elif rule.threshold is not None:
        cut = Cut(float(rule.threshold), 0)
    else:
        mean, deviation = magnitudes.spread(scores)
        cut = Cut(max(mean + float(rule.quality or 0) * deviation, 0.0), 0)
    return mask_by(array, rule, cut, name)[0]


def mask_by(array: np.ndarray, rule: Rule, cut: Cut, name: str = "array") -> tuple[NDArray[np.bool_], Cut]:
    """The mask by a cut that is known, and the cut with the ties that are left."""
    scores = _scores(array, rule, name)
    found, used = magnitudes.kept(scores, cut)
    found = found.reshape(scores.shape)
    if rule.block_size is not None:
        block = structured.block_shape(array.shape, _plain(rule.block_size), rule.dim, name)
        found = structured.spread_blocks(found, block, array.shape) & (array != 0)
    return found, Cut(cut.score, cut.ties - used)


def global_cut(sources: object, rule: Rule) -> Cut:
    """The cut that keeps `density` of all the arrays together; `sources()` gives (name, array) again and again."""
    assert rule.density is not None and callable(sources)
    total, wide = 0, False
    for name, array in sources():
        total += _scores(array, rule, name).size
        wide = wide or array.dtype.name == "float64"

    def keys() -> Iterator[NDArray]:
        for name, array in sources():
            yield from magnitudes.keys(_scores(array, rule, name), wide)

    return magnitudes.largest(keys, wide, max(1, round(total * rule.density))) if total else Cut(0.0, 0)


def masked(array: np.ndarray, kept: NDArray[np.bool_]) -> np.ndarray:
    """A copy with zeros (never -0.0) where the mask is false."""
    out = np.zeros(array.shape, array.dtype)
    np.copyto(out, array, where=kept)
    return out


def _densest(scores: list[NDArray], density: float) -> Cut:
    wide = scores[0].dtype.name == "float64"
    total = sum(each.size for each in scores)
    if total == 0:
        return Cut(0.0, 0)
    keep = max(1, round(total * density))
    return magnitudes.largest(lambda: (k for each in scores for k in magnitudes.keys(each, wide)), wide, keep)


def _scores(array: np.ndarray, rule: Rule, name: str) -> NDArray:
    """What is compared: the weights themselves (by magnitude), or the root mean squares of blocks."""
    if rule.block_size is None:
        return array
    return structured.block_scores(array, structured.block_shape(array.shape, _plain(rule.block_size), rule.dim, name))


def _plain(block_size: int | tuple[int, ...] | list[int]) -> int | tuple[int, ...]:
    return int(block_size) if isinstance(block_size, (int, np.integer)) else tuple(block_size)
