"""The kind of a file by its first bytes, where its name says otherwise: pages and pointers saved as weights, compressed
files, other formats.

A download that went wrong is the commonest "corrupt" checkpoint. Each kind has an error that says what to do.
"""

from __future__ import annotations

import re
from typing import Any

from dcz.errors import DczError, FormatError, TruncatedError, UnsupportedError
from dcz.format.pointers import POINTERS

HEAD = 512  # bytes that identify a kind
# Compressed files, each by enough bytes that no header length or count of another format looks the same.
_COMPRESSED: tuple[tuple[bytes, str, str], ...] = (
    (rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", "compressed by gzip", "gunzip"),
    (rb"BZh[1-9]\x31\x41\x59\x26\x53\x59", "compressed by bzip2", "bunzip2"),
    (rb"\xfd7zXZ\x00", "compressed by xz", "unxz"),
    (rb"\x28\xb5\x2f\xfd", "compressed by zstd", "unzstd"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (rb"Rar!\x1a\x07", "a RAR archive", "unrar x"),
)
# Formats, with the extensions that may hold them.
_TORCH = (".bin", ".ckpt", ".pt", ".pth", ".pth.tar")
_FORMATS: tuple[tuple[bytes, str, tuple[str, ...]], ...] = (
    (rb"\x89DCZ\r\n\x1a\n", "a dcz file", (".dcz",)),
    (rb"GGUF[\x00-\x03]", "a GGUF file", (".gguf",)),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", (".h5", ".hdf5", ".keras")),
    (rb"\x93NUMPY", "a numpy array", (".npy",)),
    (rb".{4}\x00{4}\{\s*[\"}]", "a safetensors file", (".safetensors",)),
    (rb"PK\x03\x04|PK\x05\x06", "a zip archive", (".npz", ".keras", *_TORCH)),
)
_RENAMED = {"a zip archive": "a PyTorch checkpoint is one, an npz and a .keras file too; unpack any other"}


def _compiled(patterns: tuple[tuple[bytes, str, Any], ...]) -> list[tuple[re.Pattern[bytes], str, Any]]:
    return [(re.compile(pattern, re.DOTALL), what, more) for pattern, what, more in patterns]


_POINTER, _PACKED, _FORMAT = _compiled(POINTERS), _compiled(_COMPRESSED), _compiled(_FORMATS)


def _first(head: bytes, patterns: list[tuple[re.Pattern[bytes], str, Any]]) -> tuple[str, Any] | None:
    return next(((what, more) for pattern, what, more in patterns if pattern.match(head)), None)


def stranger(name: str, head: bytes, size: int, extension: str | None) -> DczError | None:
    """Return the error for a file that is not what its extension says, or None; `head` are its first `HEAD` bytes.

    Without an extension (None) only files of no known format are recognized.

    >>> print(stranger("w.gguf", b"<!DOCTYPE html><html>", 21, ".gguf"))
    w.gguf: is a web page (HTML); fetch the file again, by its download link and, where it is not public, with a token
    """
    if size == 0:
        return TruncatedError(f"{name}: the file is empty; finish the download")
    if found := _first(head, _POINTER):
        what, remedy = found
        return FormatError(f"{name}: is {what}; {remedy}")
    format_ = _first(head, _FORMAT)
    if format_ is None and (found := _first(head, _PACKED)):
        what, tool = found
        return UnsupportedError(f"{name}: is {what}; decompress it first: {tool}")
    if format_ is not None and extension is not None and extension not in format_[1]:
        what, extensions = format_
        remedy = _RENAMED.get(what, f"rename it to end in {extensions[0]}")
        return UnsupportedError(f"{name}: is {what}, not what {extension} files hold; {remedy}")
    return None
