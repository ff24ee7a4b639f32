"""A process for one peer and one input: it waits for commands, so that the peers of an input take turns.

    python -m benchmarks.suite.harness.worker PEER INPUT FOLDER

Commands and answers are lines of JSON on standard input and output.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.suite import inputs
from benchmarks.suite.harness import process, storage
from benchmarks.suite.microbench.roofline import Roofline
from benchmarks.suite.peers import PEERS

# A turn: so many runs, or as many as fit in so much time; a run that is short is preceded by one that does not
# count: the peer before has had the caches, and of memory that was free for a while a hypervisor may have taken the
# pages, so that the first touch waits for it (half a second has been seen).
_RUNS = 9
_TURN_SECONDS = 0.12
_SHORT_SECONDS = 1.0


class Worker:
    """One peer, one input."""

    def __init__(self, peer: str, name: str, folder: Path) -> None:
        self._peer = PEERS[peer]()
        self._peer.prepare()
        self._folder = folder
        self._model: inputs.Model | None = inputs.open_prepared(name, folder)
        self._path = folder / f"{peer}.file"
        self._out: dict[str, np.ndarray] | None = None
        self._roofline: Roofline | None = None

    def opened(self) -> dict:
        return {"version": self._peer.version, "refuses": self._peer.refuses(self._model)}

    def encode(self, threads: int, peak: bool = False) -> dict:
        """Once; with `peak` the first time, when nothing has been loaded or kept yet."""
        self._path.unlink(missing_ok=True)
        gc.collect()

        def work() -> float:
            start = time.perf_counter()
            self._peer.encode(self._model, self._path, threads)
            return time.perf_counter() - start

        seconds, high = process.peak_of(work) if peak else (work(), None)
        return {"seconds": [seconds], "peak": high, "bytes": self._path.stat().st_size}

    def check(self, threads: int) -> dict:
        """Decodes and compares every bit."""
        start = time.perf_counter()
        tensors, high = process.peak_of(lambda: self._peer.decode(self._path, threads))
        seconds = time.perf_counter() - start
        wrong = [name for name, array in self._model.tensors.items() if not _same(array, tensors.get(name))]
        wrong += sorted(set(tensors) - set(self._model.tensors))
        return {"wrong": wrong[:3], "peak": high, "seconds": [seconds]}

    def decode(self, threads: int, warm: bool) -> dict:
        """A turn of decoding: into memory that the call allocates, or into warm: the caller's arrays where the peer
        fills them, else what the allocator is told to keep, from then on."""
        if warm:
            process.keep_memory()
        if warm and self._peer.fills and self._out is None:
            self._out = self._peer.decode(self._path, threads)
        out = self._out if warm else None

        def run() -> float:
            start = time.perf_counter()
            tensors = self._peer.decode(self._path, threads, out)
            seconds = time.perf_counter() - start
            del tensors
            return seconds

        seconds = [run()]
        if seconds[0] < _SHORT_SECONDS:
            seconds = []
        end = time.perf_counter() + _TURN_SECONDS
        while not seconds or (time.perf_counter() < end and len(seconds) < _RUNS):
            seconds.append(run())
        return {"seconds": seconds}

    def roofline(self, library: str, size: int) -> dict:
        if self._roofline is None:
            self._roofline = Roofline(Path(library), size)
        return self._roofline.measure()


def _same(array: np.ndarray, found: np.ndarray | None) -> bool:
    return (
        found is not None
        and found.shape == array.shape
        and found.dtype.itemsize == array.dtype.itemsize
        and np.array_equal(storage.bits(np.ascontiguousarray(found)), storage.bits(array))
    )


def _attempt(work: Callable[[], dict]) -> dict:
    try:
        return work()
    except ImportError as error:
        return {"error": "not installed", "reason": str(error).splitlines()[0]}
    except Exception as error:  # a peer may fail in any way; the table says how
        return {"error": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


def main(peer: str, name: str, folder: str) -> None:
    # Libraries print what they like; answers have a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker: Worker | None = None

    def start() -> dict:
        nonlocal worker
        worker = Worker(peer, name, Path(folder))
        return worker.opened()

    def answer(result: dict) -> None:
        answers.write(json.dumps(result) + "\n")
        answers.flush()

    answer(_attempt(start))
    for line in sys.stdin:
        command = json.loads(line)
        what = command.pop("do")
        answer(_attempt(lambda: getattr(worker, what)(**command)))


if __name__ == "__main__":
    main(*sys.argv[1:])
