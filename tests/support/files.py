"""File objects that count, that fail, and that cannot do everything."""

from __future__ import annotations

import errno
import io


class CountingFile(io.BytesIO):
    """Remembers the ranges that were read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        part = super().read(size)
        self.reads.append((start, start + len(part)))
        return part

    @property
    def bytes_read(self) -> int:
        return sum(end - start for start, end in self.reads)


class ShortReads(io.BytesIO):
    """Gives at most a few bytes at a time, as sockets and pipes do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 7) if size is not None and size >= 0 else size)


class Pipe:
    """Writable and nothing else: no seek, no tell, no flush."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)


class ShortWrites(Pipe):
    """Takes at most a few bytes at a time."""

    def write(self, data: bytes) -> int:
        return super().write(bytes(data)[:11])


class FullDisk(Pipe):
    """Takes `room` bytes and then fails as a full disk does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:
        if len(self.data) + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)
