"""Remote files: everything fsspec opens (S3, GCS, HTTP, the Hugging Face hub, zip archives, ...)."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from dcz.errors import DczError, TruncatedError, UnsupportedError
from dcz.extras import require
from dcz.io.http import asked_timeout, fetch_range, set_timeouts, timeout_seconds
from dcz.io.sources import FileSource, ObjectSource, Source, read, readable, short
from dcz.kernels.interface import U8
from dcz.pools import Pool

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

# Seconds to wait before retrying a read that a broken connection cut off. fsspec's S3 has retries of its own.
_AGAIN = (0.1, 0.5)
# Raised by aiohttp, urllib3 and http.client when a connection ends midway; these are not OSErrors.
_BROKEN = ("ClientPayloadError", "ServerDisconnectedError", "IncompleteRead", "ChunkedEncodingError", "ProtocolError")
_DENIED = (401, 403)
# Raised by clients of stores for a server that accepts a connection, or begins an answer, and then says nothing.
_SILENT = ("ReadTimeoutError", "ConnectTimeoutError")
# Bytes a second below which an operation on a store is given up, all its client's own attempts together.
_SLOWEST = 64 << 10


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a URL, and the path on it."""
    url_to_fs = require("fsspec.core", "remote", url).url_to_fs
    try:
        fs, path = guarded(url, lambda: url_to_fs(url))
    except ImportError as error:
        raise UnsupportedError(f"{url}: {error}") from None
    if "http" in _protocols(fs):
        set_timeouts(fs)
    elif "s3" in _protocols(fs) and asked_timeout() and getattr(fs, "_s3", fs) is None:  # before it connects
        for key in ("read_timeout", "connect_timeout"):
            fs.config_kwargs.setdefault(key, timeout_seconds())
    return fs, path


def bounded(url: str, fs: AbstractFileSystem, operation: str, *arguments: Any, size: int = 0, **options: Any) -> Any:
    """Return what an operation of a file system returns that moves `size` bytes, with `guarded`'s errors.

    Clients of stores repeat on their own what fails, some for half an hour, and some wait for ever for a server that
    accepts a connection and says nothing. Raises `TimeoutError` after `timeout_seconds()` and the time that `size`
    takes at 64 KiB a second. Only file systems that are asynchronous can be interrupted."""
    own = getattr(fs, f"_{operation}", None) if fs.async_impl else None
    if own is None:
        return guarded(url, lambda: getattr(fs, operation)(*arguments, **options))
    from fsspec.asyn import sync

    seconds = timeout_seconds() + size / _SLOWEST
    return guarded(url, lambda: sync(fs.loop, own, *arguments, timeout=seconds, **options))


def guarded(url: str, work: Callable[[], T]) -> T:
    """Return `work()`. Errors of network clients become OSErrors or dcz's errors: some say no more than the address."""
    try:
        return work()
    except FileNotFoundError as error:
        cause = error.__cause__  # fsspec's HTTP reports every failed lookup as a missing file
        if type(cause).__module__.partition(".")[0] == "aiohttp" and getattr(cause, "status", None) != 404:
            raise _os_error(url, cause) from None
        raise FileNotFoundError(errno.ENOENT, "No such file", url) from error
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise _os_error(url, error) from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise _named(error, url) from error
    except (DczError, ImportError, MemoryError):
        raise
    except ValueError as error:
        raise (_no_ranges(url) if "range requests" in str(error) else UnsupportedError(f"{url}: {error}")) from None
    except NotImplementedError as error:
        raise UnsupportedError(f"{url}: this kind of address cannot be used that way; {error}".rstrip("; ")) from None
    except Exception as error:
        raise _os_error(url, error) from error


def _named(error: OSError, url: str) -> OSError:
    """An error of the system that says which address it is about: the same kind where Python knows its number."""
    own = type(error).__module__ == "builtins"  # else of a client, which says more
    said = (error.strerror if own else "") or str(error) or type(error).__name__
    if error.errno is not None:
        return OSError(error.errno, said, url)
    return ConnectionError(errno.ECONNABORTED, said, url)


