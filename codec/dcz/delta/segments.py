"""The stored bytes of a file of differences, read and checked before they are used."""

from __future__ import annotations

from threading import Lock

import numpy as np

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.errors import ChecksumError
from dcz.format.index import Entry
from dcz.io.sources import read
from dcz.kernels.interface import ROW_HEAD, U8

# Bytes kept from checking to use; the rest is read twice.
_KEPT = 256 << 20


class Segments:
    """Segments of an open file by tensor. Safe for threads."""

    def __init__(self, store: OpenFile) -> None:
        self._store = store
        self._lock = Lock()
        self._kept: dict[int, U8] = {}
        self._size = 0

    def check(self, entry: Entry) -> None:
        """Read a segment, compare every chunk with its CRC-32C, and decode the codebooks at its head."""
        c, t, data = self._store.index.columns, entry.number, self._read(entry)
        head = int(c.head[t])
        if not self._store.decoder.prepared(t):
            self._store.decoder.prepare(t, data[:head])
        found = kernels.active().crc32c_rows(data, c.bounds(t)).astype(np.int64)
        wrong = np.flatnonzero(found != c.rows(t)[:, ROW_HEAD - 1])
        if len(wrong):
            raise ChecksumError(
                f"tensor {entry.name!r}, chunk {wrong[0]}: the stored bytes do not match their CRC-32C; fetch the file "
                "again"
            )

    def part(self, entry: Entry, first: int, last: int) -> U8:
        """Return the bytes of chunks [first, last)."""
        bounds = self._store.index.columns.bounds(entry.number)
        begin, end = int(bounds[first]), int(bounds[last])
        kept = self._kept.get(entry.number)
        if kept is None:
            return read(self._store.source, entry.offset + begin, end - begin)
        return kept[begin:end]

    def _read(self, entry: Entry) -> U8:
        data = read(self._store.source, entry.offset, entry.size)
        with self._lock:
            if self._size + len(data) <= _KEPT:
                self._kept[entry.number] = data
                self._size += len(data)
        return data
