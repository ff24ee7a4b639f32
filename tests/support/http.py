"""A web server with byte ranges, on loopback, that counts what it is asked and can be made to fail."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """Files by path, what was asked for them, and how the server is to behave.

    `manner` is one of: ranges, no ranges (answers every request with the whole file), refuses ranges (and says so),
    no length, slow (answers a range a byte at a time), endless (answers a range with bytes that never end), gzip
    (compresses a range), silent (never answers a range), drops (closes the connection in the middle of a range),
    truncates (answers a range with half of it), or an HTTP status that every request gets. `healthy_after` failures
    it behaves.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    manner: str = "ranges"
    healthy_after: int = 1_000_000
    requests: list[tuple[str, int, int]] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    delay: float = 0.0
    address: str = ""
    endless: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges that were sent, as (first, last + 1)."""
        return [(start, end) for method, start, end in self.requests if method == "GET"]

    @property
    def sent(self) -> int:
        """Bytes of bodies."""
        return sum(end - start for start, end in self.ranges)

    def forget(self) -> None:
        """Counts from zero."""
        self.requests.clear()
        self.most_together = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *arguments: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        web = self.web
        with web.lock:
            web.together += 1
            web.most_together = max(web.most_together, web.together)
        try:
            if web.delay:
                threading.Event().wait(web.delay)
            self._answer(body=True)
        finally:
            with web.lock:
                web.together -= 1

    def _answer(self, body: bool) -> None:
        web = self.web
        manner = web.manner
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and manner in ("drops", "truncates"):
            with web.lock:
                web.healthy_after -= 1
                if web.healthy_after < 0:
                    manner = "ranges"
        if asked and manner in ("endless", "gzip", "silent", "slow"):
            self._misbehave(manner)
            return
        data = web.files.get(self.path.partition("?")[0][1:])
        if manner.isdigit() or data is None:
            with web.lock:
                web.requests.append((self.command, 0, 0))
            self.send_response(int(manner) if manner.isdigit() else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, end = 0, len(data)
        if asked and manner not in ("no ranges", "refuses ranges"):
            start = int(asked[1])
            end = min(end, int(asked[2]) + 1 if asked[2] else end)
        if manner == "truncates" and asked:
            end = start + (end - start) // 2
        with web.lock:
            web.requests.append((self.command, start, end if body else start))
        self.send_response(206 if asked and manner not in ("no ranges", "refuses ranges") else 200)
        if manner == "no length":
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(end - start))
        if manner == "refuses ranges":
            self.send_header("Accept-Ranges", "none")
        elif asked and manner != "no ranges":
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        self.end_headers()
        if body:
            part = data[start:end]
            try:
                self.wfile.write(part[: len(part) // 2] if asked and manner == "drops" else part)
            except ConnectionError:
                self.close_connection = True
            if asked and manner == "drops":
                self.close_connection = True

    def _misbehave(self, manner: str) -> None:
        """Answers a range with a body that has no end, with a compressed one, or not at all."""
        self.close_connection = True
        if manner == "silent":
            self.web.released.wait(30)
            return
        self.send_response(206)
        if manner == "gzip":
            body = gzip.compress(bytes(1 << 24))
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            if manner == "gzip":
                self.wfile.write(body)
            while manner == "slow" and not self.web.released.wait(0.1):
                self.wfile.write(b"x")
            while manner == "endless" and not self.web.released.is_set():
                self.wfile.write(bytes(1 << 16))
                self.web.endless += 1 << 16
        except ConnectionError:
            pass


@contextmanager
def serving() -> Iterator[Web]:
    """A server for the length of the context."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    server.daemon_threads = True
    web.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
