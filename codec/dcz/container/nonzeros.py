"""The nonzero words of a chunk: where they are, and which clusters they belong to (SPEC 4).

A chunk is decoded to its words like any other, and the zeros are left out: one chunk of dense memory, one decoder."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.decode import Decoder
from dcz.kernels.interface import I64, U8


class ChunkNonzeros(NamedTuple):
    """Nonzero words of a chunk in ascending order of `where`, their positions in the tensor."""

    where: I64
    words: NDArray


def nonzeros(decoder: Decoder, t: int, number: int, data: U8) -> ChunkNonzeros:
    """Chunk `number` of tensor `t` from its stored bytes; `decoder.prepare` has been called for the tensor.

    Raises `ChecksumError` and `FormatError` as decoding it to an array does."""
    c = decoder.columns
    first = number * int(c.chunk[t])
    dense = np.empty(min(int(c.chunk[t]), int(c.weights[t]) - first), f"<u{c.word[t]}")
    decoder.decode_part(t, number, number + 1, data, dense.view(np.uint8))
    where = np.flatnonzero(dense != 0)
    return ChunkNonzeros(where + first, dense[where])


def clusters_of(books: NDArray, group: int, rotate: bool, found: ChunkNonzeros) -> NDArray[np.uint16]:
    """The entries of a chunk's nonzeros in their codebooks, shape (codebooks, entries), of which each ascends in the
    order of its words, rotated where the tensor's are (SPEC 6.2). Every `group` words share one; all do where it
    is 0."""
    words = _rotated(found.words) if rotate else found.words
    if not group:
        return np.searchsorted(_rotated(books[0]) if rotate else books[0], words).astype(np.uint16)
    out = np.empty(len(words), np.uint16)
    numbers = found.where // group
    ends = np.flatnonzero(np.diff(numbers, append=-1)) + 1  # of the runs that share a codebook
    start = 0
    for end in ends.tolist():
        book = books[numbers[start]]
        out[start:end] = np.searchsorted(_rotated(book) if rotate else book, words[start:end])
        start = end
    return out


def _rotated(words: NDArray) -> NDArray:
    """Words rotated left by one bit."""
    return (words << 1) | (words >> (8 * words.dtype.itemsize - 1))
