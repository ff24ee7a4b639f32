"""Read parts of a tensor from a web server. The server is made here; put your address in its place.

pip install '.[remote]' && python remote_slices.py
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

import dcz

rng = np.random.default_rng(0)
weights = np.where(rng.random((4096, 1024)) < 0.1, rng.integers(1, 17, (4096, 1024)), 0).astype("float32")
DATA = dcz.save({"w": weights, "bias": np.ones(4096, "float32")})
sent: list[int] = []


class Handler(BaseHTTPRequestHandler):
    """Answers ranges, as nginx and object stores do."""

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or len(DATA) - 1) + 1) if asked else (0, len(DATA))
        part = DATA[start:end]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(DATA)}")
        self.end_headers()
        if body:
            sent.append(len(part))
            self.wfile.write(part)

    def log_message(self, *words: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}/model.dcz"

with dcz.open(url) as model:
    print(f"{list(model)}: {sum(sent):,} of {len(DATA):,} bytes were read to know it")
    rows = model.get_slice("w")[1000:1064]
    assert (rows == weights[1000:1064]).all()
print(f"64 of 4,096 rows: {sum(sent):,} bytes in all, {len(sent)} requests")
server.shutdown()
