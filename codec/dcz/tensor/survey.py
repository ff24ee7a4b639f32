"""The first pass over words that are read in blocks: which ones there are, and where they are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import SYMBOLS, U8
from dcz.tensor.chunking import STEP
from dcz.tensor.words import StoredWords, WordSource, blocks_of

MAX_ENTRIES = 1 << 16
_ONES = np.array([bin(i).count("1") for i in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Survey:
    """The distinct nonzero words, ascending; None where a codebook would not have fewer planes than the words. `ones`
    counts the nonzeros of each `STEP` words."""

    keys: NDArray[Any] | None
    ones: NDArray[np.int64]


def survey(words: StoredWords) -> Survey:
    """Return what one pass over the words finds."""
    kernel, word = kernels.active(), words.dtype.word
    limit = {1: 0, 2: SYMBOLS}.get(word, MAX_ENTRIES)
    keys: NDArray[Any] | None = np.zeros(0, np.uint64) if limit else None
    ones = []
    for first, last in blocks_of(words):
        data = words.part(first, last)
        if keys is not None:
            found = distinct(data, word, limit)
            keys = None if found is None else np.union1d(keys, found)
            keys = None if keys is not None and len(keys) > limit else keys
        ones.append(ones_of(kernel.bitmap(data, word)[0], STEP))
    return Survey(keys, np.concatenate(ones))


def distinct(data: U8, word: int, limit: int) -> NDArray[np.uint64] | None:
    """Return the distinct nonzero words, or None for more than `limit`. Few are found faster than many."""
    found = kernels.active().scan(data, word, min(limit, SYMBOLS))
    if found is None and limit > SYMBOLS:
        found = kernels.active().scan(data, word, limit)
    return None if found is None else found.keys


def ones_of(bitmap: U8, chunk: int) -> NDArray[np.int64]:
    """Return the number of bits that are set for each `chunk` words."""
    ones = np.bitwise_count(bitmap) if hasattr(np, "bitwise_count") else _ONES[bitmap]
    size = chunk // 8
    whole = len(ones) // size * size  # reduceat would make 64-bit integers of them all
    counts = ones[:whole].reshape(-1, size).sum(axis=1, dtype=np.int64)
    return counts if whole == len(ones) else np.append(counts, ones[whole:].sum(dtype=np.int64))


def few_distinct(words: WordSource, start: int, size: int) -> tuple[NDArray[np.uint64], int] | None:
    """Return the distinct nonzero words of `size` words and the number of the nonzeros, or None for more than 255: zero
    may need an entry too."""
    keys, nonzeros = np.zeros(0, np.uint64), 0
    for first in range(start, start + size, words.block):
        data = words.part(first, min(first + words.block, start + size))
        found = kernels.active().scan(data, words.dtype.word, SYMBOLS)
        if found is None:
            return None
        keys = np.union1d(keys, found.keys) if len(keys) else found.keys
        nonzeros += len(found.ids)
        if len(keys) >= SYMBOLS:
            return None
    return keys, nonzeros
