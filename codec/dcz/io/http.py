"""Parts of a file on a web server: bounded in bytes and in time, whatever the server sends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dcz.errors import DczError, UnsupportedError

if TYPE_CHECKING:
    from aiohttp import ClientTimeout
    from fsspec import AbstractFileSystem

# Seconds that a server may take to accept a connection, or to send the next bytes.
_SECONDS = 60.0
# Bytes a second below which a server is given up that does send: one byte a minute is never silent, and never done.
_SLOWEST = 1 << 10
_HEADERS = 1 << 16
_BLOCK = 1 << 16


def timeout_seconds() -> float:
    """Return the seconds a server may stay silent: the environment variable `DCZ_TIMEOUT`, or 60.

    >>> timeout_seconds()
    60.0
    """
    text = os.environ.get("DCZ_TIMEOUT", "")
    if not text:
        return _SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise DczError(f"DCZ_TIMEOUT: expected a positive number of seconds, found {text!r:.40}")
    return seconds


def asked_timeout() -> bool:
    """Return whether the user has set DCZ_TIMEOUT: else the clients of stores keep the timeouts that they have."""
    return bool(os.environ.get("DCZ_TIMEOUT"))


def set_timeouts(fs: AbstractFileSystem) -> None:
    """Gives fsspec's HTTP file system our timeouts in place of aiohttp's five minutes in all, unless the user has set
    their own."""
    if "timeout" not in (fs.storage_options.get("client_kwargs") or {}):  # per request: sessions outlive a change
        fs.kwargs["timeout"] = _timeout(_HEADERS)


def _timeout(size: int) -> ClientTimeout:
    """How long a server may be silent, and how long it may take for an answer of `size` bytes."""
    import aiohttp

    seconds = timeout_seconds()
    return aiohttp.ClientTimeout(total=seconds + size / _SLOWEST, sock_connect=seconds, sock_read=seconds)


def fetch_range(fs: AbstractFileSystem, path: str, offset: int, size: int) -> bytes:
    """Return at most `size` bytes from `offset` of a file on a web server.

    Raises `ValueError` where the server answers with something other than that range: fsspec would read a body of any
    length. A compressed body is refused; it was not asked for, and its length is not the range's."""
    from fsspec.asyn import sync

    data: bytes = sync(fs.loop, _fetch, fs, path, offset, size)
    return data


async def _fetch(fs: Any, path: str, offset: int, size: int) -> bytes:
    options = dict(fs.kwargs)
    if "timeout" in options:
        options["timeout"] = _timeout(size)
    headers = {
        **options.pop("headers", {}),
        "Range": f"bytes={offset}-{offset + size - 1}",
        "Accept-Encoding": "identity",
    }
    session = await fs.set_session()
    async with session.get(fs.encode_url(path), headers=headers, **options) as answer:
        if answer.status == 416:  # the file became shorter
            return b""
        answer.raise_for_status()
        coding = answer.headers.get("Content-Encoding", "identity").lower()
        if coding not in ("", "identity"):
            raise UnsupportedError(
                f"{path}: the server compresses its answers ({coding:.20}) though asked not to; download the file first"
            )
        data = bytearray()
        if answer.status != 206 and (offset > 0 or int(answer.headers.get("Content-Length", size + 1)) > size):
            raise ValueError("the server does not support range requests")
        while len(data) <= size:
            block = await answer.content.read(_BLOCK)
            if not block:
                break
            data += block
        if len(data) > size:
            raise ValueError("the server does not support range requests: it sent more than was asked for")
        return bytes(data)
