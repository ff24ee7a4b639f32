"""Store tensors with equal words once: candidates have equal checksums of words, and equal stored bytes decide."""

from __future__ import annotations

from collections.abc import Iterable

from dcz.format.records import Record, StoredLayout
from dcz.io.sinks import Sink
from dcz.kernels.interface import U8
from dcz.tensor.encoded import Encoded

# Bytes that are read back at once.
_BLOCK = 1 << 20

Key = tuple[str, int, int]  # dtype, words, and the CRC-32C of the words


class Duplicates:
    """The segments that a writer has written: which of them holds the words of a later tensor?

    Equal checksums only make a candidate. Two tensors are the same if they are stored in the same layout with the same
    bytes: what decodes to words is the dtype, the layout and the bytes, and nothing else. The bytes are read back from
    where they were written, so that no array is kept; where that is impossible, nothing is found."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._found: dict[Key, list[tuple[Record, int]]] = {}

    def add(self, record: Record, offset: int) -> None:
        """Note a tensor whose segment begins at `offset`."""
        if record.layout.stored or record.words:
            self._found.setdefault(_key(record), []).append((record, offset))

    def candidates(self, key: Key) -> list[tuple[Record, int]]:
        """Return tensors whose words may be the same."""
        return self._found.get(key, [])

    def of(self, record: Record) -> list[tuple[Record, int]]:
        """Return tensors whose words may be those of a stored one."""
        return self._found.get(_key(record), [])

    def same(self, encoded: Encoded, record: Record, offset: int) -> bool:
        """Return whether an encoded tensor is stored as `record` is. This encodes it."""
        if encoded.stored != record.layout.stored or not self._holds(encoded.parts(), offset):
            return False
        return StoredLayout.of(encoded.layout()) == record.layout

    def same_stored(self, parts: Iterable[U8], stored: Record, record: Record, offset: int) -> bool:
        """Return whether a tensor that is stored elsewhere, in these `parts`, is stored as `record` is."""
        return stored.layout == record.layout and self._holds(parts, offset)

    def _holds(self, parts: Iterable[U8], offset: int) -> bool:
        """Return whether these bytes were written at `offset`."""
        for part in parts:
            for at in range(0, len(part), _BLOCK):
                piece = part[at : at + _BLOCK]
                if self._sink.read_back(offset + at, len(piece)) != piece.tobytes():
                    return False
            offset += len(part)
        return True


def _key(record: Record) -> Key:
    return record.dtype, record.words, record.content_crc
