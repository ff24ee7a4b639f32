"""Servers on loopback: a web server written here, and an S3 API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("fsspec", reason="URLs need fsspec: the extra `remote`")
pytest.importorskip("aiohttp", reason="http:// needs aiohttp: the extra `remote`")

from support.command import dcz_
from support.http import Web, serving
from support.s3 import S3

__all__ = ["dcz_", "s3", "web"]


@pytest.fixture(scope="session")
def _server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def web(_server: Web) -> Web:
    """The web server, as if just started."""
    _server.files.clear()
    _server.forget()
    _server.manner, _server.healthy_after, _server.delay = "ranges", 1_000_000, 0.0
    return _server


@pytest.fixture
def s3(_s3: S3) -> S3:
    """The S3 server, with a bucket `models`."""
    import s3fs

    s3fs.S3FileSystem().invalidate_cache()
    _s3.requests.clear()
    return _s3