def _os_error(url: str, error: BaseException | None) -> OSError:
    """Return a client's error as the operating system would raise it."""
    if error is not None and (isinstance(error, (TimeoutError, asyncio.TimeoutError)) or _is_silence(error)):
        what = f"was silent for {timeout_seconds():g} s"
        if type(error.__cause__ or error) in (TimeoutError, asyncio.TimeoutError):  # aiohttp's own is for silence
            what = f"sent too little in {timeout_seconds():g} s and more"
        return TimeoutError(errno.ETIMEDOUT, f"The server {what}; set DCZ_TIMEOUT to the seconds to wait", url)
    if isinstance(error, OSError):
        return error if error.filename is not None else _named(error, url)
    status = getattr(error, "status", None)
    said = f"{status} {getattr(error, 'message', '')}".strip() if status is not None else str(error)
    if status in _DENIED:
        return PermissionError(errno.EACCES, said, url)
    return ConnectionError(errno.ECONNABORTED, said or type(error).__name__, url)


def _is_silence(error: BaseException | None) -> bool:
    return any(kind.__name__ in _SILENT for kind in type(error).__mro__)


def open_url(url: str) -> Source:
    """Return the source for a URL."""
    fs, path = file_system(url)
    if "file" in _protocols(fs):
        return FileSource(path)
    info = bounded(url, fs, "info", path)
    if info.get("type") == "directory":
        raise IsADirectoryError(errno.EISDIR, "Is a directory", url)
    if info.get("size") is None:
        raise UnsupportedError(f"{url}: the server does not tell the file's length; download the file first")
    if info.get("partial") is False:
        raise _no_ranges(url)
    if "http" not in _protocols(fs) and not fs.async_impl:
        from fsspec.spec import AbstractBufferedFile

        file = guarded(url, lambda: fs.open(path, "rb", cache_type="none"))
        if not isinstance(file, AbstractBufferedFile):  # within this process: memory, archives, caches
            return _OwnObject(file, url, fs)
        file.close()
    return UrlSource(url, fs, path, info["size"])


