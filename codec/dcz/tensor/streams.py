"""The streams of a tensor before a layout is chosen. Each is computed once, when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy import Coding, Symbols, coding
from dcz.kernels.interface import SYMBOLS, U8, Scan
from dcz.tensor import chunking, codebook, groups
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.groups import Groups
from dcz.tensor.layout import RELATIVE_BITS
from dcz.tensor.words import Words

MAX_ENTRIES = 1 << 16
# Words whose nonzeros are taken out at once.
_BLOCK = 1 << 22


class Analysis:
    """Positions and values of one tensor as streams of symbols, sparse and dense."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.dtype = words.dtype
        self.count = words.count

    # -- where the nonzeros are

    @cached_property
    def scan(self) -> Scan | None:
        """The distinct nonzero words; None where a codebook would not have fewer planes than the words."""
        kernel, word = kernels.active(), self.dtype.word
        if word == 1 or self.count == 0:
            return None
        found = kernel.scan(self.words.data, word, SYMBOLS)
        if found is None and word > 2 and self.count > SYMBOLS:
            found = kernel.scan(self.words.data, word, min(MAX_ENTRIES, 1 << (self.count - 1).bit_length()))
        return found

    @cached_property
    def _bitmap(self) -> tuple[U8, int]:
        if self.scan is not None:
            return self.scan.bitmap, len(self.scan.ids)
        return kernels.active().bitmap(self.words.data, self.dtype.word)

    @cached_property
    def bitmap(self) -> U8:
        return self._bitmap[0]

    @cached_property
    def nonzeros(self) -> int:
        return self._bitmap[1]

    @cached_property
    def sparse_chunk(self) -> int:
        return chunking.chunk_for(self.count, self.nonzeros)

    @cached_property
    def dense_chunk(self) -> int:
        return chunking.chunk_for(self.count, self.count)

    def chunk(self, sparse: bool) -> int:
        return self.sparse_chunk if sparse else self.dense_chunk

    def nonzeros_per(self, chunk: int) -> NDArray[np.int64]:
        """Return the number of nonzeros of each chunk."""
        ones = np.bitwise_count(self.bitmap) if hasattr(np, "bitwise_count") else _ONES[self.bitmap]
        size = chunk // 8
        whole = len(ones) // size * size  # reduceat would make 64-bit integers of them all
        counts = ones[:whole].reshape(-1, size).sum(axis=1, dtype=np.int64)
        return counts if whole == len(ones) else np.append(counts, ones[whole:].sum(dtype=np.int64))

    @cached_property
    def sparse_counts(self) -> NDArray[np.int64]:
        return self.nonzeros_per(self.sparse_chunk)

    def positions(self, kind: str) -> tuple[list[Coding], NDArray[np.int64] | None]:
        """Return the coded streams of positions, and the fillers of each chunk where positions have them."""
        if kind == "bitmap":
            return [coding.choose(Symbols.even(self.bitmap, self.sparse_chunk // 8))], None
        symbols, entries = kernels.active().gaps(
            self.bitmap, self.count, self.sparse_chunk, RELATIVE_BITS[kind], self.nonzeros
        )
        planes = kernels.active().split(symbols, 2, False) if kind == "relative16" else [symbols]
        streams = [coding.choose(Symbols.counted(plane, entries)) for plane in planes]
        return streams, entries - self.sparse_counts

    # -- what they are

    def entries(self, sparse: bool) -> int | None:
        """Return the entries of the codebook, which holds zero where zeros are stored too; None where there is none."""
        if self.scan is None:
            return None
        found = len(self.scan.keys) + (not sparse and self.nonzeros < self.count)
        planes = 1 if found <= SYMBOLS else 2
        return found if found <= MAX_ENTRIES and planes < self.dtype.word else None

    @cached_property
    def _order(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The distinct nonzero words in codebook order, and the rank of each key of the scan."""
        assert self.scan is not None
        keys = self.scan.keys.astype(f"<u{self.dtype.word}")
        order = np.argsort(codebook.rotate_left(keys, self.dtype), kind="stable")
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(len(keys))
        return keys[order], rank

    def codebook(self, sparse: bool) -> StoredCodebook:
        words = self._order[0]
        if not sparse and self.nonzeros < self.count:
            words = np.concatenate([np.zeros(1, words.dtype), words])
        return codebook.store(words, len(words), 0, self.dtype)

    def index(self, sparse: bool) -> list[Symbols]:
        """Return cluster indices, one stream per byte plane."""
        assert self.scan is not None
        zero = not sparse and self.nonzeros < self.count
        wide = (self.entries(sparse) or 0) > SYMBOLS
        ranks = (self._order[1] + zero).astype(np.uint16 if wide else np.uint8)
        index = ranks[self.scan.ids]
        if zero:
            index = self._with_zeros(index)
        planes = kernels.active().split(index.view(np.uint8), 2, False) if wide else [index]
        return [self._rows(np.ascontiguousarray(plane), sparse) for plane in planes]

    def _with_zeros(self, index: NDArray[Any]) -> NDArray[Any]:
        """Return the index of every word from that of the nonzeros. Zero is entry 0."""
        dense = np.zeros(self.count, index.dtype)
        dense[np.unpackbits(self.bitmap, count=self.count, bitorder="little").view(bool)] = index
        return dense

    def planes(self, sparse: bool) -> list[Symbols]:
        """Return byte planes of the words themselves."""
        data, dtype = self.words.data, self.dtype
        if sparse and self.count > _BLOCK:
            return [self._rows(plane, True) for plane in self._sparse_planes()]
        if sparse:
            data = kernels.active().nonzeros(data, dtype.word, self.nonzeros)
        if dtype.word == 1:  # a private copy, as the planes of wider words are: the array may change meanwhile
            return [self._rows(data if sparse else data.copy(), sparse)]
        return [self._rows(plane, sparse) for plane in kernels.active().split(data, dtype.word, dtype.rotate)]

    def _sparse_planes(self) -> list[U8]:
        """Return byte planes of the nonzeros, made in blocks: all nonzeros at once would take as much memory again."""
        kernel, word = kernels.active(), self.dtype.word
        out = [np.empty(self.nonzeros, np.uint8) for _ in range(word)]
        at = 0
        for first, found in zip(range(0, self.count, _BLOCK), self.nonzeros_per(_BLOCK).tolist()):
            data = kernel.nonzeros(self.words.data[first * word : (first + _BLOCK) * word], word, found)
            planes = [data] if word == 1 else kernel.split(data, word, self.dtype.rotate)
            for plane, part in zip(out, planes):
                plane[at : at + found] = part
            at += found
        return out

    @cached_property
    def groups(self) -> Groups | None:
        """Groups with codebooks of their own, where a single codebook would need wide indices or is too large."""
        narrow = self.scan is not None and len(self.scan.keys) <= SYMBOLS
        if narrow or self.dtype.word == 1 or self.count == 0:
            return None
        found = groups.find(self.words)
        # Codebooks, which may need an entry for zero too, have no more entries than the tensor has words.
        return found if found and len(found.keys) * (found.entries + 1) <= self.count else None

    def grouped(self, sparse: bool) -> tuple[StoredCodebook, list[Symbols]]:
        """Return the codebooks of all groups, and the cluster indices in them."""
        assert self.groups is not None
        zero = not sparse and self.nonzeros < self.count
        books, index = groups.index(self.groups, self.words, zero)
        if zero:
            index = self._with_zeros(index)
        stored = codebook.store(books, self.groups.entries + zero, self.groups.size, self.dtype)
        return stored, [self._rows(index, sparse)]

    def _rows(self, symbols: U8, sparse: bool) -> Symbols:
        if sparse:
            return Symbols.counted(symbols, self.sparse_counts)
        return Symbols.even(symbols, self.dense_chunk)


_ONES = np.array([bin(i).count("1") for i in range(256)], np.uint8)
