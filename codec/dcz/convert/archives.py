"""Zip archives that are not trusted: one archive a file, and members that are read in pieces."""

from __future__ import annotations

import bz2
import copy
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from dcz.errors import FormatError
from dcz.text import plural

# Errors of Python and its decompressors for a damaged archive.
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError),
    *(ValueError, LookupError, TypeError, OverflowError, MemoryError, struct.error),
)


_END_OF_ARCHIVE = 22  # bytes of the record that ends one, before its comment


def check_alone(archive: zipfile.ZipFile, path: str) -> None:
    """Raise `FormatError` where a file has bytes before or after its archive: of several archives saved to one open
    file, readers find the last."""
    file = archive.fp
    if file is None:
        return
    first = min((info.header_offset for info in archive.infolist()), default=0)
    size = file.seek(0, os.SEEK_END)
    end = _END_OF_ARCHIVE + len(archive.comment)
    file.seek(max(0, size - end))
    if first or file.read(4) != b"PK\5\6":
        what = f"{plural(first, 'byte')} before its archive" if first else "bytes after its archive"
        raise FormatError(f"{path}: has {what}, as a file does that several were saved to; save each to its own file")


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of an archive's member in pieces, at most as many as it states."""
    with open_member(archive, info) as file:
        while part := file.read(piece_of(info)):
            yield part


def piece_of(info: zipfile.ZipInfo) -> int:
    """Return how many bytes of a member to read at a time: LZMA's decompressor returns everything in its input, up to
    seven thousand times as much."""
    return 1 << 12 if info.compress_type == zipfile.ZIP_LZMA else 1 << 20


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member of an archive. A read takes no more memory than it returns, twenty times that for LZMA. zipfile
    would decompress four kilobytes of bzip2 at once, which may be gigabytes."""
    if info.compress_type != zipfile.ZIP_BZIP2:
        return archive.open(info)
    stored = copy.copy(info)  # the same bytes as they lie there
    stored.compress_type, stored.file_size = zipfile.ZIP_STORED, info.compress_size
    del stored.CRC
    return io.BufferedReader(_Bzip2(archive.open(stored), info))


class _Bzip2(io.RawIOBase):
    """A member compressed by bzip2, checked against its length and CRC-32 as zipfile checks others."""

    def __init__(self, stored: IO[bytes], info: zipfile.ZipInfo) -> None:
        self._file, self._name = bz2.BZ2File(stored), info.filename
        self._stored, self._left, self._crc, self._expected = stored, info.file_size, 0, info.CRC

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int:
        data = self._file.read(min(len(out), self._left))
        out[: len(data)] = data
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if (not data or not self._left) and self._crc != self._expected:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {self._name!r}")
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._stored.close()
        super().close()
