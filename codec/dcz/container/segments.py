"""A tensor's segment as it is stored, for copying without decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.errors import ChecksumError
from dcz.format.index import Entry
from dcz.format.records import Record, StoredLayout
from dcz.io.sources import read
from dcz.kernels.interface import U8

# Stored bytes that are read at once, if chunks are not larger.
_PART_BYTES = 8 << 20


class StoredSegment(NamedTuple):
    """A tensor's record in the index, and the bytes of its segment. `number` is the tensor whose segment it is, perhaps
    another one with the same words."""

    record: Record
    number: int
    store: OpenFile
    entry: Entry

    @property
    def needs_zstd(self) -> bool:
        """Whether zstd may code any of its streams."""
        return any("zstd" in codes for codes in self.record.layout.streams)

    def parts(self) -> Iterator[U8]:
        """Yield the bytes in order, a few megabytes at a time, each checked against its checksums."""
        c, t, kernel, source = self.store.index.columns, self.number, kernels.active(), self.store.source
        head = read(source, self.entry.offset, int(c.head[t]))
        if len(head) and kernel.crc32c(head) != c.kernel.books[c.book_at[t]]:
            raise ChecksumError(
                f"tensor {self.entry.name!r}: the codebook does not match its CRC-32C; fetch the file again"
            )
        yield head
        bounds, crcs = c.bounds(t), c.rows(t)[:, 2]
        first = 0
        while first < len(crcs):
            last = int(np.searchsorted(bounds, bounds[first] + _PART_BYTES, "right")) - 1
            last = min(max(last, first + 1), len(crcs))
            data = read(source, self.entry.offset + int(bounds[first]), int(bounds[last] - bounds[first]))
            found = kernel.crc32c_rows(data, bounds[first : last + 1] - bounds[first])
            wrong = np.flatnonzero(found != crcs[first:last])
            if len(wrong):
                raise ChecksumError(
                    f"tensor {self.entry.name!r}, chunk {first + int(wrong[0])}: the stored bytes do not match their "
                    "CRC-32C; fetch the file again"
                )
            yield data
            first = last


def stored_segment(store: OpenFile, name: str) -> StoredSegment:
    """Return the segment of a tensor, whether or not this version can decode it."""
    entry = store.listed(name)
    c, source = store.index.columns, entry.number
    t = store.index.entries.numbers[entry.name]
    with_base = bool(c.transforms[source])
    record = Record(
        entry.name, entry.dtype.code, entry.shape, entry.words, int(c.word[t]), entry.nonzeros,
        int(c.content_crcs[t]), StoredLayout.read(c, source),
        metadata=store.index.tensor_metadata.get(entry.name, {}),
        transform=int(c.transforms[source]), base_name=c.base_name(source) if with_base else "",
        base_crcs=tuple(c.base_crcs(source).tolist()), result_crcs=tuple(c.result_crcs(source).tolist()),
    )  # fmt: skip
    return StoredSegment(record, source, store, entry)
