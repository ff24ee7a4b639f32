"""CRC-32C of runs of chunks, from the checksums of the chunks alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dcz import kernels
from dcz.errors import UnsupportedError
from dcz.kernels.checksums import combine
from dcz.kernels.interface import I64, U8
from dcz.tensor.words import StoredWords, blocks_of
from dcz.text import plural


def joined(crcs: Iterable[int], sizes: Iterable[int]) -> int:
    """Return the CRC-32C of consecutive runs of `sizes` bytes, from the CRC-32C of each.

    >>> from dcz import kernels
    >>> import numpy
    >>> crc = kernels.active().crc32c
    >>> a, b = numpy.frombuffer(b"12345", "u1"), numpy.frombuffer(b"6789", "u1")
    >>> hex(joined([crc(a), crc(b)], [5, 4]))
    '0xe3069283'
    """
    out = 0
    for crc, size in zip(crcs, sizes, strict=True):
        out = combine(out, int(crc), size)
    return out


def chunk_bytes(words: int, chunk: int, word: int) -> I64:
    """Return the bytes of each chunk of a tensor."""
    return np.diff(bounds(words, chunk, word))


def bounds(words: int, chunk: int, word: int) -> I64:
    """Return where each chunk of a tensor begins, in bytes, and where the last ends."""
    return np.append(np.arange(0, words * word, chunk * word, dtype=np.int64), np.int64(words * word))


def coarser(crcs: I64, words: int, chunk: int, word: int, to: int) -> I64:
    """Return the checksums of chunks of `to` words, a multiple of `chunk`."""
    if to == chunk:
        return crcs
    if to % chunk:
        raise UnsupportedError(f"chunks of {plural(to, 'word')} are not a multiple of chunks of {chunk}")
    each, sizes = to // chunk, chunk_bytes(words, chunk, word)
    groups = range(0, len(crcs), each)
    return np.array([joined(crcs[i : i + each], sizes[i : i + each].tolist()) for i in groups], np.int64)


def rows(data: U8, words: int, chunk: int, word: int) -> I64:
    """Return the checksum of each chunk of a tensor's bytes."""
    return kernels.active().crc32c_rows(data, bounds(words, chunk, word)).astype(np.int64)


def stored_rows(words: StoredWords, chunk: int) -> I64:
    """Return the checksum of each chunk of words that are read in blocks, which hold whole chunks."""
    found = [rows(words.part(first, last), last - first, chunk, words.dtype.word) for first, last in blocks_of(words)]
    return np.concatenate(found)
