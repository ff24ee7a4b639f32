"""Lower bounds for layouts, from histograms of streams that are coded already: what they rule out is never coded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.dtypes import Dtype
from dcz.entropy import Coding
from dcz.kernels.interface import MAX_CODE_LENGTH
from dcz.tensor import codebook
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.streams import Analysis

# What a chunk takes in the index: its checksum, and about two bytes for each other number.
ROW_COST = 4
NUMBER_COST = 2

# Lengths that a code word can have, and the bits more that each leaves the other symbols of its row to take than the
# entropy among themselves: they share the rest of the code space.
_LENGTHS = np.arange(1.0, MAX_CODE_LENGTH + 1)
_OTHERS = -np.log2(1 - 2**-_LENGTHS)


def rows(histograms: NDArray[Any]) -> int:
    """Return a lower bound, in bytes, for rows with these histograms, shape (rows, symbols), by any code of whole bits.

    The most frequent symbol has a code word of at least one bit, and each other symbol what that leaves. Of 8-bit
    relative indices without fillers this bounds narrower ones too: with them, fillers and rest are together a code word
    of the gap.

    >>> rows(np.array([[900, 100], [0, 50]]))  # a bit for each of a thousand symbols, nothing for a row of one symbol
    125
    """
    counts = histograms.astype(np.float64)
    top = counts.max(axis=1)
    others = counts.sum(axis=1) - top
    terms = np.concatenate([counts, others[:, None], top[:, None]], axis=1)
    terms *= np.log2(np.maximum(terms, 1))
    bits = terms[:, -2] + terms[:, -1] - terms[:, :-2].sum(axis=1)  # the entropy of the others among themselves
    bits += (top[:, None] * _LENGTHS + others[:, None] * _OTHERS).min(axis=1)
    return int(bits[others > 0].sum() / 8)


def planes(analysis: Analysis, clusters: tuple[StoredCodebook | None, list[Coding]]) -> int:
    """Return a lower bound for byte planes of values whose clusters are already counted."""
    book, streams = clusters
    if book is None or len(streams) != 1 or not len(book.words):
        return 0
    return _planes(streams[0].symbols.histograms[:, : len(book.words)], book.words, analysis.dtype)


def _planes(histograms: NDArray[Any], words: NDArray[Any], dtype: Dtype) -> int:
    """Return a lower bound for byte planes of `words`, shape (clusters,). `histograms`, shape (rows, clusters), count
    them."""
    total = 0
    for symbols in codebook.rotate_left(words, dtype).view(np.uint8).reshape(len(words), dtype.word).T:
        order = np.argsort(symbols, kind="stable")
        ordered = symbols[order]
        edges = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        total += rows(np.add.reduceat(histograms[:, order], edges, axis=1))
    return total


def dense(analysis: Analysis, clusters: tuple[StoredCodebook | None, list[Coding]] | None, limit: int) -> int:
    """Return a lower bound for layouts that store all words, zeros too. It stops at the first bound over `limit`.
    `clusters` are those of the nonzeros, if they are known."""
    chunk = analysis.dense_chunk
    nonzeros = analysis.nonzeros_per(chunk)
    weights = np.full(len(nonzeros), chunk)
    weights[-1] = analysis.count - chunk * (len(nonzeros) - 1)
    # Chunks with zeros and nonzeros take a bit a weight at least.
    least = int(weights[(nonzeros > 0) & (nonzeros < weights)].sum()) // 8
    book, streams = clusters or (None, [])
    if least > limit or book is None or book.group or len(streams) != 1:
        return least
    edges = np.concatenate([[0], np.cumsum(nonzeros)])
    found = streams[0].symbols.histograms_of(edges)[:, : len(book.words)]
    found = np.concatenate([(weights - nonzeros)[:, None], found], axis=1)
    words = np.append(book.words.dtype.type(0), book.words)
    index = rows(found) + NUMBER_COST * len(found)
    if index > limit:
        index = min(index, _planes(found, words, analysis.dtype) + NUMBER_COST * analysis.dtype.word * len(found))
    return ROW_COST * len(found) + index
