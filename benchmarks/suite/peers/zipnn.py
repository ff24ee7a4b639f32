"""ZipNN: byte planes of floats, Huffman-coded."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors


class ZipNN(Peer):
    """The dense file as bytes of the model's float type."""

    name = "ZipNN"
    package = "zipnn"
    threads = (1, 2)

    def prepare(self) -> None:
        import zipnn  # noqa: F401

    def refuses(self, model: Model) -> str | None:
        dtypes = {array.dtype.name for array in model.tensors.values()}
        return None if len(dtypes) == 1 else "its byte format takes one dtype a file"

    def encode(self, model: Model, path: Path, threads: int) -> None:
        from zipnn import ZipNN as Codec

        dtype = next(iter(model.tensors.values())).dtype.name
        codec = Codec(method="AUTO", input_format="byte", bytearray_dtype=dtype, threads=threads)
        data = bytearray(frames.safetensors_bytes(model))  # it overwrites what it is given
        path.write_bytes(bytes(codec.compress(data)))

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        from zipnn import ZipNN as Codec

        codec = Codec(method="AUTO", input_format="byte", threads=threads)
        return frames.safetensors_views(codec.decompress(path.read_bytes()))
