"""An S3 API server on loopback, moto's, that counts what it is asked and can be made to fail."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Application = Callable[..., Any]
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class S3:
    """The server, and the requests it got: method, path, range, and length of the answer.

    `manner` is healthy, slow (each answer waits for `delay` seconds), truncated (objects end in the middle), silent
    (never answers), stalled (sends half of an object and then nothing), or an HTTP status that every request for an
    object whose path contains `where` gets. After `healthy_after` failures it is healthy."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.requests: list[tuple[str, str, str, int]] = []
        self._awake = threading.Event()
        self.behave()

    def behave(
        self, manner: str = "healthy", where: str = "", healthy_after: int = 1_000_000, delay: float = 0.0
    ) -> None:
        """Changes how it answers."""
        self.manner, self.where, self.healthy_after, self.delay = manner, where, healthy_after, delay
        self.failed = 0
        self._awake.set()  # those that are silent end
        self._awake = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it. boto's own retries, which take seconds, are left out."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_MAX_ATTEMPTS": "1"}

    @property
    def gets(self) -> list[tuple[str, int]]:
        """Range and length of the answer of each GET of an object."""
        return [(asked, sent) for method, path, asked, sent in self.requests if method == "GET" and path.count("/") > 1]

    @property
    def sent(self) -> int:
        return sum(sent for _, sent in self.gets)

    def answer(
        self, application: Callable[..., Any], environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Any:
        """Answers one request, well or not."""
        manner = self.manner
        if manner == "healthy" or self.where not in environ["PATH_INFO"]:
            return application(environ, start_response)
        if manner == "slow":
            self.failed += 1
            time.sleep(self.delay)
            return application(environ, start_response)
        if self.failed >= self.healthy_after or (
            manner in ("truncated", "stalled") and environ["REQUEST_METHOD"] != "GET"
        ):
            return application(environ, start_response)
        self.failed += 1
        if manner == "silent":
            self._awake.wait(60)
            raise ConnectionError("silent")
        if manner == "stalled":
            return self._stalled(application(environ, start_response), self._awake)
        if manner == "truncated":
            return [part[: len(part) // 2] for part in application(environ, start_response)]
        codes = {"500": "InternalError", "503": "SlowDown"}
        body = f"<Error><Code>{codes[manner]}</Code><Message>try again</Message></Error>".encode()
        start_response(f"{manner} no", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    @staticmethod
    def _stalled(parts: Iterable[bytes], awake: threading.Event) -> Iterator[bytes]:
        for part in parts:
            yield part[: len(part) // 2]
            awake.wait(60)
            return


@contextmanager
def serving() -> Iterator[S3]:
    """The server, with a bucket `models`, and this process's environment set for it."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    found = S3("http://127.0.0.1:{1}".format(*server.get_host_and_port()))
    before = {name: os.environ.get(name) for name in found.environment}
    os.environ.update(found.environment)
    application = server._server.app  # type: ignore[union-attr]

    def counting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        lengths: list[int] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            lengths.append(int({name.lower(): value for name, value in headers}.get("content-length", 0)))
            return start_response(status, headers, *rest)

        try:
            return found.answer(application, environ, start)
        finally:
            asked = environ.get("HTTP_RANGE", "")
            sent = lengths[-1] if lengths else 0
            found.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], asked, sent))

    server._server.app = counting  # type: ignore[union-attr]
    s3fs.S3FileSystem().mkdir("models")
    try:
        yield found
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
