"""Global heaps of HDF5 files, where strings of any length lie: checked before the library reads them.

In HDF5 up to 1.14.6, `H5HG__cache_heap_deserialize` goes from object to object by their sizes and never ends where one
takes no bytes. (HDF5 File Format Specification 3.0, III.E.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from dcz.errors import FormatError

_START = b"GCOL\x01\0\0\0"
_HEADER = 16  # of a collection, and of each object in it
_PIECE = 1 << 23
_LARGEST = 1 << 26  # of a collection; the library makes them of 4 KiB, and larger for one large object


def check_heaps(file: BinaryIO, where: str) -> None:
    """Raise `FormatError` where a collection's objects do not fill it without gaps."""
    total = 0
    for start in list(_starts(file)):
        file.seek(start)
        head = file.read(_HEADER)
        size = int.from_bytes(head[8:16], "little")
        if size > _LARGEST:
            raise FormatError(f"{where}: a heap of {size} bytes at {start}; the limit is {_LARGEST}")
        data = file.read(size - _HEADER) if size > _HEADER else b""
        total += len(data)
        if total > file.seek(0, os.SEEK_END):
            raise FormatError(f"{where}: its heaps overlap; fetch the file again")
        at = 0
        while at + _HEADER <= len(data):
            stored = int.from_bytes(data[at + 8 : at + 16], "little")
            index = int.from_bytes(data[at : at + 2], "little")
            need = stored if index == 0 else _HEADER + -(-stored // 8) * 8
            if need < _HEADER or at + need > len(data):
                raise FormatError(
                    f"{where}: an object of {stored} bytes does not fit the heap at {start}; fetch the file again"
                )
            at += need


def _starts(file: BinaryIO) -> Iterator[int]:
    file.seek(0)
    before, at = b"", 0
    while piece := file.read(_PIECE):
        data = before + piece
        found = data.find(_START)
        while found >= 0:
            yield at - len(before) + found
            found = data.find(_START, found + 1)
        at += len(piece)
        before = data[-len(_START) + 1 :]
