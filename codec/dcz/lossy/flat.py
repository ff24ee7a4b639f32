"""A tensor's weights one after another, as floats to compute with, a piece at a time: no copy of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 20

# Element types that can be pruned and clustered. Those of six bits and fewer, and E8M0, which has no zero, are
# palettes of their own.
FLOATS = frozenset(
    ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz")
)


@dataclass(frozen=True, slots=True)
class Stored:
    """The elements of a tensor larger than memory, in C order: `read(first, last)` returns some of them. What goes by
    `pieces` takes it in place of an array."""

    read: Callable[[int, int], np.ndarray]
    dtype: np.dtype
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.read(part.start, part.stop)


def flat(array: Any) -> Any:
    """The elements in C order, shape (n,); a copy only where memory has another order."""
    if isinstance(array, Stored):
        return array
    return np.ascontiguousarray(array).reshape(-1)


def working(dtype: np.dtype) -> np.dtype:
    """The type to compute with, which holds every value of `dtype` exactly."""
    return np.dtype(np.float64 if dtype.name == "float64" else np.float32)


def limits_of(dtype: np.dtype) -> Any:
    """The largest and smallest numbers of a float type, as `numpy.finfo` has them."""
    if hasattr(np, dtype.name):
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def pieces(array: np.ndarray | Stored) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Each piece of a flat array: its slice, and its values in the type to compute with."""
    kind = working(array.dtype)
    for start in range(0, len(array), PIECE):
        part = slice(start, min(start + PIECE, len(array)))
        yield part, array[part].astype(kind, copy=False)


def finite(array: np.ndarray | Stored) -> bool:
    """True if it has neither NaN nor infinity."""
    return all(bool(np.isfinite(values).all()) for _, values in pieces(flat(array)))


def dot(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Inner product in float64, on the calling thread alone: a BLAS would start others for it."""
    return float(np.einsum("i,i->", a, b, dtype=np.float64))
