"""xz over the whole dense file."""

from __future__ import annotations

import lzma
from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors


class Xz(Peer):
    """Preset 6, its default, through Python's own module."""

    name = "xz -6"
    package = "python"
    slow = True

    @property
    def version(self) -> str:
        import platform

        return f"lzma of Python {platform.python_version()}"

    def encode(self, model: Model, path: Path, threads: int) -> None:
        path.write_bytes(lzma.compress(frames.safetensors_bytes(model), preset=6))

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        return frames.safetensors_views(lzma.decompress(path.read_bytes()))
