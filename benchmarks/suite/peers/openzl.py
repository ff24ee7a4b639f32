"""OpenZL, through its Python binding: three graphs a user could take for weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.suite import clusters
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors, no_clusters


@cache
def _compressor(build: Callable) -> object:
    import openzl.ext as zl

    compressor = zl.Compressor()
    compressor.select_starting_graph(build(zl, compressor))
    return compressor


def _compress(words: np.ndarray, build: Callable) -> bytes:
    import openzl.ext as zl

    context = zl.CCtx()
    context.ref_compressor(_compressor(build))
    context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    return bytes(context.compress([zl.Input(zl.Type.Numeric, np.ascontiguousarray(words))]))


def _decompress(blob: bytes) -> np.ndarray:
    import openzl.ext as zl

    return zl.DCtx().decompress(blob)[0].content.as_nparray()


def _tokenize(zl, compressor):
    return zl.nodes.TokenizeNumeric(sort=True)(
        compressor, zl.graphs.Store()(compressor), zl.graphs.Entropy()(compressor)
    )


def _huffman(zl, compressor):
    return zl.graphs.Huffman()(compressor)


def _float32(zl, compressor):
    return zl.nodes.Float32Deconstruct()(compressor, zl.graphs.Store()(compressor), zl.graphs.Entropy()(compressor))


def _float16(zl, compressor):
    return zl.nodes.Float16Deconstruct()(compressor, zl.graphs.Store()(compressor), zl.graphs.Entropy()(compressor))


def _bfloat16(zl, compressor):
    return zl.nodes.BFloat16Deconstruct()(compressor, zl.graphs.Store()(compressor), zl.graphs.Entropy()(compressor))


_DECONSTRUCT = {"float32": _float32, "float16": _float16, "bfloat16": _bfloat16}


class _OpenZL(Peer):
    package = "openzl"

    def prepare(self) -> None:
        import openzl.ext  # noqa: F401

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        return frames.read_arrays(path, lambda blob, dtype, size: _decompress(blob).view(dtype))


class OpenZLTokens(_OpenZL):
    """Distinct values and their numbers, the numbers entropy-coded."""

    name = "OpenZL tokenize+entropy"

    def encode(self, model: Model, path: Path, threads: int) -> None:
        frames.write_arrays(path, model, lambda words: _compress(words, _tokenize))


class OpenZLFloats(_OpenZL):
    """Exponents entropy-coded, signs and fractions as they are."""

    name = "OpenZL float deconstruct"

    def encode(self, model: Model, path: Path, threads: int) -> None:
        (dtype,) = {array.dtype.name for array in model.tensors.values()}
        frames.write_arrays(path, model, lambda words: _compress(words, _DECONSTRUCT[dtype]))


class OpenZLGaps(_OpenZL):
    """Relative indices of 8 bits and cluster indices through its Huffman coder, the tensor rebuilt with numpy."""

    name = "gap8 + codes, OpenZL Huffman"

    def refuses(self, model: Model) -> str | None:
        return no_clusters(model)

    def encode(self, model: Model, path: Path, threads: int) -> None:
        def encode(clustered: clusters.Clustered) -> list[bytes]:
            return [_compress(stream, _huffman) for stream in clusters.gaps(clustered.codes, 256)]

        frames.write_clustered(path, model, encode)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        def decode(blobs: list[bytes], codebook: np.ndarray, size: int) -> np.ndarray:
            return clusters.scatter(_decompress(blobs[0]), _decompress(blobs[1]), codebook, size)

        return frames.read_clustered(path, decode)
