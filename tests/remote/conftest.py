"""Servers on loopback: a web server written here, and an S3 API server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("fsspec", reason="URLs need fsspec: the extra `remote`")
pytest.importorskip("aiohttp", reason="http:// needs aiohttp: the extra `remote`")

from support.command import dcz_
from support.http import Web, serving

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


class S3:
    """An S3 API server, and the requests it got."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[tuple[str, str, str, int]] = []

    @property
    def gets(self) -> list[tuple[str, int]]:
        """Range and length of the answer of each GET of an object."""
        return [(asked, sent) for method, path, asked, sent in self.requests if method == "GET" and path.count("/") > 1]

    @property
    def sent(self) -> int:
        return sum(sent for _, sent in self.gets)


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3]:
    pytest.importorskip("s3fs", reason="s3:// needs s3fs: the extra `remote`")
    moto = pytest.importorskip("moto.server", reason="the S3 server is moto's: the extra `test`")
    names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://127.0.0.1:{1}".format(*server.get_host_and_port())
    before = {name: os.environ.get(name) for name in (*names, "AWS_ENDPOINT_URL")}
    os.environ.update(names, AWS_ENDPOINT_URL=endpoint)
    found = S3(endpoint)
    application = server._server.app

    def counting(environ: dict, start_response: object) -> object:
        lengths: list[int] = []

        def start(status: str, headers: list, *rest: object) -> object:
            lengths.append(int({name.lower(): value for name, value in headers}.get("content-length", 0)))
            return start_response(status, headers, *rest)

        try:
            return application(environ, start)
        finally:
            asked = environ.get("HTTP_RANGE", "")
            found.requests.append(
                (environ["REQUEST_METHOD"], environ["PATH_INFO"], asked, lengths[-1] if lengths else 0)
            )

    server._server.app = counting
    import s3fs

    s3fs.S3FileSystem().mkdir("models")
    yield found
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture
def s3(_s3: S3) -> S3:
    """The S3 server, with a bucket `models`."""
    import s3fs

    s3fs.S3FileSystem().invalidate_cache()
    _s3.requests.clear()
    return _s3
