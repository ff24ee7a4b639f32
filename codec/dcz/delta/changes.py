"""A tensor's changes before a layout is chosen: their places, and the words stored for them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.dtypes import Dtype
from dcz.entropy import Coding, Symbols, coding
from dcz.kernels.interface import U8
from dcz.tensor import chunking
from dcz.tensor.choose import Encoding
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.layout import RELATIVE_BITS
from dcz.tensor.streams import Analysis
from dcz.tensor.words import Words

_ONES = np.array([bin(i).count("1") for i in range(256)], np.uint8)


class Changes:
    """Changed words of a tensor of `words`: a `bitmap` of their places, and the words stored for them, in order."""

    def __init__(self, words: int, bitmap: U8, stored: U8, dtype: Dtype) -> None:
        self.words, self.bitmap, self.stored, self.dtype = words, bitmap, stored, dtype
        self.count = len(stored) // dtype.word
        self.chunk = nested_chunk(words, self.count)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Return the number of changed words of each chunk."""
        ones = np.bitwise_count(self.bitmap) if hasattr(np, "bitwise_count") else _ONES[self.bitmap]
        size = self.chunk // 8
        whole = len(ones) // size * size  # reduceat takes ten times as long
        counts = ones[:whole].reshape(-1, size).sum(axis=1, dtype=np.int64)
        return counts if whole == len(ones) else np.append(counts, ones[whole:].sum(dtype=np.int64))

    def encodings(self, kinds: tuple[str, ...]) -> list[Encoding]:
        """Return all layouts with these positions. None stores unchanged words."""
        out = []
        values = self._values()
        for kind in kinds:
            positions, fillers = self._positions(kind)
            for name, book, streams in values:
                coded = [*positions, *streams]
                out.append(Encoding(kind, name, self.chunk, book, coded, self.counts, fillers))
        return out

    def _positions(self, kind: str) -> tuple[list[Coding], NDArray[np.int64] | None]:
        if kind == "bitmap":
            return [_coded(Symbols.even(self.bitmap, self.chunk // 8))], None
        symbols, entries = kernels.active().gaps(self.bitmap, self.words, self.chunk, RELATIVE_BITS[kind], self.count)
        planes = kernels.active().split(symbols, 2, False) if kind == "relative16" else [symbols]
        return [_coded(Symbols.counted(plane, entries)) for plane in planes], entries - self.counts

    def _values(self) -> list[tuple[str, StoredCodebook | None, list[Coding]]]:
        """Return the values by codebook, if few are distinct, and by planes, as of a tensor with the stored words
        alone."""
        found = Analysis(Words(self.stored, self.dtype, (self.count,)))
        out: list[tuple[str, StoredCodebook | None, list[Coding]]] = []
        if found.entries(False) is not None:
            out.append(("codebook", found.codebook(False), self._coded(found.index(False))))
        out.append(("planes", None, self._coded(found.planes(False))))
        return out

    def _coded(self, streams: list[Symbols]) -> list[Coding]:
        return [_coded(Symbols.counted(stream.data, self.counts)) for stream in streams]


def _coded(symbols: Symbols) -> Coding:
    return coding.choose(symbols).with_zstd


def nested_chunk(words: int, stored: int) -> int:
    """Return the words of a chunk where `stored` words of a tensor are stored. It is a power of two: of any two files,
    the chunks of one consist of whole chunks of the other, and so do their checksums."""
    target = chunking.TARGET_SYMBOLS * words // max(stored, 1)
    most = min(chunking.MAX_CHUNK, max(chunking.STEP, 1 << max(words - 1, 0).bit_length()))
    return min(most, max(chunking.STEP, 1 << max(target, 1).bit_length() - 1))
