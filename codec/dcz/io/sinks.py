"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from typing import BinaryIO, Protocol

from dcz.errors import DczError
from dcz.io.sources import is_url
from dcz.kernels.interface import U8


class Sink(Protocol):
    """Where a file is written, front to back."""

    def write(self, data: bytes | U8) -> None: ...

    def publish(self) -> None:
        """Makes what was written the file."""

    def abandon(self) -> None:
        """Leaves things as they were before."""


class PathSink:
    """A temporary file beside the target, renamed over it once it is safely on disk."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(os.fspath(path))
        if os.path.isdir(self._path):
            raise IsADirectoryError(21, "Is a directory", self._path)
        if os.path.exists(self._path) and not os.path.isfile(self._path):
            raise DczError(f"{self._path}: is no regular file; open it and pass the file object")
        folder, name = os.path.split(self._path)
        self._temporary = os.path.join(folder, f".{name[:32]}.{os.urandom(8).hex()}.tmp")
        self.file: BinaryIO = open(self._temporary, "xb", buffering=1 << 20)

    def write(self, data: bytes | U8) -> None:
        self.file.write(data)

    def write_at(self, offset: int, data: bytes | U8) -> None:
        """Writes somewhere else than at the end."""
        self.file.seek(offset)
        self.file.write(data)

    def publish(self) -> None:
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            with contextlib.suppress(FileNotFoundError):
                os.chmod(self._temporary, os.stat(self._path).st_mode & 0o7777)
            os.replace(self._temporary, self._path)
        except BaseException:
            self.abandon()
            raise
        sync_folder(os.path.dirname(self._path))

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def sync_folder(folder: str) -> None:
    """Makes the rename itself durable; some file systems do not let a folder be synced."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class ObjectSink:
    """A writable binary file object; it stays the caller's to close, and what is written is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes | U8) -> None:
        view = memoryview(data).cast("B")
        while len(view):
            done = self._file.write(view)
            if done is None and not isinstance(self._file, io.RawIOBase):  # does not say, and wrote it all
                return
            if not done or done < 0:
                raise BlockingIOError(errno.EAGAIN, f"write() took nothing of {len(view)} bytes")
            view = view[done:]

    def publish(self) -> None:
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def abandon(self) -> None: ...


def open_sink(file: object) -> Sink:
    """The sink for what a user hands in: a path, a URL or a binary file object."""
    if is_url(file):
        from dcz.io.remote import UrlSink

        return UrlSink(file)
    if isinstance(file, (str, os.PathLike)):
        return PathSink(file)
    if hasattr(file, "write"):
        return ObjectSink(file)  # type: ignore[arg-type]
    raise DczError(f"file: expected a path or a writable binary file object, found {type(file).__name__}")
