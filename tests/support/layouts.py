"""Every way to store a tensor, not only the smallest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dcz import kernels
from dcz.dtypes import Dtype
from dcz.entropy import coding, zstd
from dcz.entropy.code import ZSTD_CODE
from dcz.format.records import Record
from dcz.kernels.interface import U8
from dcz.tensor import Layout, to_words
from dcz.tensor.choose import Encoding, as_it_is, candidates
from dcz.tensor.encoded import write
from dcz.tensor.layout import POSITIONS
from dcz.tensor.streams import Analysis


@dataclass(frozen=True)
class Stored:
    """A tensor as it lies in a file: its place in the index and the bytes of its segment."""

    dtype: Dtype
    shape: tuple[int, ...]
    nonzeros: int
    layout: Layout
    segment: bytes
    content_crc: int

    @property
    def words(self) -> int:
        """How many it has."""
        return math.prod(self.shape) * self.dtype.words

    def record(self, name: str) -> Record:
        """What the index says of it under this name."""
        return Record.of(name, self.dtype, self.shape, self.words, self.nonzeros, self.content_crc, self.layout)

    @property
    def kind(self) -> str:
        """The layout in a few words."""
        codes = sorted({code.kind for stream in self.layout.streams for code in stream.codes})
        return f"{self.layout.positions} x {self.layout.values}, {'+'.join(codes)}"

    @property
    def body(self) -> U8:
        """The bytes of the chunks."""
        return np.frombuffer(self.segment, np.uint8)[self.layout.codebook.stored if self.layout.codebook else 0 :]


def encodings(array: np.ndarray) -> list[Encoding]:
    """All layouts of an array, as it is included, without zstd."""
    analysis = Analysis(to_words(array, "w"))
    return [as_it_is(analysis), *candidates(analysis, POSITIONS)]


def stored(array: np.ndarray, encoding: Encoding) -> Stored:
    """An encoding, written."""
    words = to_words(array, "w")
    layout, parts = write(encoding)
    nonzeros = Analysis(words).nonzeros
    segment = b"".join(part.tobytes() for part in parts)
    return Stored(words.dtype, words.shape, nonzeros, layout, segment, kernels.active().crc32c(words.data))


def with_frames(encoding: Encoding) -> Encoding:
    """The same encoding with every row as a zstd frame, whether or not that is smaller."""
    for i, each in enumerate(encoding.streams):
        edges = each.symbols.bounds.tolist()
        frames = {r: zstd.compress(each.symbols.data[a:b]) for r, (a, b) in enumerate(zip(edges, edges[1:]))}
        sizes = np.array([len(frame) for frame in frames.values()], np.int64)
        use = np.zeros(len(frames), np.uint8)
        encoding.streams[i] = coding.Coding(each.symbols, [ZSTD_CODE], use, sizes, each.lanes, frames)
    return encoding


def in_layout(array: np.ndarray, positions: str, values: str) -> Stored:
    """An array in the layout of these two."""
    found = next(e for e in encodings(array) if (e.positions, e.values) == (positions, values))
    return stored(array, found)
