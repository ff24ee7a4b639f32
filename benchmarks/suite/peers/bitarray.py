"""The paper's own coding in Python's best-kept Huffman library: relative indices of 4 bits, canonical codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.suite import clusters
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors, no_clusters


class BitarrayHuffman(Peer):
    """`bitarray.util.canonical_huffman` over the gaps and the cluster indices, the tensor rebuilt with numpy."""

    name = "gap4 + codes, bitarray Huffman"
    package = "bitarray"

    def prepare(self) -> None:
        import bitarray.util  # noqa: F401

    def refuses(self, model: Model) -> str | None:
        return no_clusters(model)

    def encode(self, model: Model, path: Path, threads: int) -> None:
        def encode(clustered: clusters.Clustered) -> list:
            return [_encode(stream) for stream in clusters.gaps(clustered.codes, 16)]

        frames.write_clustered(path, model, encode)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        def decode(blobs: list, codebook: np.ndarray, size: int) -> np.ndarray:
            return clusters.scatter(_decode(blobs[0]), _decode(blobs[1]), codebook, size)

        return frames.read_clustered(path, decode)


def _encode(symbols: np.ndarray) -> list:
    from bitarray import bitarray
    from bitarray.util import canonical_huffman

    counts = np.bincount(symbols, minlength=1)
    code, lengths, order = canonical_huffman({s: int(n) for s, n in enumerate(counts) if n} or {0: 1})
    out = bitarray()
    out.encode(code, symbols.tobytes())
    return [len(out), np.array(lengths, np.uint32).tobytes(), bytes(order), out.tobytes()]


def _decode(parts: list) -> np.ndarray:
    from bitarray import bitarray
    from bitarray.util import canonical_decode

    count, lengths, order, data = parts
    stream = bitarray()
    stream.frombytes(data)
    del stream[count:]
    return np.frombuffer(bytes(canonical_decode(stream, np.frombuffer(lengths, np.uint32).tolist(), order)), np.uint8)
