"""Size and error of a tensor at each step, or density and bit-width, measured with the codec."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dcz.errors import DczError
from dcz.lossy.compression import RecipeRunner
from dcz.lossy.selection import check_integer, check_number
from dcz.tensor import to_words
from dcz.tensor.choose import choose
from dcz.tensor.streams import Analysis

DENSITIES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.13, 0.09, 0.06, 0.04, 0.02)
N_BITS = (2, 3, 4, 5, 6, 7, 8)
# Of a grid, in units of the root mean square: a third of a bit apart.
STEPS = tuple(round(0.02 * 2 ** (number / 3), 4) for number in range(26))
# Where a grid would make zeros of all weights, a few large ones that are kept say more: tried for what no grid reaches.
_HARSH = (0.25, 0.13, 0.06, 0.03, 0.02)
_HARSH_BITS = (2,)
# The relative error at which nothing is left of a tensor, which only a score can allow.
GONE = 0.99

# Weights that are measured of a larger tensor: runs of them, evenly spread.
SAMPLE = 1 << 18
_RUN = 1 << 14
# Rounds of rounding by rate: the size and error of a grid are known to a part in a thousand by then.
_ROUNDS = 8
# Keys for which a sample of runs would not do.
_STRUCTURED = frozenset(("granularity", "block_size", "dim"))


@dataclass(frozen=True, slots=True)
class Point:
    """One treatment of a tensor: the recipe's keys for it, the bytes it is stored in with its share of the index,
    the root of the sum of squared errors over that of the squared weights, and where the layer's inputs are known the
    same of its outputs."""

    keys: dict[str, object]
    nbytes: int
    rel_error: float
    output_error: float | None = None

    @property
    def error(self) -> float:
        """Of the outputs where it is known, else of the weights."""
        return self.rel_error if self.output_error is None else self.output_error

    @property
    def density(self) -> float | None:
        """Fraction of the weights that is kept; None where none is set to zero."""
        return self.keys.get("density")  # type: ignore[return-value]

    @property
    def n_bits(self) -> int | None:
        """Bits of a cluster index before Huffman's code; None where nothing is clustered."""
        return self.keys.get("n_bits")  # type: ignore[return-value]

    @property
    def step(self) -> float | None:
        """Step of the grid in units of the root mean square; None where there is none."""
        return self.keys.get("step")  # type: ignore[return-value]

    def changed(self, **keys: object) -> Point:
        """The same with other keys, whose size and error are not measured."""
        return replace(self, keys={**self.keys, **keys})

    def sized(self, factor: float) -> Point:
        """The same in so many times the bytes."""
        return replace(self, nbytes=round(self.nbytes * factor))

    def scaled(self, factor: float) -> Point:
        """The same with another step, whose size and error are not measured."""
        if self.step is None:
            return self
        return self.changed(step=float(f"{self.step * factor:.4g}"))


@dataclass(frozen=True, slots=True)
class Tries:
    """What is tried of each tensor: steps of a grid, and every density with every bit-width of k-means."""

    steps: tuple[float, ...]
    densities: tuple[float, ...]
    n_bits: tuple[int, ...]

    @staticmethod
    def of(
        steps: Iterable[float] | None = None,
        densities: Iterable[float] | None = None,
        n_bits: Iterable[int] | None = None,
        *,
        kmeans: bool = False,
    ) -> Tries:
        """The values given, checked. Without any: steps, or k-means if it is wanted."""
        if densities is None and n_bits is None and (steps is not None or not kmeans):
            given = tuple(STEPS if steps is None else steps)
            for step in given:
                check_number(step, "steps", 0, 1e6, open_left=True)
            if not given:
                raise DczError("steps: give at least one")
            return Tries(given, (), ())
        some = () if steps is None else Tries.of(steps).steps
        checked = check_grid(DENSITIES if densities is None else densities, N_BITS if n_bits is None else n_bits)
        return Tries(some, *checked)

    @staticmethod
    def harsh() -> Tries:
        """A few of the largest weights, in four values."""
        return Tries((), _HARSH, _HARSH_BITS)

    def keys(self, density: float) -> Iterator[dict[str, object]]:
        """The recipe's keys of each try that changes a tensor of this density, from mild to harsh of each kind."""
        for step in sorted(set(self.steps)):
            yield {"step": step}
        for kept in [None, *sorted((d for d in set(self.densities) if d < density), reverse=True)]:
            if kept is not None or 1.0 in self.densities:
                pruned: dict[str, object] = {} if kept is None else {"density": kept}
                for bits in sorted(set(self.n_bits)):
                    yield {**pruned, "n_bits": bits}


def check_grid(densities: Iterable[float], n_bits: Iterable[int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Densities and bit-widths, checked."""
    densities, n_bits = tuple(densities), tuple(n_bits)
    for density in densities:
        check_number(density, "densities", 0, 1, open_left=True)
    for bits in n_bits:
        check_integer(bits, "n_bits", 1, 16)
    if not densities or not n_bits:
        raise DczError("densities, n_bits: give at least one of each")
    return densities, n_bits


def stored_bytes(array: np.ndarray, profile: str, name: str = "array") -> int:
    """Bytes of a tensor in a file: exactly its segment, and what its entry in the index is expected to take."""
    return choose(Analysis(to_words(array, name)), profile).cost


def sample(array: np.ndarray) -> tuple[np.ndarray, float]:
    """A tensor to measure instead of a large one, and how many times larger that is."""
    if array.size <= SAMPLE:
        return array, 1.0
    flat = np.ascontiguousarray(array).reshape(-1)
    starts = np.linspace(0, array.size - _RUN, SAMPLE // _RUN).astype(np.int64)
    return np.stack([flat[start : start + _RUN] for start in starts]), array.size / SAMPLE


def whole(array: np.ndarray, profile: str, name: str = "array") -> Point:
    """A tensor left alone."""
    part, factor = sample(array)
    return Point({"leave": True}, round(stored_bytes(part, profile, name) * factor), 0.0)


def treated(array: np.ndarray, keys: Mapping[str, object], base: Mapping[str, object], profile: str) -> Point:
    """A tensor treated by these keys of a recipe, on top of those of `base`."""
    part, factor = (array, 1.0) if _STRUCTURED & set(base) else sample(array)
    rounds: dict[str, object] = {"max_iter": _ROUNDS} if "step" in keys and "max_iter" not in base else {}
    runner = RecipeRunner({**base, **rounds, **keys, "weight_threshold": 0}, ["w"], lambda name: part)
    if part.ndim < 2:
        part = part.reshape(1, -1)
    out, done = runner.apply("w", part)
    return Point(dict(keys), round(stored_bytes(out, profile) * factor), done.rel_error)


def curve(name: str, array: np.ndarray, tries: Tries, base: Mapping[str, object], profile: str) -> list[Point]:
    """The tensor left alone, and treated in every way that is tried."""
    return [whole(array, profile, name), *treatments(array, tries, base, profile)]


def treatments(array: np.ndarray, tries: Tries, base: Mapping[str, object], profile: str) -> list[Point]:
    """The tensor treated in every way that is tried."""
    own = np.count_nonzero(array) / max(array.size, 1)
    return [treated(array, keys, base, profile) for keys in tries.keys(own)]
