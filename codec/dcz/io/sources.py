"""Sources of a file's bytes: a path, bytes in memory, or any binary file object."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import threading
import weakref
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np

from dcz.errors import DczError, TruncatedError
from dcz.kernels.interface import U8
from dcz.text import plural

if TYPE_CHECKING:
    from typing import TypeGuard

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")


class Source(Protocol):
    """Random access to `size` bytes, safe for threads. `name` is for messages. Reads of a `remote` source wait for a
    network: few large ones are quicker, and several at a time."""

    name: str
    size: int
    remote: bool

    def read_into(self, offset: int, out: U8) -> None:
        """Fill `out` from `offset`; raise `TruncatedError` where the source ends before."""

    def close(self) -> None: ...


# Reads of fewer bytes take no time to speak of, wherever they go.
_SMALL_READ = 1 << 15
PAGE = 4096


def read(source: Source, offset: int, size: int) -> U8:
    """Return `size` bytes from `offset`."""
    out = np.empty(size, np.uint8) if size < _SMALL_READ else placed(np.empty(size + 2 * PAGE, np.uint8), offset, size)
    source.read_into(offset, out)
    return out


def placed(memory: U8, offset: int, size: int) -> U8:
    """Return `size` bytes of `memory`, which has two pages more. They lie in their page as the bytes from `offset` do
    in the file's.

    The system copies from its cache, and some processors copy eight times slower where the target lies a few bytes
    behind the source in its page."""
    start = (offset - memory.__array_interface__["data"][0]) % PAGE
    return memory[start : start + size]


def is_url(file: object) -> TypeGuard[str]:
    """Return whether `file` is a URL as fsspec reads them, possibly chained: `s3://...`, `zip://model.dcz::https://...`."""
    return isinstance(file, str) and _URL.match(file) is not None


def short(name: str, offset: int, wanted: int, got: int) -> TruncatedError:
    """Return the error for a read beyond the end."""
    return TruncatedError(
        f"{name}: wanted {wanted} bytes at {offset}, got {got}; the file became shorter or the read was cut off"
    )


class _Descriptor:
    """A file descriptor that is never closed while a thread reads: the system would give its number to the next file
    that is opened, and the read would go there.

    There is no lock: a signal handler, a finalizer or a forked process might wait for it for ever. Appending to a list
    and popping from it, which are atomic, take its place."""

    def __init__(self, fd: int) -> None:
        self._fd = [fd]  # empty once it is closed
        self._number = fd
        self._reads: list[None] = []
        self._closed = False

    def __enter__(self) -> int:
        self._reads.append(None)  # before looking: a `close` that comes after leaves the descriptor open
        if self._closed:
            self.__exit__()
            raise DczError("the reader is closed; open the file again")
        return self._number

    def __exit__(self, *error: object) -> None:
        self._reads.pop()
        if self._closed and not self._reads:
            self._release()

    def close(self) -> None:
        """Close the descriptor, now or after the last read."""
        self._closed = True
        if not self._reads:
            self._release()

    def _release(self) -> None:
        try:
            fd = self._fd.pop()
        except IndexError:  # another thread was first
            return
        os.close(fd)


class FileSource:
    """A file of the operating system. Reads name their offsets, so threads need no lock.

    A file that is never closed is closed when it is no longer referenced."""

    remote = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        # A FIFO without a writer must not block; for regular files the flag means nothing.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(path, flags)
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.name)
            if not stat.S_ISREG(status.st_mode):
                raise DczError(f"{self.name}: is not a regular file, but {_kind(status.st_mode)}; copy it to a file")
            self.size = status.st_size
        except BaseException:
            os.close(fd)
            raise
        self._descriptor = _Descriptor(fd)
        self._finalizer = weakref.finalize(self, self._descriptor.close)

    def read_into(self, offset: int, out: U8) -> None:
        view = out.data
        done = 0
        with self._descriptor as fd:
            while done < len(view):
                got = os.preadv(fd, [view[done:]], offset + done)
                if got == 0:
                    raise short(self.name, offset, len(view), done)
                done += got

    def close(self) -> None:
        self._finalizer()


def _kind(mode: int) -> str:
    """Return the name of a kind of file that is not regular."""
    kinds = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a character device"))
    return next((name for test, name in kinds if test(mode)), "a device")


class BytesSource:
    """Bytes in memory, not copied."""

    remote = False

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.name = name_of(data)
        self._data = np.frombuffer(data, np.uint8)
        self.size = len(self._data)

    def read_into(self, offset: int, out: U8) -> None:
        part = self._data[offset : offset + len(out)]
        if len(part) != len(out):
            raise short(self.name, offset, len(out), len(part))
        out[:] = part

    def close(self) -> None:
        self._data = np.zeros(0, np.uint8)


class ObjectSource:
    """A seekable binary file object; one thread reads at a time. It stays the caller's to close."""

    remote = False

    def __init__(self, file: BinaryIO) -> None:
        self.name = name_of(file)
        self._file = file
        self._lock = threading.RLock()
        self._reads = 0
        end = file.seek(0, io.SEEK_END)
        self.size = file.tell() if end is None else end  # seek of mmap and tempfile did not always return it

    def read_into(self, offset: int, out: U8) -> None:
        done = 0
        with self._lock:
            while done < len(out):
                part = self._read(offset + done, len(out) - done)
                if part is None:
                    continue
                if not part:
                    raise short(self.name, offset, len(out), done)
                if len(part) > len(out) - done:
                    raise DczError(f"{self.name}: read({len(out) - done}) returned {plural(len(part), 'byte')}")
                out[done : done + len(part)] = np.frombuffer(part, np.uint8)
                done += len(part)

    def _read(self, offset: int, size: int) -> bytes | None:
        """Return some of the bytes at `offset`; None if a signal handler or finalizer has read from the object
        meanwhile, in this thread, and may have moved its position."""
        self._reads += 1
        own = self._reads
        self._file.seek(offset)
        part = self._file.read(size)
        return part if self._reads == own else None

    def close(self) -> None: ...


def name_of(file: object) -> str:
    """Return the name of a user's file in messages, as its source has it.

    >>> name_of(b""), name_of("model.dcz")
    ('<bytes>', 'model.dcz')
    """
    if isinstance(file, (str, os.PathLike)):
        return os.fspath(file)
    if isinstance(file, (bytes, bytearray, memoryview)):
        return "<bytes>"
    return str(getattr(file, "name", f"<{type(file).__name__}>"))


def origin(file: object) -> object:
    """Return what opens the same bytes in a copy of a reader or in another process: an absolute path, a URL, or the
    bytes.

    Raises `DczError` for a file object, which cannot be opened again."""
    if is_url(file) or isinstance(file, bytes):
        return file
    if isinstance(file, (str, os.PathLike)):
        return os.path.abspath(file)
    if isinstance(file, (bytearray, memoryview)):
        return bytes(file)
    raise DczError(
        f"a reader of a file object ({type(file).__name__}) cannot be copied or sent to another process; "
        "open the file by its path or URL"
    )


def readable(data: bytes | U8) -> bytes | memoryview:
    """Return bytes, or an array of bytes as a memoryview: `write` is typed to take both."""
    return data if isinstance(data, bytes) else data.data
