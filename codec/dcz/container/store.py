"""An open file: its index, and its tensors' chunks by number. What reader, slices and verify stand on."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from dcz import kernels, limits
from dcz.container import index, prelude
from dcz.container.index import Entry
from dcz.container.sources import open_source, read
from dcz.container.trailer import SIZE as TRAILER_SIZE
from dcz.container.trailer import Trailer
from dcz.errors import ChecksumError, DczError, FormatError, LimitError
from dcz.kernels.interface import U8
from dcz.tensor import Decoder

# One read that covers trailer and index of most files.
_TAIL = 64 << 10
# Stored bytes that one task reads and decodes: few enough to stay in the cache from reading to decoding.
_TASK_BYTES = 1 << 20
# Tensors that are this near are read at once with what lies between them.
_READ_THROUGH = 64 << 10
# Decoded bytes from which on caches cannot hold them, and lines are better written past them.
_STREAM_BYTES = 16 << 20

_local = threading.local()


@dataclass(frozen=True, slots=True)
class Task:
    """Bytes [offset, offset + size) of the file, to be read and decoded: either `whole` tensors into `out`, or
    chunks [first, last) of a single one. `stream` says to write past the cache."""

    offset: int
    size: int
    whole: tuple[Entry, ...]
    first: int
    last: int
    out: tuple[U8, ...]
    stream: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes it decodes to."""
        return sum(map(len, self.out))


class Store:
    """A dcz file, open for reading; safe for threads."""

    def __init__(self, file: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self.source = open_source(file)
        self._closed = False
        try:
            self.index = self._open()
            self.decoder = Decoder(self.index.columns)
        except BaseException:
            self.source.close()
            raise

    def _open(self) -> index.Index:
        size = self.source.size
        features = prelude.parse(read(self.source, 0, min(size, prelude.SIZE)))
        start = max(0, size - _TAIL)
        tail = read(self.source, start, size - start)
        trailer = Trailer.parse(tail, size)
        offset = trailer.index_offset
        if offset >= start:
            stored = tail[offset - start : len(tail) - TRAILER_SIZE]
        else:
            stored = read(self.source, offset, trailer.index_stored)
        if kernels.active().crc32c(stored) != trailer.index_crc32c:
            raise ChecksumError("index: does not match its CRC-32C; fetch the file again")
        found = index.parse(stored.tobytes(), trailer.index_bytes, offset)
        if found.features != features:
            raise FormatError("index: its feature bits are not those of the prelude")
        return found

    def entry(self, name: str) -> Entry:
        """The index's entry of a tensor or alias; `KeyError` where there is none."""
        if self._closed:
            raise DczError("the reader is closed; open the file again")
        entries = self.index.entries
        found = entries.get(self.index.aliases.get(name, name))
        if found is None:
            some = ", ".join([*entries, *self.index.aliases][:8])
            raise KeyError(f"no tensor {name!r} among the {len(entries) + len(self.index.aliases)} of the file: {some}")
        return found

    def tasks(self, entries: list[Entry], out: list[U8], streamed: frozenset[str] = frozenset()) -> list[Task]:
        """What it takes to fill `out` with whole tensors, in pieces that threads can share: neighbours that are
        small together, large ones in parts. Those named in `streamed` are written past the cache."""
        tasks: list[Task] = []
        group: list[tuple[Entry, U8]] = []

        def flush() -> None:
            if group:
                entries_, outs = zip(*group)
                first, last = entries_[0], entries_[-1]
                size = last.offset + last.size - first.offset
                tasks.append(Task(first.offset, size, entries_, 0, 0, outs, first.name in streamed))
                group.clear()

        for entry, flat in sorted(zip(entries, out), key=lambda item: item[0].offset):
            if entry.words == 0:
                continue
            if entry.size > _TASK_BYTES:
                flush()
                tasks += self.parts(entry, 0, int(self.index.columns.chunks[entry.number]), flat, entry.name in streamed)
                continue
            if group:
                start, (last, _) = group[0][0], group[-1]
                whole = entry.offset + entry.size - start.offset
                apart = entry.offset - last.offset - last.size > _READ_THROUGH
                if whole > _TASK_BYTES or apart or (entry.name in streamed) != (start.name in streamed):
                    flush()
            group.append((entry, flat))
        flush()
        return tasks

    def parts(self, entry: Entry, first: int, last: int, out: U8, stream: bool = False) -> list[Task]:
        """What it takes to fill `out` with chunks [first, last) of a tensor."""
        t, c = entry.number, self.index.columns
        if not self.decoder.prepared(t):
            self.decoder.prepare(t, read(self.source, entry.offset, int(c.head[t])))
        bounds, chunk_bytes = c.bounds(t), int(c.chunk[t]) * entry.dtype.word
        tasks = []
        at = first
        while at < last:
            to = int(np.searchsorted(bounds, bounds[at] + _TASK_BYTES, "right")) - 1
            to = min(max(to, at + 1), last)
            part = out[(at - first) * chunk_bytes : (to - first) * chunk_bytes]
            start, end = int(bounds[at]), int(bounds[to])
            tasks.append(Task(entry.offset + start, end - start, (entry,), at, to, (part,), stream))
            at = to
        return tasks

    def run(self, task: Task) -> None:
        """Reads, verifies and decodes one task."""
        data = _buffer(task.size)
        self.source.read_into(task.offset, data)
        if task.last:
            t = task.whole[0].number
            self.decoder.decode_part(t, task.first, task.last, data, task.out[0], task.stream)
        else:
            starts = [entry.offset - task.offset for entry in task.whole]
            numbers = [entry.number for entry in task.whole]
            self.decoder.decode_whole(numbers, starts, data, list(task.out), task.stream)

    def fill(self, entry: Entry, first: int, last: int, out: U8) -> None:
        """Chunks [first, last) into `out`."""
        for task in self.parts(entry, first, last, out):
            self.run(task)

    def check_padding(self) -> None:
        """The bytes between segments are zeros."""
        offset = prelude.SIZE
        for entry in self.index.entries.values():
            if entry.offset > offset and read(self.source, offset, entry.offset - offset).any():
                raise FormatError(f"tensor {entry.name!r}: the padding in front of its segment is not zero")
            offset = entry.offset + entry.size

    def close(self) -> None:
        """Closes the file; tensors already read stay."""
        self._closed = True
        self.source.close()


def streams(nbytes: int) -> bool:
    """Whether so much output is better written past the cache: into memory that is mapped already, while
    fresh pages have just been cleared in the cache."""
    return nbytes >= _STREAM_BYTES


def _buffer(size: int) -> U8:
    """Memory of this thread for stored bytes, reused: fresh pages would cost more than reading into them."""
    held = getattr(_local, "buffer", None)
    if held is None or len(held) < size:
        held = np.empty(max(size, _TASK_BYTES), np.uint8)
        if size <= 4 * _TASK_BYTES:
            _local.buffer = held
    return held[:size]


def check_bytes(wanted: int, file_bytes: int, max_bytes: int | None) -> None:
    """Refuses to decode more than the caller, or by default good sense, allows."""
    allowed = limits.default_max_bytes(file_bytes) if max_bytes is None else max_bytes
    if wanted > allowed:
        raise LimitError(
            f"decoding takes {wanted} bytes, allowed are {allowed}; if the file is trusted, pass max_bytes={wanted}"
        )
