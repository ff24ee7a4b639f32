"""The source for a user's argument: a path, a URL, bytes or a file object."""

from __future__ import annotations

import io
import os

from dcz.errors import DczError
from dcz.io.sources import BytesSource, FileSource, ObjectSource, Source, is_url


def open_source(file: object, *, sequential: bool = False) -> Source:
    """Return the source for a user's argument: a path, a URL, bytes, or a binary file object. `sequential` announces
    that all of it will be read front to back, perhaps in small pieces."""
    if is_url(file):
        from dcz.io.remote import Readahead, open_url

        source = open_url(file)
        return Readahead(source) if sequential and source.remote else source
    if isinstance(file, (str, os.PathLike)):
        return FileSource(file)
    if isinstance(file, (bytes, bytearray, memoryview)):
        return BytesSource(file)
    if isinstance(file, io.TextIOWrapper):  # open(path) without "b": the bytes lie below the text
        file = file.buffer
    if hasattr(file, "read") and hasattr(file, "seek"):
        if isinstance(file, io.TextIOBase):
            raise DczError("file: expected bytes, found text in memory; pass a path or a file opened as 'rb'")
        return ObjectSource(file)  # type: ignore[arg-type]
    raise DczError(f"file: expected a path, bytes or a seekable binary file object, found {type(file).__name__}")
