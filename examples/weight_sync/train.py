"""Train here, serve there: every step is published as its difference to the one before.

python train.py
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import torch
from model import digest, make, published

import dcz.torch

model = make()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-6)
x = torch.randn(256, 64)
y = x[:, :8].sum(1, keepdim=True).sin()


def ask(path: str) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
        return json.load(reply)


def keep_asking() -> None:
    while not done.is_set():
        seen.append(ask("/predict")["step"])
        time.sleep(0.002)


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    base = published(model)
    dcz.torch.save_file(base, folder / "base.dcz")
    size = (folder / "base.dcz").stat().st_size
    print(f"base: {size:,} bytes, {sum(t.nbytes for t in base.values()):,} of weights")
    serve = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("serve.py"), name], stdout=subprocess.PIPE, text=True
    )
    port = int(serve.stdout.readline())
    done, seen = threading.Event(), []
    client = threading.Thread(target=keep_asking)
    client.start()
    try:
        for step in range(1, 11):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            new = published(model)
            path = folder / f"step-{step}.dcz"
            dcz.torch.save_delta(new, path, base=base)
            while (served := ask("/digest"))["step"] < step:
                time.sleep(0.01)
            assert served["digest"] == digest(new), "the server has other weights"
            count = sum(tensor.numel() for tensor in new.values())
            changed = sum(int((new[name] != base[name]).sum()) for name in new)
            print(f"step {step}: {changed:,} of {count:,} weights changed, {path.stat().st_size:,} bytes; equal")
            base = new
    finally:
        done.set()
        client.join()
        (folder / "stop").touch()
        serve.wait(60)
    assert seen == sorted(seen) and serve.returncode == 0
    print(f"{len(seen)} requests were answered meanwhile, by steps {seen[0]} to {seen[-1]}")
