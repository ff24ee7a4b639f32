"""safetensors: the dense tensors as they are."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers.peer import Peer, Tensors


class Safetensors(Peer):
    """`safetensors.numpy.save_file` and `load_file`, the file in the page cache."""

    name = "safetensors"
    package = "safetensors"

    def prepare(self) -> None:
        import safetensors.numpy  # noqa: F401

    def encode(self, model: Model, path: Path, threads: int) -> None:
        from safetensors.numpy import save_file

        save_file(model.tensors, path)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        from safetensors.numpy import load_file

        return load_file(path)
