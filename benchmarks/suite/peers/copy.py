"""No file at all: the dense tensors copied from memory to fresh arrays. What loading can hardly beat."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.suite.harness import storage
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers.peer import Peer, Tensors


class Copy(Peer):
    """A reference, not a format. On two threads it says what a second core of this machine is worth."""

    name = "bare copy in memory"
    package = "numpy"
    threads = (1, 2)
    fills = True

    def __init__(self) -> None:
        self._tensors: Tensors = {}

    def encode(self, model: Model, path: Path, threads: int) -> None:
        self._tensors = {name: np.array(array) for name, array in model.tensors.items()}
        with open(path, "wb") as file:
            for array in self._tensors.values():
                file.write(storage.bits(array).data)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        if out is None and threads == 1:
            return {name: np.array(array) for name, array in self._tensors.items()}
        out = out or {name: np.empty_like(array) for name, array in self._tensors.items()}
        if threads == 1:
            _fill(self._parts(out, 0, 1))
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(_fill, [self._parts(out, i, threads) for i in range(threads)]))
        return out

    def _parts(self, out: Tensors, i: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The i-th of `count` parts of every tensor, to and from."""
        for name, array in self._tensors.items():
            to, source = storage.bits(out[name]), storage.bits(array)
            part = slice(len(to) * i // count, len(to) * (i + 1) // count)
            yield to[part], source[part]


def _fill(parts: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
    for to, source in parts:
        np.copyto(to, source)
