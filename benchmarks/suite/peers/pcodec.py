"""pcodec: numerical sequences, latent variables and ANS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.suite import clusters
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors, no_clusters


class Pcodec(Peer):
    """Its default configuration on the floats; bfloat16, which it does not know, as 16-bit integers."""

    name = "pcodec"
    package = "pcodec"

    def prepare(self) -> None:
        import pcodec  # noqa: F401

    def encode(self, model: Model, path: Path, threads: int) -> None:
        from pcodec import ChunkConfig, standalone

        def encode(words: np.ndarray) -> bytes:
            floats = words if self._as_integers(model) else words.view(f"f{words.itemsize}")
            return standalone.simple_compress(floats, ChunkConfig())

        frames.write_arrays(path, model, encode)

    @staticmethod
    def _as_integers(model: Model) -> bool:
        return any(array.dtype.kind != "f" for array in model.tensors.values())

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        from pcodec import standalone

        return frames.read_arrays(path, lambda blob, dtype, size: standalone.simple_decompress(blob).view(dtype))


class PcodecCodes(Pcodec):
    """The cluster indices of the dense tensor, zeros included, as 16-bit integers; looked up with numpy."""

    name = "dense codes, pcodec"

    def refuses(self, model: Model) -> str | None:
        return no_clusters(model)

    def encode(self, model: Model, path: Path, threads: int) -> None:
        from pcodec import ChunkConfig, standalone

        def encode(clustered: clusters.Clustered) -> list[bytes]:
            return [standalone.simple_compress(clustered.codes.reshape(-1).astype(np.uint16), ChunkConfig())]

        frames.write_clustered(path, model, encode)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        from pcodec import standalone

        def decode(blobs: list[bytes], codebook: np.ndarray, size: int) -> np.ndarray:
            codes = standalone.simple_decompress(blobs[0])
            return clusters.Clustered(codebook, codes).dense()

        return frames.read_clustered(path, decode)
