"""The module as a site serves it: a module worker, range requests, zstd in the worker and in the page."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcz
from support.arrays import make_array
from support.forging import crc

PAGE = b"<!doctype html><title>test</title>"
SCRIPT = """
const done = arguments[arguments.length - 1], { zstd, worker } = arguments[0];
(async () => {
  const { Dcz, ChecksumError } = await import("./dcz.mjs");
  const { default: decompress } = await import("./zstd.mjs");
  const later = async (...a) => decompress(...a);
  const options = { worker, zstd: zstd === "url" ? new URL("./zstd.mjs", location.href) : later };
  const model = await Dcz.open("model.dcz", options), out = {};
  for (const { name } of model.tensors) {
    const { data } = await model.tensor(name);
    out[name] = [data.constructor.name, await model.crc32c(new Uint8Array(data.buffer))];
  }
  const blob = await Dcz.open(new Blob([await (await fetch("model.dcz")).arrayBuffer()]), options);
  await blob.verify();
  const broken = await Dcz.open("broken.dcz", options);
  out.error = await broken.tensor("large").catch((error) => error instanceof ChecksumError && error.message);
  const waiting = model.tensor("large").catch((error) => error.message);
  model.close();
  out.closed = await waiting;
  return out;
})().then(done, (error) => done(String(error)));
"""


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray[Any, Any]]:
    return {
        "large": make_array(2, "F32", (900_000,), 0.11, 30, "float"),
        "pages": np.tile(make_array(5, "F32", (999,), 1.0, 70_000, "random"), 60),
        "small": make_array(3, "I64", (30,), 0.5, 9),
    }


@pytest.fixture(scope="module")
def site(built: Path, tensors: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was asked for."""
    data = dcz.save(tensors)
    broken = bytearray(data)
    broken[1000] ^= 1
    files = {"/": PAGE, "/model.dcz": data, "/broken.dcz": bytes(broken)}
    types = {".mjs": "text/javascript", ".wasm": "application/wasm", ".dcz": "application/octet-stream"}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

        def do_GET(self) -> None:
            path = built / self.path[1:]
            body = files.get(self.path) or (path.read_bytes() if path.is_file() else b"")
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            asked.append(f"{self.path} {found[0] if found else ''}")
            self.send_response(206 if found else 200 if body else 404)
            if found:
                first, last = int(found[1]), min(int(found[2]), len(body) - 1)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                body = body[first : last + 1]
            self.send_header("Content-Type", types.get(Path(self.path).suffix, "text/html"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("zstd", ["url", "function"])
@pytest.mark.parametrize("worker", [True, False])
def test_a_site(browser: Any, site: tuple[str, list[str]], tensors: dict[str, Any], zstd: str, worker: bool) -> None:
    address, asked = site
    asked.clear()
    browser.set_script_timeout(60)
    browser.get(address)
    found = browser.execute_async_script(SCRIPT, {"zstd": zstd, "worker": worker})
    assert isinstance(found, dict), found
    kinds = {"large": "Float32Array", "pages": "Float32Array", "small": "BigInt64Array"}
    assert {name: found[name] for name in tensors} == {n: [kinds[n], crc(a.tobytes())] for n, a in tensors.items()}
    assert "CRC-32C" in found["error"] and "closed" in found["closed"], json.dumps(found)
    assert sum("/model.dcz bytes" in each for each in asked) >= 3
