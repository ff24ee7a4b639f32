"""An open file: its index, and its tensors' chunks by number. Reading tasks, reader, slices and `verify` use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count, islice
from typing import BinaryIO

import numpy as np

from dcz import kernels
from dcz.container.bounds import Bound
from dcz.container.decode import Decoder
from dcz.container.threads import each
from dcz.container.wanted import wanted_base
from dcz.errors import ChecksumError, DczError, FormatError, UnsupportedError, locating
from dcz.format import index, prelude
from dcz.format.index import Entry
from dcz.format.integers import I64
from dcz.format.trailer import SIZE as TRAILER_SIZE
from dcz.format.trailer import Trailer
from dcz.io.opening import open_source
from dcz.io.sources import Source, read
from dcz.kernels.interface import U8

# Bytes of the first read, which covers trailer and index of most files.
_TAIL = 64 << 10
# Stored bytes that one task reads and decodes: few enough to stay in the cache from reading to decoding.
TASK_BYTES = 1 << 20
# Tensors closer than this many bytes are read at once with what lies between them.
READ_THROUGH = 64 << 10
# The same for remote files, and how many reads run at once: latency dominates there.
REMOTE_TASK_BYTES = 8 << 20
TOGETHER = 8
# Serial numbers of open files: unlike addresses, they are never used again.
_SERIALS = count()


class OpenFile:
    """A dcz file, open for reading; safe for threads. `bound` is what its calls may take."""

    def __init__(
        self,
        file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
        *,
        sequential: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        Bound(0, max_bytes)  # refuses anything that is not a number before anything is opened
        self.source: Source = open_source(file, sequential=sequential)
        self.bound = Bound(self.source.size, max_bytes)
        self.serial = next(_SERIALS)
        self._closed = False
        self._checked = False
        self.based = False  # whether a base was given that differences can be taken to
        self.task_bytes = REMOTE_TASK_BYTES if self.source.remote else TASK_BYTES
        try:
            with locating(self.source.name):
                self.index = self._open()
            self.decoder = Decoder(self.index.columns)
        except BaseException:
            self.source.close()
            raise

    def _open(self) -> index.Index:
        """Read the tail, and the rest of the index. The first bytes of a remote file are read with its first segment:
        they say only that it is a dcz file."""
        size = self.source.size
        start = max(0, size - _TAIL)
        tail = read(self.source, start, size - start)
        if self.source.remote:
            from dcz.io.remote import Remembering

            self.source = Remembering(self.source, start, tail)
        if not start:
            self.check_prelude(tail[: prelude.HEAD])
        elif not self.source.remote:
            self.check_prelude()
        try:
            trailer = Trailer.parse(tail, size)
        except DczError:
            self.check_prelude()  # perhaps not a dcz file: the first bytes give a clearer error
            raise
        offset = trailer.index_offset
        stored = tail[max(0, offset - start) : len(tail) - TRAILER_SIZE]
        if offset < start:
            stored = np.concatenate([read(self.source, offset, min(start, size - TRAILER_SIZE) - offset), stored])
        if kernels.active().crc32c(stored) != trailer.index_crc32c:
            raise ChecksumError("index: does not match its CRC-32C; fetch the file again")
        return index.parse(stored.tobytes(), trailer)

    def check_prelude(self, data: U8 | None = None) -> None:
        """Check the first bytes of a file, once."""
        if not self._checked:
            prelude.check(read(self.source, 0, min(self.source.size, prelude.HEAD)) if data is None else data)
            self._checked = True

    def entry(self, name: str) -> Entry:
        """Return the index's entry of a tensor or alias; raise `KeyError` where there is none."""
        entry = self.listed(name)
        reason = self.unsupported(name)
        if reason is not None:
            raise UnsupportedError(reason).located(self.source.name)
        return entry

    def every(self) -> dict[str, Entry]:
        """Return the entries of all tensors; refuse a file with one that this version cannot decode."""
        c = self.index.columns
        if c.unknown or (np.count_nonzero(c.transforms) and not self.based):
            for name in self.index.entries:
                self.entry(name)
        return self.index.entries.all()

    def listed(self, name: str) -> Entry:
        """Return the entry of a tensor even if this version cannot decode it."""
        if self._closed:
            raise DczError("the reader is closed; open the file again").located(self.source.name)
        entries = self.index.entries
        found = self.index.aliases.get(name, name)
        if found not in entries:
            some = ", ".join(islice(chain(entries, self.index.aliases), 8))
            raise KeyError(f"no tensor {name!r} among the {len(entries) + len(self.index.aliases)} of the file: {some}")
        return entries[found]

    def unsupported(self, name: str) -> str | None:
        """Return why this version cannot decode a tensor; None where it can."""
        c = self.index.columns
        t = self.index.entries.numbers[self.index.aliases.get(name, name)]
        if t in c.unknown:
            return f"tensor {name!r} {c.unknown[t]}, which this version of dcz does not know; update dcz"
        if c.transforms[c.source[t]] and not self.based:
            wanted = wanted_base(self.index.metadata)
            return (
                f"tensor {name!r} is stored as the difference to {c.base_name(int(c.source[t]))!r} of a base"
                f"{f' ({wanted})' if wanted else ''}: open the file with base=, or dcz apply BASE FILE -o NEW"
            )
        return None

    def lead(self, entry: Entry) -> int:
        """Return how many bytes in front of a segment are read with it: padding, and the prelude before the first."""
        first = entry.offset - entry.padding == prelude.SIZE and not self._checked
        return entry.padding + (prelude.SIZE if first else 0)

    def bound_for(self, entries: list[Entry]) -> Bound:
        """Return the bound of a call that decodes these tensors. If they take a base, it is checked to have them as the
        file says: what an index claims allows nothing."""
        held = self.decoder.held([entry.number for entry in entries])
        return replace(self.bound, held=held) if held else self.bound

    def check_bound(
        self, entries: list[Entry], result: int, *, work: int, threads: int = 1, max_bytes: int | None = None
    ) -> None:
        """Refuse a call that returns `result` bytes and decodes `work` bytes of these tensors, if its memory or work
        exceeds the bound."""
        bound = self.bound_for(entries).replaced(max_bytes)
        bound.check_work(work)
        bound.check_memory(result, self.decoder.codebook_memory([entry.number for entry in entries], threads))

    def prepare(self, entries: list[Entry]) -> None:
        """Read the codebooks of tensors that will be read in pieces, once."""
        wanted = sorted((e for e in entries if not self.decoder.prepared(e.number)), key=lambda entry: entry.offset)
        heads = self.index.columns.head
        found = self.read_many([(entry.offset, int(heads[entry.number])) for entry in wanted])
        for entry, head in zip(wanted, found):
            self.decoder.prepare(entry.number, head)

    def read_many(self, ranges: list[tuple[int, int]]) -> list[U8]:
        """Return the bytes of ranges (offset, size), in ascending order. Of a remote file, near ranges are read at
        once, and several reads run at a time."""
        if not self.source.remote:
            return [read(self.source, offset, size) for offset, size in ranges]
        groups = coalesced(ranges, READ_THROUGH, self.task_bytes)
        found: list[U8] = [np.zeros(0, np.uint8)] * len(groups)

        def fetch(number: int) -> None:
            offset, size, _ = groups[number]
            found[number] = read(self.source, offset, size)

        each(fetch, range(len(groups)), TOGETHER)
        return [
            data[offset - start : offset - start + size]
            for (start, _, members), data in zip(groups, found)
            for offset, size in members
        ]

    def runs(self, entry: Entry, chunks: list[int]) -> Iterator[tuple[int, int, U8]]:
        """Yield the stored bytes of these chunks of a tensor, in ascending order: runs [first, last) of neighbours."""
        bounds = self.index.columns.bounds(entry.number)
        runs: list[tuple[int, int]] = []
        for chunk in chunks:
            if runs and runs[-1][1] == chunk and bounds[chunk + 1] - bounds[runs[-1][0]] <= self.task_bytes:
                runs[-1] = runs[-1][0], chunk + 1
            else:
                runs.append((chunk, chunk + 1))
        batch, size = [], 0
        for run in runs:
            batch.append(run)
            size += int(bounds[run[1]] - bounds[run[0]])
            if size >= (TOGETHER * self.task_bytes if self.source.remote else 1) or run is runs[-1]:
                yield from self._batch(entry, batch, bounds)
                batch, size = [], 0

    def _batch(self, entry: Entry, batch: list[tuple[int, int]], bounds: I64) -> Iterator[tuple[int, int, U8]]:
        ranges = [(entry.offset + int(bounds[first]), int(bounds[last] - bounds[first])) for first, last in batch]
        ready = self.decoder.prepared(entry.number)
        if not ready:
            ranges.insert(0, (entry.offset, int(self.index.columns.head[entry.number])))
        padded = batch[0][0] == 0 and entry.padding > 0
        if padded:  # whoever reads a tensor's first chunk checks the bytes in front of it
            ranges.insert(0, (entry.offset - entry.padding, entry.padding))
        found = self.read_many(ranges)
        if padded:
            self.check_padding(entry, found.pop(0))
        if not ready:
            self.decoder.prepare(entry.number, found.pop(0))
        for (first, last), data in zip(batch, found):
            yield first, last, data

    def check_padding(self, entry: Entry, before: U8 | None = None) -> None:
        """The bytes in front of a segment are zeros: those of the file, or those that `before` ends with."""
        if not entry.padding:
            return
        if before is None:
            before = read(self.source, entry.offset - entry.padding, entry.padding)
        if before[-entry.padding :].any():
            raise FormatError(f"tensor {entry.name!r}: the padding in front of its segment is not zero")

    def close(self) -> None:
        """Close the file. Arrays that were read stay valid."""
        self._closed = True
        self.source.close()


def coalesced(ranges: list[tuple[int, int]], gap: int, most: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Ascending ranges (offset, size) in groups that are read at once: no more than `gap` bytes between two, no
    more than `most` in all; each group with its own offset, size and members."""
    groups: list[tuple[int, int, list[tuple[int, int]]]] = []
    for offset, size in ranges:
        if groups:
            start, held, members = groups[-1]
            if offset - start - held <= gap and offset + size - start <= most:
                members.append((offset, size))
                groups[-1] = start, offset + size - start, members
                continue
        groups.append((offset, size, [(offset, size)]))
    return groups
