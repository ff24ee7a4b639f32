"""Tensors of a few bytes: whether any layout could be smaller than the words as they are, without the search.

A model can have hundreds of thousands of scalars and short vectors. The search takes a millisecond for each; these
bounds take microseconds, and where they decide, the search would decide the same.
"""

from __future__ import annotations

from dcz.entropy.code import huffman_cost
from dcz.tensor.words import Words

# zstd is never tried on fewer symbols, and there are no groups among so few words.
LIMIT = 64

# Bytes in the index: a chunk's checksum and each of its numbers; a codebook's own.
_CHECKSUM, _NUMBER, _BOOK = 4, 2, 5
# The least that any stream costs: its code, and without symbols nothing else.
_CODE = 1


def stays(words: Words, whole: int) -> bool:
    """Whether no layout costs less than `whole`, the cost of the words as they are. False if in doubt."""
    word, data = words.dtype.word, words.data.tobytes()
    row = _CHECKSUM + _NUMBER * word
    if sum([_stream(data[plane::word]) for plane in range(word)]) + row < whole:
        return False  # dense planes
    values = [data[at : at + word] for at in range(0, len(data), word)]
    nonzeros = [value for value in values if any(value)]
    if len(nonzeros) < len(values) and _sparse(len(nonzeros), word) < whole:
        return False
    return word == 1 or _dense_codebook(values, word) >= whole


def _sparse(nonzeros: int, word: int) -> int:
    """A bound for bitmap and relative indices with planes, or with a codebook of one entry or none."""
    symbols = 1 if nonzeros else 0
    positions = _CODE + 1 if nonzeros else _CODE
    planes = word * (_CODE + symbols) + _CHECKSUM + _NUMBER * (word + 2)
    codebook = _CODE + symbols + _BOOK + word * (_CODE + symbols) + _CHECKSUM + _NUMBER * 3
    return positions + min(planes, codebook)


def _dense_codebook(values: list[bytes], word: int) -> int:
    """A bound for cluster indices and a codebook, which is stored as differences of its words in ascending order."""
    entries = len(set(values))
    index = _stream_bound(len(values), entries - 1)
    # No plane of the codebook is smaller than one of a bit a word, but for planes of a single symbol.
    plane = min(_stream_bound(entries, 1), _stream_bound(entries, 0))
    return index + _BOOK + word * plane + _CHECKSUM + _NUMBER


def _stream(symbols: bytes) -> int:
    """A bound for a stream of one row."""
    top = max(symbols)
    return _stream_bound(len(symbols), top, symbols.count(top) == len(symbols))


def _stream_bound(count: int, top: int, constant: bool | None = None) -> int:
    """A bound for a stream of one row whose highest symbol is `top`."""
    constant = top == 0 if constant is None else constant
    bound = _CODE + count
    if 0 < top < 128:
        bound = _CODE + -(-count * top.bit_length() // 8)
    return min(bound, huffman_cost(top + 1) + (0 if constant else -(-count // 8)))
