"""zstd over the whole dense file."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors


class Zstd3(Peer):
    """Level 3, the default."""

    name = "zstd -3"
    package = "zstandard"
    level = 3

    def prepare(self) -> None:
        import zstandard  # noqa: F401

    def encode(self, model: Model, path: Path, threads: int) -> None:
        import zstandard

        path.write_bytes(zstandard.ZstdCompressor(level=self.level).compress(frames.safetensors_bytes(model)))

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        import zstandard

        return frames.safetensors_views(zstandard.ZstdDecompressor().decompress(path.read_bytes()))


class Zstd19(Zstd3):
    """Level 19, its smallest without long windows."""

    name = "zstd -19"
    level = 19
    slow = True
