"""dcz itself, with the fastest kernels of the machine and with the portable ones."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers.peer import Peer, Tensors


class Dcz(Peer):
    """`dcz.save_file` and `dcz.load_file`, profile auto."""

    name = "dcz"
    package = "dcz"
    threads = (1, 2)
    fills = True

    @property
    def version(self) -> str:
        import dcz
        from dcz import kernels

        return f"{dcz.__version__} ({kernels.active().name})"

    def prepare(self) -> None:
        from dcz import kernels

        kernels.active()

    def encode(self, model: Model, path: Path, threads: int) -> None:
        import dcz

        dcz.save_file(model.tensors, path, threads=threads)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        import dcz

        return dcz.load_file(path, threads=threads, out=out)


class DczPortable(Dcz):
    """The same without vector instructions: what any other machine has."""

    name = "dcz, portable kernels"
    threads = (1,)
    environment = {"DCZ_KERNELS": "portable"}
