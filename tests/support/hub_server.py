"""The endpoints of the Hugging Face hub that reading a repo and committing files need, on loopback, with a record of
what was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_KINDS = "revision|paths-info|tree|resolve|preupload|commit"
_PATH = re.compile(rf"(/api/models)?/([^/]+/[^/]+)(?:/({_KINDS})/([^/]+)(.*))?")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Files of repos by repo and path, and the requests: method, path and range."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""

    def asked(self, file: str) -> list[tuple[str, str]]:
        """Method and range of each request for the contents of a file."""
        return [(method, asked) for method, path, asked in self.requests if path.endswith(f"/resolve/{file}")]

    def environment(self, home: object) -> dict[str, str]:
        """What makes huggingface_hub, in a process of its own, ask this server and keep its cache in `home`."""
        return {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *arguments: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    do_GET = do_POST = do_HEAD

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        found = _PATH.fullmatch(path)
        repo, kind, rest = (found[2], found[3], found[5]) if found else ("", None, None)
        files = self.hub.repos.get(repo)
        plain = path if kind != "resolve" else f"/{repo}/resolve{rest}"
        self.hub.requests.append((self.command, plain, self.headers.get("Range", "")))
        if path == "/api/repos/create":
            name = "{organization}/{name}".format(**json.loads(body))
            self.hub.repos.setdefault(name, {})
            self._json({"url": f"{self.hub.address}/{name}", "name": name, "id": name})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif files is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif found is not None and found[4] not in (None, "main", COMMIT):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif kind == "resolve":
            self._file(files, (rest or "")[1:])
        elif kind == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode()).get("paths", [])
            self._json([self._entry(files, name) for name in wanted if name in files])
        elif kind == "preupload":
            wanted = [each["path"] for each in json.loads(body)["files"]]
            self._json({"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in wanted]})
        elif kind == "commit":
            self._commit(files, body, repo)
        elif kind == "tree":
            self._json([self._entry(files, name) for name in files])
        else:
            siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
            self._json({"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []})

    def _commit(self, files: dict[str, bytes], body: bytes, repo: str) -> None:
        """Files of a commit, a JSON object a line, with their contents in it."""
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        self._json({"commitUrl": f"{self.hub.address}/{repo}/commit/{COMMIT}", "commitOid": COMMIT})

    @staticmethod
    def _entry(files: dict[str, bytes], name: str) -> dict[str, object]:
        return {"type": "file", "path": name, "size": len(files[name]), "oid": hashlib.sha1(files[name]).hexdigest()}

    def _file(self, files: dict[str, bytes], name: str) -> None:
        data = files.get(name)
        if data is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        about = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, data, about)
            return
        start, end = int(asked[1]), min(len(data), int(asked[2]) + 1 if asked[2] else len(data))
        self._send(206, data[start:end], {**about, "Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def serving() -> Iterator[Hub]:
    """A server for as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
