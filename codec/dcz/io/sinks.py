"""Atomic writing: a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from dcz.errors import DczError
from dcz.io import temporary
from dcz.io.sources import is_url, readable
from dcz.kernels.interface import U8


class Sink(Protocol):
    """A file being written, front to back."""

    def write(self, data: bytes | U8) -> None: ...

    def read_back(self, offset: int, size: int) -> bytes | None:
        """Return what was written at `offset`; None where it cannot be read back."""

    def publish(self) -> None:
        """Turn what was written into the file."""

    def abandon(self) -> None:
        """Discard what was written: the old file stays."""


class PathSink:
    """A temporary file beside the target, renamed over it once it is safely on disk.

    The target of a symbolic link is replaced, not the link. Mode, owner and group of a file that is replaced are kept
    as far as this process may set them; the temporary file is never readable by more than the final one. Errors name
    the target. Temporary files for the same target that killed processes left behind are removed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)  # as errors name it
        self._path = os.path.realpath(self.name)
        self._temporary, self._pid = "", os.getpid()
        if os.path.isdir(self._path):
            raise IsADirectoryError(21, "Is a directory", self.name)
        if os.path.exists(self._path) and not os.path.isfile(self._path):
            raise DczError(f"{self.name}: not a regular file; open it and pass the file object")
        temporary.remove_leftovers(self._path)
        self._temporary = temporary.new_name(self._path)
        try:
            with self._named_errors():
                self._old = _stat(self._path)
                mode = 0o666 if self._old is None else stat.S_IMODE(self._old.st_mode) & 0o777
                self.file: BinaryIO = open(
                    self._temporary, "xb", buffering=1 << 20, opener=lambda name, flags: os.open(name, flags, mode)
                )
        except BaseException:  # an interrupt just after the file was made, too
            temporary.remove(self._temporary)
            raise

    def write(self, data: bytes | U8) -> None:
        try:
            self.file.write(readable(data))
        except OSError:
            with self._named_errors():
                raise

    def write_at(self, offset: int, data: bytes | U8) -> None:
        """Write at an offset that has been written before."""
        with self._named_errors():
            self.file.seek(offset)
            self.file.write(readable(data))

    def read_back(self, offset: int, size: int) -> bytes | None:
        with self._named_errors():
            self.file.flush()
        try:
            with open(self._temporary, "rb", buffering=0) as file:
                file.seek(offset)
                return file.read(size)
        except OSError:  # a file that may be written and not read
            return None

    def publish(self) -> None:
        try:
            with self._named_errors():
                self.file.flush()
                self._keep_access()
                os.fsync(self.file.fileno())
                self.file.close()
                os.replace(self._temporary, self._path)
        except BaseException:
            self.abandon()
            raise
        temporary.forget(self._temporary)
        sync_folder(os.path.dirname(self._path))

    def abandon(self) -> None:
        if hasattr(self, "file") and not self.file.closed:
            with contextlib.suppress(OSError):
                if os.getpid() != self._pid:  # a forked child must not write what its parent has not yet written
                    os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
                self.file.close()
        temporary.remove(self._temporary)

    def __del__(self) -> None:
        if getattr(self, "_temporary", ""):
            self.abandon()

    def _keep_access(self) -> None:
        """Copy owner, group and mode of the file that is replaced. A group that cannot be kept gets the rights of
        others."""
        if self._old is None or os.name != "posix":
            return
        fd, mode = self.file.fileno(), stat.S_IMODE(self._old.st_mode)
        with contextlib.suppress(OSError):
            os.fchown(fd, -1, self._old.st_gid)
        with contextlib.suppress(OSError):
            os.fchown(fd, self._old.st_uid, -1)
        now = os.fstat(fd)
        if now.st_gid != self._old.st_gid:
            mode = mode & ~0o070 | (mode & 0o007) << 3 & mode
        if (now.st_uid, now.st_gid) != (self._old.st_uid, self._old.st_gid):
            mode &= 0o777  # set-user-ID and set-group-ID are for their owners
        if stat.S_IMODE(now.st_mode) != mode:
            os.fchmod(fd, mode)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Make the operating system's errors name the target: users do not know the temporary file."""
        try:
            yield
        except OSError as error:
            if error.errno is None or error.filename not in (None, self._temporary):
                raise
            raise OSError(error.errno, error.strerror, self.name) from error


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a small file whole or not at all."""
    publish(PathSink(path), data)


def publish(sink: Sink, data: bytes) -> None:
    """Write all of a target's bytes, and publish it; abandon it where that fails."""
    try:
        sink.write(data)
        sink.publish()
    except BaseException:
        sink.abandon()
        raise


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def sync_folder(folder: str) -> None:
    """Make the rename durable. Some file systems cannot sync a folder."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class ObjectSink:
    """A writable binary file object. It stays the caller's to close, and written bytes stay written.

    What `write` returns is checked against the object's `tell`, if it has one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._written, self._start = file, 0, _place(file)

    def write(self, data: bytes | U8) -> None:
        view = memoryview(readable(data)).cast("B")
        self._written += len(view)
        while len(view):
            done = self._file.write(view)
            if done is None and not isinstance(self._file, io.RawIOBase):  # `write` returned None: it wrote everything
                return
            if not done or done < 0:
                raise BlockingIOError(errno.EAGAIN, f"write() took nothing of {len(view)} bytes")
            if done > len(view):
                raise OSError(
                    errno.EIO,
                    f"write() of {len(view)} bytes returned {done}; at most that many can be written",
                )
            view = view[done:]

    def read_back(self, offset: int, size: int) -> bytes | None:
        if not isinstance(self._file, io.BytesIO):
            return None
        start = self._start or 0
        with self._file.getbuffer() as memory:
            return bytes(memory[start + offset : start + offset + size])

    def publish(self) -> None:
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()
        end = _place(self._file)
        if self._start is not None and end is not None and end - self._start != self._written:
            raise OSError(
                errno.EIO,
                f"the file object took {end - self._start} bytes, but its write() accounted for {self._written}",
            )

    def abandon(self) -> None: ...


def _place(file: object) -> int | None:
    """Return the position of a file object; None where it cannot tell."""
    try:
        return file.tell() if file.seekable() else None  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None


def open_sink(file: object) -> Sink:
    """Return the sink for a user's argument: a path, a URL or a binary file object."""
    if is_url(file):
        from dcz.io.remote import UrlSink

        return UrlSink(file)
    if isinstance(file, (str, os.PathLike)):
        return PathSink(file)
    if hasattr(file, "write"):
        return ObjectSink(file)  # type: ignore[arg-type]
    raise DczError(f"file: expected a path or a writable binary file object, found {type(file).__name__}")
