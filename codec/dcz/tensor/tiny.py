"""Tensors of a few bytes: whether any layout could be smaller than the words as they are, without the search.

A model can have hundreds of thousands of scalars and short vectors. The search takes a millisecond for each; these
bounds take microseconds. Where they do not decide, the search does, so the bytes are always those of the search.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dcz.entropy.code import HUFFMAN_COSTS
from dcz.tensor.words import WordSource

# zstd is never tried on fewer symbols, and there are no groups among so few words.
LIMIT = 64

# Bytes in the index: a chunk's checksum and each of its numbers; a codebook's own.
_CHECKSUM, _NUMBER, _BOOK = 4, 2, 5
# The least that any stream costs: its code, and without symbols nothing else.
_CODE = 1

# How `struct` calls words of so many bytes.
_FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def stays(words: WordSource, data: bytes, profile: str) -> bool:
    """Return whether no layout of the profile costs less than the words as they are. False if in doubt. `data` are
    their 1 to `LIMIT` - 1 bytes."""
    if profile == "raw":
        return True
    dtype = words.dtype
    kind = _FORMATS[dtype.word]
    values: Sequence[int] = struct.unpack(f"<{len(data) // dtype.word}{kind}", data)
    if dtype.rotate:  # what planes and codebooks are made of
        top, mask = 8 * dtype.word - 1, (1 << 8 * dtype.word) - 1
        values = [value << 1 & mask | value >> top for value in values]
    whole = len(data) + _CODE + _row(1)
    nonzeros = len(values) - values.count(0)
    if nonzeros < len(values) and _sparse(values, nonzeros, kind) < whole:
        return False
    if _planes(values, kind) + _row(dtype.word) < whole:
        return False
    return dtype.word == 1 or _codebook(values, kind) + _row(1) >= whole


def _row(numbers: int) -> int:
    """Return the index cost of a chunk with so many numbers."""
    return _CHECKSUM + _NUMBER * numbers


def _sparse(values: Sequence[int], nonzeros: int, kind: str) -> int:
    """Bound nonzeros and their positions: a bitmap, with one more number a chunk, or relative indices, with two."""
    stored = [value for value in values if value]
    bits = sum([1 << at for at, value in enumerate(values) if value])
    bitmap = _stream(bits.to_bytes(-(-len(values) // 8), "little")) + 2 * _NUMBER
    relative = _CODE + -(-nonzeros // 8) + 3 * _NUMBER
    word = struct.calcsize(kind)
    of_values = _planes(stored, kind) + _row(word)
    if word > 1:
        of_values = min(of_values, _codebook(stored, kind) + _row(1))
    return min(bitmap, relative) + of_values


def _planes(values: Sequence[int], kind: str) -> int:
    """Bound words as byte planes."""
    data, word = struct.pack(f"<{len(values)}{kind}", *values), struct.calcsize(kind)
    return sum([_stream(data[plane::word]) for plane in range(word)])


def _codebook(values: Sequence[int], kind: str) -> int:
    """Bound words as cluster indices and a codebook, which is stored as differences of its words in ascending order."""
    words = sorted(set(values))
    steps = [word - before for before, word in zip([0, *words], words)]
    return _stream_bound(len(values), max(len(words) - 1, 0)) + _BOOK + _planes(steps, kind)


def _stream(symbols: bytes) -> int:
    """Bound a stream of one row."""
    if not symbols:
        return _CODE
    top = max(symbols)
    return _stream_bound(len(symbols), top, symbols.count(top) == len(symbols))


def _stream_bound(count: int, top: int, constant: bool | None = None) -> int:
    """Bound a stream of one row whose highest symbol is `top`."""
    if not count:
        return _CODE
    constant = top == 0 if constant is None else constant
    bound = _CODE + count
    if 0 < top < 128:
        bound = _CODE + -(-count * top.bit_length() // 8)
    return min(bound, HUFFMAN_COSTS[top + 1] + (0 if constant else -(-count // 8)))