def _protocols(fs: AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _no_ranges(url: str) -> UnsupportedError:
    return UnsupportedError(
        f"{url}: the server does not send parts of a file (HTTP ranges); download the file first, "
        f"or let fsspec do it: simplecache::{url}"
    )


class _OwnObject(ObjectSource):
    """A file object that this module opens and closes."""

    def __init__(self, file: BinaryIO, url: str, fs: AbstractFileSystem) -> None:
        super().__init__(file)
        self.name = url
        self._fs = fs  # which would close an archive behind us

    def close(self) -> None:
        self._file.close()


class UrlSource:
    """A file on a server, read by ranges, several at a time."""

    remote = True

    def __init__(self, url: str, fs: AbstractFileSystem, path: str, size: int) -> None:
        self.name, self.size = url, size
        self._fs, self._path = fs, path
        self._http = "http" in _protocols(fs)

    def read_into(self, offset: int, out: U8) -> None:
        if len(out) == 0:
            return
        for wait in (*_AGAIN, None):
            try:
                self._read_into(offset, out)
                return
            except TruncatedError:
                if wait is None:
                    raise
                time.sleep(wait)

    def _read_into(self, offset: int, out: U8) -> None:
        try:
            data = self._fetch(offset, len(out))
        except ConnectionError as error:
            cause = error.__cause__ or error
            if type(cause).__name__ not in _BROKEN:
                raise
            raise TruncatedError(
                f"{self.name}: the connection broke while it sent {len(out)} bytes at {offset}; try again"
            ) from error
        if len(data) > len(out):
            raise _no_ranges(self.name)
        if len(data) < len(out):
            raise short(self.name, offset, len(out), len(data))
        out[:] = np.frombuffer(data, np.uint8)

    def _fetch(self, offset: int, size: int) -> bytes:
        if self._http:
            return guarded(self.name, lambda: fetch_range(self._fs, self._path, offset, size))
        if self._fs.async_impl:
            place = {"start": offset, "end": offset + size}
            found: bytes = bounded(self.name, self._fs, "cat_file", self._path, size=size, **place)
            return found
        return guarded(self.name, lambda: self._fetch_opened(offset, size))

    def _fetch_opened(self, offset: int, size: int) -> bytes:
        with self._fs.open(self._path, "rb", size=self.size, cache_type="none") as file:
            file.seek(offset)
            return file.read(size)

    def close(self) -> None: ...


class Remembering:
    """A source whose last bytes, from `start` on, are in memory already."""

    def __init__(self, source: Source, start: int, tail: U8) -> None:
        self.name, self.size, self.remote = source.name, source.size, source.remote
        self._source, self._start, self._tail = source, start, tail

    def read_into(self, offset: int, out: U8) -> None:
        if offset >= self._start and offset + len(out) <= self.size:
            out[:] = self._tail[offset - self._start : offset - self._start + len(out)]
        else:
            self._source.read_into(offset, out)

    def close(self) -> None:
        self._source.close()


class Readahead:
    """A remote source in blocks, each fetched once and some ahead of time: for reading a whole file in order, in
    small pieces."""

    remote = True
    BLOCK, AHEAD, KEPT = 8 << 20, 2, 5

    def __init__(self, source: Source) -> None:
        self.name, self.size = source.name, source.size
        self._source = source
        self._blocks: OrderedDict[int, Future[U8]] = OrderedDict()
        self._lock = threading.RLock()  # a signal handler may read while this thread holds it
        self._pool = Pool(self.AHEAD + 1)

    def read_into(self, offset: int, out: U8) -> None:
        done = 0
        while done < len(out):
            if offset + done >= self.size:
                raise short(self.name, offset, len(out), done)
            number, start = divmod(offset + done, self.BLOCK)
            part = self._block(number).result()[start : start + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)

    def _block(self, number: int) -> Future[U8]:
        """Return a block, and start to fetch the next ones."""
        with self._lock:
            for wanted in range(number, number + self.AHEAD + 1):
                if wanted * self.BLOCK < self.size and wanted not in self._blocks:
                    self._blocks[wanted] = self._pool.submit(self._fetch, wanted * self.BLOCK)
            self._blocks.move_to_end(number)
            found = self._blocks[number]
            while len(self._blocks) > self.KEPT:
                self._blocks.popitem(last=False)
            return found

    def _fetch(self, start: int) -> U8:
        return read(self._source, start, min(self.BLOCK, self.size - start))

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._blocks.clear()
        self._source.close()


class UrlSink:
    """A file being written to a server, which shows it only once it is complete."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._fs, self._path = file_system(url)
        if "memory" in _protocols(self._fs):  # which shows what was only begun
            self._file: BinaryIO = _memory_file(self._fs, self._path)
        else:
            self._file = guarded(url, lambda: self._fs.open(self._path, "wb"))

    def write(self, data: bytes | U8) -> None:
        view = memoryview(readable(data)).cast("B")
        guarded(self._url, lambda: self._file.write(view))

    def read_back(self, offset: int, size: int) -> bytes | None:
        return None

    def publish(self) -> None:
        guarded(self._url, self._file.close)

    def abandon(self) -> None:
        if self._file.closed:
            return
        discard = getattr(self._file, "discard", None)
        if discard is not None:
            guarded(self._url, discard)
        # Else closing, when it is collected, would upload it.
        self._file.closed = True  # type: ignore[misc]


def _memory_file(fs: AbstractFileSystem, path: str) -> BinaryIO:
    import io

    class Pending(io.BytesIO):
        """Bytes that become a file on closing."""

        closed = False

        def close(self) -> None:
            if not self.closed:
                fs.pipe_file(path, self.getvalue())
                self.closed = True

    return Pending()


def exists(url: str) -> bool:
    """Return whether a file or folder exists."""
    fs, path = file_system(url)
    return bool(bounded(url, fs, "exists", path))


def extension(url: str) -> str:
    """Return the extension of a URL's file name; of a chained URL, that of its innermost part, without the query."""
    first = url.partition("::")[0] if "://" in url.partition("::")[0] else url
    return os.path.splitext(first.partition("?")[0].partition("#")[0])[1].lower()
