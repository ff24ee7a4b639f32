"""Encode words: a layout and the bytes of its segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy import Coding
from dcz.entropy.code import RAW_CODE
from dcz.kernels.checksums import combine
from dcz.kernels.interface import U8
from dcz.tensor import chunking, tiny
from dcz.tensor.choose import Encoding, choose
from dcz.tensor.layout import CodebookRecord, Layout, Stream
from dcz.tensor.streams import Analysis
from dcz.tensor.words import WordSource, crc_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

# Chunks that one task encodes: about a millisecond of work.
_BATCH = 16
# Bytes of a segment that are in memory at once, about.
_PART_BYTES = 16 << 20


class Encoded:
    """A tensor in its smallest layout.

    `nonzeros` counts its words that are not zero, `stored` the bytes of its segment. `mappable` says that the segment
    is the words themselves. `parts` makes the segment piece by piece; `layout` is known once all pieces are made."""

    def __init__(self, chosen: Encoding, nonzeros: int, pool: Executor | None) -> None:
        self.nonzeros = nonzeros
        self._chosen, self._pool = chosen, pool
        self._record: CodebookRecord | None = None
        self._head = b""
        if chosen.codebook is not None:
            self._record, self._head = chosen.codebook.encode()
        self._checksums: list[int] = []
        self.stored = len(self._head) + sum([coding.stored for coding in self._chosen.streams])
        kinds = {code.kind for coding in self._chosen.streams for code in coding.codes}
        self.mappable = self._chosen.values == "bytes" and kinds <= {"raw"}

    @property
    def chunk(self) -> int:
        """Return the words of a chunk."""
        return self._chosen.chunk

    def parts(self) -> Iterator[U8]:
        """Yield the segment from its beginning; the same bytes with any pool."""
        if self._head:
            yield np.frombuffer(self._head, np.uint8)
        if self._chosen.streams:
            yield from _chunks(self._chosen.streams, self._pool, self._checksums)

    def layout(self) -> Layout:
        """Return the layout, once all parts are made."""
        chosen, rows = self._chosen, len(self._checksums)
        return Layout(
            chosen.positions,
            chosen.values,
            chosen.chunk,
            self._record,
            tuple(_stream(coding) for coding in chosen.streams),
            _numbers(chosen.nonzeros, rows),
            _numbers(chosen.fillers, rows),
            tuple(self._checksums),
        )

    def words_crc(self, words: WordSource) -> int:
        """Return the CRC-32C of the words once all parts are made; of a `mappable` tensor, that of the parts."""
        if not self.mappable:
            return crc_of(words)
        sizes = self._chosen.streams[0].sizes.tolist()
        return reduce(lambda crc, row: combine(crc, *row), zip(self._checksums, sizes), 0)


class AsItIs(Encoded):
    """A tensor of a few bytes that is stored unchanged: one chunk in one raw stream."""

    def __init__(self, data: bytes, word: int) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self.nonzeros = int(np.count_nonzero(self._data.view(f"<u{word}")))
        self.stored, self.mappable = len(data), True
        self._checksum = kernels.active().crc32c(self._data)

    def parts(self) -> Iterator[U8]:
        return iter((self._data,))

    def layout(self) -> Layout:
        return Layout("all", "bytes", chunking.STEP, None, _raw(self.stored), _ZERO, _ZERO, (self._checksum,))


_ZERO = (0,)


@cache
def _raw(size: int) -> tuple[Stream, ...]:
    """Return the streams of one raw row of `size` bytes."""
    return (Stream((RAW_CODE,), _ZERO, (size,)),)


def encode(words: WordSource, profile: str = "auto", pool: Executor | None = None, portable: bool = False) -> Encoded:
    """Encode words in the smallest layout of the profile. A `portable` layout has no zstd stream."""
    if 0 < words.nbytes < tiny.LIMIT:
        data = words.part(0, words.count).tobytes()
        if tiny.stays(words, data, profile):
            return AsItIs(data, words.dtype.word)
    analysis = Analysis(words)
    return Encoded(choose(analysis, profile, portable), analysis.nonzeros, pool)


def write(chosen: Encoding, pool: Executor | None = None) -> tuple[Layout, list[U8]]:
    """Return the layout and the whole segment of a chosen encoding."""
    encoded = Encoded(chosen, 0, pool)
    parts = list(encoded.parts())
    return encoded.layout(), parts


def _chunks(streams: list[Coding], pool: Executor | None, checksums: list[int]) -> Iterator[U8]:
    """Yield all chunks in order, each with its streams in order, some megabytes at a time. Adds to `checksums`.

    The bytes of a checksum are private: an array that another thread changes meanwhile never contradicts it."""
    if len(streams) == 1 and streams[0].symbols.rows == 1 and streams[0].codes[0].kind == "raw":
        copy = streams[0].symbols.part(0, 1)[0].copy()
        checksums.append(kernels.active().crc32c(copy))
        yield copy
        return
    sizes = np.stack([coding.sizes for coding in streams], axis=1)
    ends = np.cumsum(sizes.reshape(-1))
    starts = (ends - sizes.reshape(-1)).reshape(sizes.shape)
    bounds = np.append(starts[:, 0], ends[-1])
    most = min([coding.symbols.step for coding in streams])
    first = 0
    while first < len(sizes):
        last = int(np.searchsorted(bounds, bounds[first] + _PART_BYTES, "right")) - 1
        last = min(max(last, first + 1), first + most, len(sizes))
        part, crcs = _part(
            streams, starts[first:last] - bounds[first], bounds[first : last + 1] - bounds[first], first, pool
        )
        checksums += crcs
        yield part
        first = last


def _part(
    streams: list[Coding], starts: NDArray[np.int64], bounds: NDArray[np.int64], first: int, pool: Executor | None
) -> tuple[U8, list[int]]:
    """Return the chunks from `first` on and their checksums; their streams start at `starts`."""
    out = np.empty(int(bounds[-1]), np.uint8)
    checksums = np.empty(len(starts), np.uint32)

    def batch(at: int) -> None:
        to = min(at + _BATCH, len(starts))
        memo: dict[int, list[U8]] = {}
        for s, coding in enumerate(streams):
            coding.write(first + at, first + to, out, np.ascontiguousarray(starts[at:to, s]), memo)
        checksums[at:to] = kernels.active().crc32c_rows(out, np.ascontiguousarray(bounds[at : to + 1]))

    _each(batch, range(0, len(starts), _BATCH), pool)
    return out, checksums.tolist()


def _each(work: Callable[[int], None], items: range, pool: Executor | None) -> None:
    if pool is None or len(items) < 2:
        for item in items:
            work(item)
    else:
        list(pool.map(work, items))


def _stream(coding: Coding) -> Stream:
    return Stream(tuple(coding.codes), tuple(coding.use.tolist()), tuple(coding.sizes.tolist()))


def _numbers(values: np.ndarray | None, chunks: int) -> tuple[int, ...]:
    return (0,) * chunks if values is None else tuple(values.tolist())
