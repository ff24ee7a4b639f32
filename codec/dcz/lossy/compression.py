"""Tensors by a recipe: each is pruned, clustered, both, or left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.lossy.clustering import check_importance, cluster_array
from dcz.lossy.fidelity import fidelity
from dcz.lossy.magnitudes import Cut
from dcz.lossy.pruning import Rule, global_cut, mask, mask_by, masked
from dcz.lossy.recipe import Recipe, Settings
from dcz.lossy.selection import check_finite, check_tensors, why_left


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one tensor.

    `density` is the fraction of its weights that is not zero; `clusters` the entries of its codebook, None where it
    has none; `bits` what a cluster index takes by Huffman's code; `rel_error` the root of the sum of squared errors
    over that of the squared weights; `left` why it was left alone, else None."""

    density: float | None
    clusters: int | None
    bits: float | None
    rel_error: float
    left: str | None


class Compressed(dict[str, np.ndarray]):
    """Names to arrays, as `save_file` takes them; `done` says what became of each."""

    done: dict[str, Done]


def compress(
    tensors: Mapping[str, np.ndarray],
    recipe: Mapping[str, object] | str,
    *,
    importance: Mapping[str, np.ndarray] | None = None,
    keep_nonfinite: bool = False,
) -> Compressed:
    """Prunes and clusters tensors by a recipe; the result is plain arrays. The arrays given stay as they are, and
    those that nothing is done to are passed on. Names of one array stay so if the recipe treats them alike.

    Args:
        tensors: names to numpy arrays.
        recipe: a mapping, or the path of a TOML or JSON file with one. Keys are the arguments of `dcz.prune` and
            `dcz.cluster` (`density`, `n_bits`, `init`, `entropy`, `granularity`, ...) and `weight_threshold`. At the
            top they apply to all eligible tensors; `"tensors": {PATTERN: {...}}` overrides them by name, where
            `false` takes a key away and `"leave": true` leaves a tensor alone. A tensor whose very name is given
            is eligible though it is small or a bias.
        importance: how much each weight counts in clustering; see `dcz.cluster`.
        keep_nonfinite: leaves tensors with NaN or infinity alone instead of refusing them.

    Raises:
        DczError: unknown keys, values out of range, an empty recipe, patterns that match nothing, NaN or infinity.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).standard_normal((128, 128)).astype("float32")
    >>> recipe = {"density": 0.09, "n_bits": 5, "tensors": {"head*": {"density": 0.25}}}
    >>> small = dcz.compress({"body": w, "head": w.copy(), "bias": w[0]}, recipe)
    >>> [f"{done.density:.2f}" for done in small.done.values()], small.done["bias"].left
    (['0.09', '0.25', '1.00'], 'biases and norms (fewer than two dimensions) are left alone unless named')
    >>> len(dcz.save(small)) < w.nbytes / 8
    True
    """
    check_tensors(tensors)
    runner = Runner(recipe, tensors, lambda name: tensors[name], keep_nonfinite)
    importance = check_importance(importance, tensors)
    out, shared = Compressed(), {}
    out.done = {}
    for name, array in tensors.items():
        key = (identity(array), runner.settings(name), id(importance.get(name)))
        if key not in shared or key[0] is None:
            shared[key] = runner.apply(name, np.asarray(array), importance.get(name))
        out[name], out.done[name] = shared[key]
    return out


class Runner:
    """A recipe for tensors that are read one at a time. `read(name)` gives a tensor, where all of them count
    (`scope: global`) several times."""

    def __init__(
        self, recipe: object, names: Iterable[str], read: Callable[[str], np.ndarray], keep_nonfinite: bool = False
    ) -> None:
        self._names = list(names)
        self._recipe = Recipe.parse(recipe)
        self._recipe.check(self._names)
        self._read = read
        self._keep_nonfinite = keep_nonfinite
        self._cuts: dict[Rule, Cut] = {}

    def settings(self, name: str) -> Settings:
        """What the recipe says of a tensor."""
        return self._recipe.settings(name)

    def apply(self, name: str, array: np.ndarray, importance: np.ndarray | None = None) -> tuple[np.ndarray, Done]:
        """The tensor after its treatment, and what that was."""
        settings = self.settings(name)
        reason = self._why_left(name, array, settings)
        if reason is not None:
            nonzero = float(np.count_nonzero(array)) / array.size if array.size else None
            return array, Done(nonzero, None, None, 0.0, reason)
        out, clusters, bits = array, None, None
        if settings.rule is not None:
            out = masked(out, self._mask(name, array, settings.rule))
        if settings.scheme is not None:
            found = cluster_array(out, settings.scheme, importance=importance, name=name)
            out, clusters, bits = found.array(), found.k, found.bits
        error = fidelity(array, out).relative
        return out, Done(float(np.count_nonzero(out)) / out.size, clusters, bits, error, None)

    def _why_left(self, name: str, array: np.ndarray, settings: Settings) -> str | None:
        threshold, asked = settings.weight_threshold, settings.asked
        reason = why_left(array.shape, array.dtype, weight_threshold=threshold, asked=asked)
        if reason is None and (settings.leave or (settings.rule is None and settings.scheme is None)):
            reason = "the recipe leaves it alone"
        return reason or check_finite(name, array, self._keep_nonfinite)

    def _mask(self, name: str, array: np.ndarray, rule: Rule) -> np.ndarray:
        if rule.scope == "tensor":
            return mask(array, rule, name=name)
        if rule not in self._cuts:
            self._cuts[rule] = global_cut(lambda: self._members(rule), rule)
        found, self._cuts[rule] = mask_by(array, rule, self._cuts[rule], name)
        return found

    def _members(self, rule: Rule) -> Iterator[tuple[str, np.ndarray]]:
        """The tensors that are pruned together."""
        for name in self._names:
            settings = self.settings(name)
            if settings.rule == rule and not settings.leave:
                array = np.asarray(self._read(name))
                if self._why_left(name, array, settings) is None:
                    yield name, array


def identity(array: object) -> tuple | None:
    """What two arrays share when they are the same memory seen the same way."""
    if not isinstance(array, np.ndarray) or array.nbytes == 0:
        return None
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str, array.dtype.name)
