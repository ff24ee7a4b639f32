"""blosc2: byte shuffle and zstd, in blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors


class Blosc(Peer):
    """Zstd level 5 behind the byte shuffle, tensor by tensor."""

    name = "blosc2 (shuffle, zstd 5)"
    package = "blosc2"
    threads = (1, 2)

    def prepare(self) -> None:
        import blosc2  # noqa: F401

    def encode(self, model: Model, path: Path, threads: int) -> None:
        import blosc2

        def compress(words: np.ndarray) -> bytes:
            return blosc2.compress2(
                words,
                typesize=words.itemsize,
                codec=blosc2.Codec.ZSTD,
                clevel=5,
                filters=[blosc2.Filter.SHUFFLE],
                filters_meta=[0],
                nthreads=threads,
            )

        frames.write_arrays(path, model, compress)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        import blosc2

        return frames.read_arrays(
            path, lambda blob, dtype, size: np.frombuffer(blosc2.decompress2(blob, nthreads=threads), dtype)
        )
