"""Serves the model, and follows the steps that appear in a folder.

python serve.py FOLDER        # prints its port; train.py starts it
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from model import digest, make

import dcz.torch

folder = Path(sys.argv[1])
model = make().to(torch.bfloat16)
dcz.torch.load_model(model, folder / "base.dcz")
lock, step = threading.Lock(), 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        with lock:  # a request sees one step, never half of one
            if self.path == "/digest":
                answer = {"step": step, "digest": digest(model.state_dict())}
            else:
                with torch.no_grad():
                    answer = {"step": step, "y": model(torch.ones(64, dtype=torch.bfloat16)).item()}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
while True:
    path = folder / f"step-{step + 1}.dcz"
    if (folder / "stop").exists():
        break
    if not path.exists():  # it appears whole or not at all
        time.sleep(0.005)
        continue
    with lock:
        dcz.torch.apply_delta(model, path)  # checked before the first write, in the memory that is served
        step += 1
