"""Arrays to words, the bit patterns that the codec works on, and back (SPEC 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import dtypes
from dcz.dtypes import Dtype
from dcz.errors import DczError, UnsupportedError
from dcz.kernels.interface import U8


@dataclass(frozen=True, slots=True)
class Words:
    """An array's bits: `data` in C order and little-endian, `count` words of `dtype.word` bytes."""

    data: U8
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.data) // self.dtype.word

    def copy(self) -> Words:
        """Return the same words in memory of their own."""
        return Words(self.data.copy(), self.dtype, self.shape)


def to_words(array: object, name: str) -> Words:
    """Return the words of a numpy array. Only what is not contiguous or not little-endian is copied.

    Raises `UnsupportedError` for anything but a plain array of a dtype in SPEC 2."""
    field = f"tensor {name!r}"
    if isinstance(array, np.ma.MaskedArray):
        raise UnsupportedError(f"{field}: a masked array would lose its mask; store .filled() and .mask")
    if not isinstance(array, (np.ndarray, np.generic)):
        raise UnsupportedError(
            f"{field}: expected a numpy array, found {type(array).__module__}.{type(array).__qualname__}; "
            "convert it with numpy.asarray, or use the integration of its framework (dcz.torch, dcz.jax, ...)"
        )
    array = np.asarray(array)
    dtype = dtypes.by_numpy(array.dtype, field)
    shape = array.shape
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.byteorder == ">" or (flat.dtype.byteorder == "=" and np.little_endian is False):
        flat = flat.byteswap()  # of a complex number, each part
    data = flat.view(np.uint8)
    if dtype.bits < 8 and not fits(data, dtype):
        raise DczError(
            f"{field}: {dtype.name} has {dtype.bits} bits an element, but bits above them are set; "
            "make the array with astype, not from packed bytes"
        )
    return Words(data, dtype, shape)


def fits(data: U8, dtype: Dtype) -> bool:
    """Return whether the bits above each element of a type narrower than a byte are zero (SPEC R-ELEM-1)."""
    return dtype.bits >= 8 or not len(data) or int(data.max()) < 1 << dtype.bits


def from_words(data: U8, dtype: Dtype, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array over these bytes, sharing their memory."""
    return np.ndarray(shape, dtype.numpy(), data)
