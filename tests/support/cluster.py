"""A Dask cluster of real processes that talk by TCP on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _dask(*arguments: str, env: dict[str, str] | None = None, shell: str = "") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-m", "dask", *arguments]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
    )


@dataclass
class Cluster:
    """A scheduler and its workers, each a process."""

    address: str
    scheduler: subprocess.Popen[bytes]
    folder: str
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *, env: dict[str, str] | None = None, shell: str = "") -> subprocess.Popen[bytes]:
        """Starts a worker of one thread; `shell` is run before it, in its process, such as a limit."""
        self.workers[name] = _dask(
            "worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard",
            "--memory-limit", "0", "--local-directory", os.path.join(self.folder, name), env=env, shell=shell,
        )  # fmt: skip
        return self.workers[name]

    def kill(self, name: str) -> None:
        """Kills a worker at once."""
        worker = self.workers.pop(name)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()  # type: ignore[union-attr]

    def end(self, name: str) -> None:
        """Ends a worker."""
        self.workers[name].terminate()
        self.kill(name)


@contextmanager
def cluster(*names: str, env: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster with workers of these names."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "scheduler.json"
        scheduler = _dask(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show",
            "--scheduler-file", str(note), env=env,
        )  # fmt: skip
        try:
            until = time.monotonic() + 60
            found = None
            while found is None and time.monotonic() < until and scheduler.poll() is None:
                time.sleep(0.05)
                found = re.search(r"tcp://127.0.0.1:\d+", note.read_text()) if note.exists() else None
            assert found is not None, scheduler.communicate()[0].decode()[-2000:]
            made = Cluster(found[0], scheduler, folder)
            for name in names:
                made.start(name, env=env)
            yield made
        finally:
            for process in (*made.workers.values(), scheduler):
                process.kill()
                process.wait()
                process.stdout.close()  # type: ignore[union-attr]


@contextmanager
def client_of(made: Cluster, workers: int) -> Iterator[Any]:
    """A client, once so many workers are there."""
    from distributed import Client

    with Client(made.address, set_as_default=False, timeout=60) as client:
        client.wait_for_workers(workers, timeout=60)
        yield client
