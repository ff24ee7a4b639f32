"""The streams of a tensor before a layout is chosen. Each is computed once, when it is first used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy import Coding, Symbols, coding
from dcz.kernels.interface import I64, SYMBOLS, U8, Scan
from dcz.tensor import chunking, codebook, groups
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.groups import Groups
from dcz.tensor.layout import RELATIVE_BITS
from dcz.tensor.remade import Maker, remade
from dcz.tensor.survey import MAX_ENTRIES, Survey, ones_of, survey
from dcz.tensor.words import StoredWords, WordSource, blocks_of

# Words whose nonzeros are taken out at once.
_BLOCK = 1 << 22


class Analysis:
    """Positions and values of one tensor as streams of symbols, sparse and dense.

    Every stream is made from a range of words that begins a chunk: from all at once where the words are held in
    memory, else from as many as may be read at once (`dcz.tensor.remade`)."""

    def __init__(self, words: WordSource) -> None:
        self.words = words
        self.dtype = words.dtype
        self.count = words.count

    # -- where the nonzeros are

    @cached_property
    def scan(self) -> Scan | None:
        """The distinct nonzero words of a tensor in memory; None where a codebook would not have fewer planes than the
        words."""
        kernel, word = kernels.active(), self.dtype.word
        if word == 1 or self.count == 0:
            return None
        data = self.words.part(0, self.count)
        found = kernel.scan(data, word, SYMBOLS)
        if found is None and word > 2 and self.count > SYMBOLS:
            found = kernel.scan(data, word, min(MAX_ENTRIES, 1 << (self.count - 1).bit_length()))
        return found

    @cached_property
    def _survey(self) -> Survey:
        assert isinstance(self.words, StoredWords)
        return survey(self.words)

    @cached_property
    def keys(self) -> NDArray[Any] | None:
        """The distinct nonzero words in any order; None as in `scan`."""
        if not self.words.held:
            return self._survey.keys
        return None if self.scan is None else self.scan.keys

    @cached_property
    def key_counts(self) -> I64:
        """How often each of the distinct nonzero words occurs, in the order of the words."""
        if self.words.held:
            assert self.scan is not None
            return np.bincount(self.scan.ids, minlength=len(self.scan.keys))[np.argsort(self.scan.keys)]
        ascending = self._order[1]
        counts = np.zeros(len(ascending), np.int64)
        for first, last in blocks_of(self.words):
            found = self._scanned(first, last)
            assert found is not None
            ranks = np.searchsorted(ascending, found.keys.astype(ascending.dtype))
            counts[ranks] += np.bincount(found.ids, minlength=len(ranks))
        return counts

    @cached_property
    def _bitmap(self) -> tuple[U8, int]:
        if self.scan is not None:
            return self.scan.bitmap, len(self.scan.ids)
        return kernels.active().bitmap(self.words.part(0, self.count), self.dtype.word)

    def _bits(self, first: int, last: int) -> U8:
        """Return one bit for each word of a range, set where it is not zero."""
        if self.words.held:
            return self._bitmap[0]
        return kernels.active().bitmap(self.words.part(first, last), self.dtype.word)[0]

    @cached_property
    def nonzeros(self) -> int:
        return self._bitmap[1] if self.words.held else int(self._survey.ones.sum())

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
        if self.words.held:
            return ones_of(self._bitmap[0], chunk)
        ones = self._survey.ones
        return np.add.reduceat(ones, np.arange(0, len(ones), chunk // chunking.STEP))

    @cached_property
    def sparse_counts(self) -> NDArray[np.int64]:
        return self.nonzeros_per(self.sparse_chunk)

    def _nonzeros_of(self, first: int, last: int) -> NDArray[np.int64]:
        """Return the number of nonzeros of each sparse chunk of a range that begins one."""
        if self.words.held:
            return self.sparse_counts
        return self.sparse_counts[first // self.sparse_chunk : -(-last // self.sparse_chunk)]

    def _streams(self, make: Maker, chunk: int) -> tuple[list[Symbols], I64]:
        """Return the streams that `make` makes, a row for each chunk, and the symbols of each chunk."""
        if not self.words.held:
            return remade(make, self.count, chunk, self.words.block)
        planes, counts = make(0, self.count)
        return [Symbols.counted(plane, counts) for plane in planes], counts

    def positions(self, kind: str) -> tuple[list[Coding], NDArray[np.int64] | None]:
        """Return the coded streams of positions, and the fillers of each chunk where positions have them."""
        chunk = self.sparse_chunk

        def bitmap(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            found = self._bits(first, last)
            return [found], _even(len(found), chunk // 8)

        def gaps(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            nonzeros = int(self._nonzeros_of(first, last).sum())
            symbols, entries = kernels.active().gaps(
                self._bits(first, last), last - first, chunk, RELATIVE_BITS[kind], nonzeros
            )
            return kernels.active().split(symbols, 2, False) if kind == "relative16" else [symbols], entries

        streams, entries = self._streams(bitmap if kind == "bitmap" else gaps, chunk)
        return [coding.choose(each) for each in streams], None if kind == "bitmap" else entries - self.sparse_counts

    # -- what they are

    def unchanged(self, chunk: int) -> Symbols:
        """Return the words themselves as one stream of bytes, `chunk` words to a row."""
        if self.words.held:
            return Symbols.even(self.words.part(0, self.count), chunk * self.dtype.word)

        def words(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            data = self.words.part(first, last)
            return [data], _even(len(data), chunk * self.dtype.word)

        return self._streams(words, chunk)[0][0]

    def entries(self, sparse: bool) -> int | None:
        """Return the entries of the codebook, which holds zero where zeros are stored too; None where there is none."""
        if self.keys is None:
            return None
        found = len(self.keys) + (not sparse and self.nonzeros < self.count)
        planes = 1 if found <= SYMBOLS else 2
        return found if found <= MAX_ENTRIES and planes < self.dtype.word else None

    @cached_property
    def _order(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
        """The distinct nonzero words in codebook order, the same ascending, and the rank of each of the latter."""
        assert self.keys is not None
        keys = np.sort(self.keys.astype(f"<u{self.dtype.word}"))
        order = np.argsort(codebook.rotate_left(keys, self.dtype), kind="stable")
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(len(keys))
        return keys[order], keys, rank

    def codebook(self, sparse: bool) -> StoredCodebook:
        words = self._order[0]
        if not sparse and self.nonzeros < self.count:
            words = np.concatenate([np.zeros(1, words.dtype), words])
        return codebook.store(words, len(words), 0, self.dtype)

    def index(self, sparse: bool) -> list[Symbols]:
        """Return cluster indices, one stream per byte plane."""
        zero = not sparse and self.nonzeros < self.count
        wide = (self.entries(sparse) or 0) > SYMBOLS
        _, ascending, rank = self._order

        def make(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            scan = self.scan if self.words.held else self._scanned(first, last)
            assert scan is not None
            ranks = rank[np.searchsorted(ascending, scan.keys.astype(ascending.dtype))] + zero
            index = ranks.astype(np.uint16 if wide else np.uint8)[scan.ids]
            if zero:
                index = _with_zeros(index, scan.bitmap, last - first)
            planes = kernels.active().split(index.view(np.uint8), 2, False) if wide else [index]
            return [np.ascontiguousarray(plane) for plane in planes], self._counts(first, last, sparse)

        return self._streams(make, self.chunk(sparse))[0]

    def _scanned(self, first: int, last: int) -> Scan | None:
        """Return the distinct words of a range, which are among all of them."""
        data = self.words.part(first, last)
        found = kernels.active().scan(data, self.dtype.word, SYMBOLS)
        return kernels.active().scan(data, self.dtype.word, MAX_ENTRIES) if found is None else found

    def _counts(self, first: int, last: int, sparse: bool) -> I64:
        """Return how many words each chunk of a range stores."""
        return self._nonzeros_of(first, last) if sparse else _even(last - first, self.dense_chunk)

    def planes(self, sparse: bool) -> list[Symbols]:
        """Return byte planes of the words themselves."""

        def make(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            counts, dtype = self._counts(first, last, sparse), self.dtype
            if sparse and last - first > _BLOCK:
                return self._sparse_planes(first, last), counts
            data = self.words.part(first, last)
            if sparse:
                data = kernels.active().nonzeros(data, dtype.word, int(counts.sum()))
            if dtype.word == 1:  # a private copy, as the planes of wider words are: the array may change meanwhile
                return [data if sparse or not self.words.held else data.copy()], counts
            return kernels.active().split(data, dtype.word, dtype.rotate), counts

        return self._streams(make, self.chunk(sparse))[0]

    def _sparse_planes(self, begin: int, end: int) -> list[U8]:
        """Return byte planes of the nonzeros of a range, made in blocks: all nonzeros at once would take as much memory
        again."""
        kernel, word = kernels.active(), self.dtype.word
        counts = ones_of(self._bits(begin, end), _BLOCK)
        out = [np.empty(int(counts.sum()), np.uint8) for _ in range(word)]
        at = 0
        for first, found in zip(range(begin, end, _BLOCK), counts.tolist()):
            data = kernel.nonzeros(self.words.part(first, min(first + _BLOCK, end)), word, found)
            planes = [data] if word == 1 else kernel.split(data, word, self.dtype.rotate)
            for plane, part in zip(out, planes):
                plane[at : at + found] = part
            at += found
        return out

    @cached_property
    def groups(self) -> Groups | None:
        """Groups with codebooks of their own, where a single codebook would need wide indices or is too large."""
        narrow = self.keys is not None and len(self.keys) <= SYMBOLS
        if narrow or self.dtype.word == 1 or self.count == 0:
            return None
        found = groups.find(self.words)
        # Codebooks, which may need an entry for zero too, have no more entries than the tensor has words.
        return found if found and len(found.keys) * (found.entries + 1) <= self.count else None

    def grouped(self, sparse: bool) -> tuple[StoredCodebook, list[Symbols]]:
        """Return the codebooks of all groups, and the cluster indices in them."""
        assert self.groups is not None
        found, zero = self.groups, not sparse and self.nonzeros < self.count

        def make(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
            index = groups.index(found, self.words, first, last, zero)
            if zero:
                index = _with_zeros(index, self._bits(first, last), last - first)
            return [index], self._counts(first, last, sparse)

        books = groups.books(found, self.dtype.word, zero)
        stored = codebook.store(books, found.entries + zero, found.size, self.dtype)
        return stored, self._streams(make, self.chunk(sparse))[0]


def _even(count: int, chunk: int) -> I64:
    """Return the symbols of each row of `chunk`; the last may be shorter."""
    counts = np.full(-(-count // chunk), chunk, np.int64)
    counts[-1:] -= -count % chunk
    return counts


def _with_zeros(index: NDArray[Any], bitmap: U8, count: int) -> NDArray[Any]:
    """Return the index of every word from that of the nonzeros. Zero is entry 0."""
    dense = np.zeros(count, index.dtype)
    dense[np.unpackbits(bitmap, count=count, bitorder="little").view(bool)] = index
    return dense
