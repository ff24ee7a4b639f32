"""Words to streams of symbols and back: distinct values, bitmaps, byte planes.

Words are taken in blocks, so that what numpy allocates on the way is bounded whatever the size of a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import SYMBOLS, U8, KernelError, Scan, Status

# Words of a block, a multiple of 8: its bits fill whole bytes.
BLOCK = 1 << 16


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of BLOCK items, the last shorter, that cover `count` items."""
    for first in range(0, count, BLOCK):
        yield slice(first, min(first + BLOCK, count))


def as_words(words: U8, word: int) -> NDArray[Any]:
    """Return bytes as words of `word` bytes each."""
    return np.frombuffer(words, np.dtype(f"<u{word}"))


class _Numbering:
    """Distinct words, numbered in order of first appearance."""

    def __init__(self, dtype: np.dtype) -> None:
        self.keys = np.empty(0, dtype)  # ascending
        self.numbers = np.empty(0, np.int64)  # of each key

    def add(self, found: NDArray[Any]) -> None:
        """Number the words that are new."""
        fresh = found[self._places(found) < 0]
        keys, first = np.unique(fresh, return_index=True)
        numbers = np.empty(len(keys), np.int64)
        numbers[np.argsort(first)] = np.arange(len(keys)) + len(self.keys)
        merged = np.concatenate([self.keys, keys])
        order = np.argsort(merged, kind="stable")
        self.keys, self.numbers = merged[order], np.concatenate([self.numbers, numbers])[order]

    def of(self, found: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of each word, all of which have one."""
        return self.numbers[self._places(found)]

    def in_order(self) -> NDArray[np.uint64]:
        """Return the words by number."""
        return self.keys[np.argsort(self.numbers)].astype(np.uint64)

    def _places(self, found: NDArray[Any]) -> NDArray[np.int64]:
        """Return where each word is among the keys, -1 where it is not."""
        if not len(self.keys):
            return np.full(len(found), -1)
        at = np.minimum(np.searchsorted(self.keys, found), len(self.keys) - 1)
        return np.where(self.keys[at] == found, at, -1)


def scan(words: U8, word: int, limit: int) -> Scan | None:
    values = as_words(words, word)
    numbering = _Numbering(values.dtype)
    bits = np.empty(-(-len(values) // 8), np.uint8)
    ids = np.empty(len(values), np.uint8 if limit <= SYMBOLS else np.uint16)
    at = 0
    for block in blocks(len(values)):
        part = values[block].copy()  # the array may change meanwhile
        set_ = part != 0
        bits[block.start // 8 : -(-block.stop // 8)] = np.packbits(set_, bitorder="little")
        found = part[set_]
        numbering.add(found)
        if len(numbering.keys) > limit:
            return None
        ids[at : at + len(found)] = numbering.of(found)
        at += len(found)
    ids.resize(at, refcheck=False)
    return Scan(numbering.in_order(), ids, bits)


def bitmap(words: U8, word: int) -> tuple[U8, int]:
    values = as_words(words, word)
    out, count = np.empty(-(-len(values) // 8), np.uint8), 0
    for block in blocks(len(values)):
        set_ = values[block] != 0
        out[block.start // 8 : -(-block.stop // 8)] = np.packbits(set_, bitorder="little")
        count += int(np.count_nonzero(set_))
    return out, count


def nonzeros(words: U8, word: int, count: int) -> U8:
    values = as_words(words, word)
    out, at = np.empty(count, values.dtype), 0
    for block in blocks(len(values)):
        part = values[block].copy()  # the array may change meanwhile
        found = part[part != 0]
        if at + len(found) > count:
            raise KernelError(Status.ARGUMENT)
        out[at : at + len(found)] = found
        at += len(found)
    if at != count:
        raise KernelError(Status.ARGUMENT)
    return out.view(np.uint8)


def _rotate(values: NDArray[Any], by: int) -> NDArray[Any]:
    width = values.dtype.itemsize * 8
    kind = values.dtype.type
    return values << kind(by) | values >> kind(width - by)


def split(words: U8, word: int, rotate: bool) -> NDArray[np.uint8]:
    values = as_words(words, word)
    out = np.empty((word, len(values)), np.uint8)
    for block in blocks(len(values)):
        part = _rotate(values[block], 1) if rotate else values[block]
        out[:, block] = part.view(np.uint8).reshape(-1, word).T
    return out


def merge(planes: NDArray[np.uint8], rotate: bool) -> U8:
    word = planes.shape[0]
    values = np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{word}")
    return (rotate_right(values) if rotate else values).view(np.uint8)


def rotate_right(values: NDArray[Any]) -> NDArray[Any]:
    """Undo the rotation by one bit with which floats are split."""
    return _rotate(values, 8 * values.dtype.itemsize - 1)
