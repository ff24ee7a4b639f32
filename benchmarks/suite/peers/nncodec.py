"""NNCodec, the reference software of ISO/IEC 15938-17: DeepCABAC."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors, no_clusters


class NNCodec(Peer):
    """Cluster indices by the rank of their value, zero at 0, through its lossless path for integers; codebooks and
    other tensors beside the bitstream. Its own codebook mode quantises uniformly and cannot hold given clusters."""

    name = "NNCodec (DeepCABAC)"
    package = "nncodec"
    slow = True

    def prepare(self) -> None:
        # Its front end wants frameworks that coding arrays does not use.
        framework = types.ModuleType("nncodec.framework")
        framework.__path__ = []  # type: ignore[attr-defined]
        sys.modules[framework.__name__] = framework
        for part in ("tensorflow_model", "pytorch_model", "use_case_init"):
            module = types.ModuleType(f"{framework.__name__}.{part}")
            setattr(framework, part, module)
            sys.modules[module.__name__] = module
        from nncodec import nnc

        self._nnc = nnc

    def refuses(self, model: Model) -> str | None:
        return no_clusters(model)

    def encode(self, model: Model, path: Path, threads: int) -> None:
        ranks, heads = {}, []
        for name, array in model.tensors.items():
            head = [name, array.dtype.name, list(array.shape)]
            if name not in model.clustered:
                heads.append([*head, array.tobytes()])
                continue
            clustered = model.clustered[name]
            order = np.argsort(clustered.codebook, kind="stable")
            zero = int(np.flatnonzero(order == 0)[0])
            rank = np.empty(len(order), np.int32)
            rank[order] = np.arange(len(order), dtype=np.int32) - zero
            ranks[name] = rank[clustered.codes]
            heads.append([*head, clustered.codebook[order].tobytes(), zero])
        scratch = path.with_suffix(".nnc")
        stream = self._nnc.compress(
            ranks, return_bitstream=True, bitstream_path=str(scratch), use_dq=False, verbose=False
        )
        scratch.unlink(missing_ok=True)
        frames.write(path, [bytes(stream), heads])

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        stream, heads = frames.read(path)
        ranks = self._nnc.decompress(bytearray(stream))
        tensors = {}
        for name, dtype, shape, values, *zero in heads:
            words = np.frombuffer(values, dtype)
            if zero:
                words = np.take(words, np.asarray(ranks[name]).reshape(-1) + zero[0], mode="clip")
            tensors[name] = words.reshape(shape)
        return tensors
