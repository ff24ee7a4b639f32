"""Size and error of a tensor at each density and bit-width, measured with the codec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.errors import DczError
from dcz.lossy.compression import RecipeRunner
from dcz.lossy.selection import check_integer, check_number
from dcz.tensor import to_words
from dcz.tensor.choose import choose
from dcz.tensor.streams import Analysis

DENSITIES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.13, 0.09, 0.06, 0.04, 0.02)
N_BITS = (2, 3, 4, 5, 6, 7, 8)

# Weights that are measured of a larger tensor: runs of them, evenly spread.
SAMPLE = 1 << 20
_RUN = 1 << 14
# Keys for which a sample of runs would not do.
_STRUCTURED = frozenset(("granularity", "block_size", "dim"))


@dataclass(frozen=True, slots=True)
class Point:
    """One treatment of a tensor: the recipe's keys for it, the bytes it is stored in with its share of the index,
    and the root of the sum of squared errors over that of the squared weights."""

    keys: dict[str, object]
    nbytes: int
    rel_error: float

    @property
    def density(self) -> float | None:
        """Fraction of the weights that is kept; None where none is set to zero."""
        return self.keys.get("density")  # type: ignore[return-value]

    @property
    def n_bits(self) -> int | None:
        """Bits of a cluster index before Huffman's code; None where nothing is clustered."""
        return self.keys.get("n_bits")  # type: ignore[return-value]


def check_grid(densities: Iterable[float], n_bits: Iterable[int]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The values to try, checked."""
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
    runner = RecipeRunner({**base, **keys, "weight_threshold": 0}, ["w"], lambda name: part)
    if part.ndim < 2:
        part = part.reshape(1, -1)
    out, done = runner.apply("w", part)
    return Point(dict(keys), round(stored_bytes(out, profile) * factor), done.rel_error)


def curve(
    name: str,
    array: np.ndarray,
    densities: tuple[float, ...],
    n_bits: tuple[int, ...],
    base: Mapping[str, object],
    profile: str,
) -> list[Point]:
    """The tensor left alone, and at every density that takes something away, with every bit-width."""
    own = np.count_nonzero(array) / max(array.size, 1)
    points = [whole(array, profile, name)]
    for density in [None, *sorted((d for d in set(densities) if d < own), reverse=True)]:
        if density is None and 1.0 not in densities:
            continue
        for bits in sorted(set(n_bits)):
            keys: dict[str, object] = {"n_bits": bits} if density is None else {"density": density, "n_bits": bits}
            points.append(treated(array, keys, base, profile))
    return points
