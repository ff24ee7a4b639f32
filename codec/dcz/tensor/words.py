"""Arrays to words, the bit patterns that the codec works on, and back (SPEC 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dcz import dtypes, kernels
from dcz.dtypes import Dtype
from dcz.errors import DczError, UnsupportedError
from dcz.kernels.interface import U8


@dataclass(frozen=True, slots=True)
class Words:
    """An array's bits: `data` in C order and little-endian, `count` words of `dtype.word` bytes."""

    data: U8
    dtype: Dtype
    shape: tuple[int, ...]
    held: ClassVar[bool] = True

    @property
    def count(self) -> int:
        return len(self.data) // self.dtype.word

    @property
    def nbytes(self) -> int:
        return len(self.data)

    @property
    def block(self) -> int:
        """Return how many words are looked at at once: all."""
        return max(self.count, 1)

    def part(self, first: int, last: int) -> U8:
        """Return the bytes of words [first, last)."""
        word = self.dtype.word
        return self.data[first * word : last * word]

    def copy(self) -> Words:
        """Return the same words in memory of their own."""
        return Words(self.data.copy(), self.dtype, self.shape)


@dataclass(frozen=True, slots=True)
class StoredWords:
    """The words of a tensor larger than memory, which are read in blocks, several times.

    `part(first, last)` returns the bytes of words [first, last) in an array that nobody else changes: the same bytes
    each time, or saving fails. At most `block` words are read at once, a multiple of `BLOCK_STEP`. `Writer.add` takes
    such words in place of an array, and writes the bytes that it would write for the array.

    >>> import io, numpy, dcz
    >>> array = numpy.arange(3_000_000, dtype="<u4").reshape(3, -1)
    >>> words = in_blocks(lambda a, b: array.reshape(-1)[a:b].view("u1").copy(), "U32", array.shape, 1 << 20)
    >>> file = io.BytesIO()
    >>> with dcz.Writer(file) as writer:
    ...     _ = writer.add("w", words)
    >>> file.getvalue() == dcz.save({"w": array})
    True
    """

    part: Callable[[int, int], U8]
    dtype: Dtype
    shape: tuple[int, ...]
    count: int
    block: int
    held: ClassVar[bool] = False

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.word


# What is read at once is a multiple of it: a chunk has at most so many words.
BLOCK_STEP = 1 << 20

WordSource = Words | StoredWords


def in_blocks(part: Callable[[int, int], U8], code: str, shape: tuple[int, ...], block: int) -> StoredWords:
    """Return words of the dtype `code` that `part` reads, at most `block` at once, rounded down to `BLOCK_STEP`."""
    dtype = dtypes.by_code(code, "words")
    count = dtype.words
    for length in shape:
        count *= length
    return StoredWords(part, dtype, shape, count, max(block // BLOCK_STEP, 1) * BLOCK_STEP)


def blocks_of(words: WordSource) -> Iterator[tuple[int, int]]:
    """Yield ranges of words that may be read at once, in order."""
    for first in range(0, words.count, words.block):
        yield first, min(first + words.block, words.count)


def crc_of(words: WordSource) -> int:
    """Return the CRC-32C of all words."""
    crc = 0
    for first, last in blocks_of(words):
        crc = kernels.active().crc32c(words.part(first, last), crc)
    return crc


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
