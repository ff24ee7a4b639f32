"""The measuring processes from outside: started, asked, and ended when they take too long."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path

from benchmarks.suite.peers import PEERS

ROOT = Path(__file__).resolve().parents[3]
# Libraries start threads of their own accord; the thread count is part of what is measured.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS"), "1"
)


class PeerFailed(Exception):
    """The peer cannot go on: `kind` is "not installed", "failed" or "too slow"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind, self.reason = kind, reason


class RemoteWorker:
    """A measuring process of one peer."""

    def __init__(self, peer: str, name: str, folder: Path, timeout: float) -> None:
        self.peer = peer
        self._timeout = timeout
        self._errors = open(folder / f"{peer}.log", "w+")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.suite.harness.worker", peer, name, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, **_ONE_THREAD, **PEERS[peer].environment},
        )
        self.opened = self._answer()

    def ask(self, do: str, **options: object) -> dict:
        """One command and its answer."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **options}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        return self._answer()

    def _answer(self) -> dict:
        ready, _, _ = select.select([self._process.stdout], [], [], self._timeout)
        if not ready:
            self.end()
            raise PeerFailed("too slow", f"no answer within {self._timeout:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        result = json.loads(line)
        if "error" in result:
            raise PeerFailed(result["error"], result["reason"])
        return result

    def _died(self) -> PeerFailed:
        self.end()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return PeerFailed("failed", f"its process ended: {lines[-1][:200] if lines else self._process.returncode}")

    def end(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:  # what was not yet written
                pass
