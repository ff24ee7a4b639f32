"""numpy's own compressed archive: deflate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.suite.harness.storage import bits
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers.peer import Peer, Tensors


class Npz(Peer):
    """`numpy.savez_compressed`; bfloat16, which it does not know, as integers."""

    name = "npz compressed"
    package = "numpy"

    def encode(self, model: Model, path: Path, threads: int) -> None:
        arrays = {}
        for name, array in model.tensors.items():
            plain = array.dtype.kind == "f"
            arrays[name if plain else f"{name}:{array.dtype.name}"] = (
                array if plain else bits(array).reshape(array.shape)
            )
        with open(path, "wb") as file:
            np.savez_compressed(file, **arrays)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        import ml_dtypes

        tensors = {}
        with np.load(path) as archive:
            for key in archive.files:
                name, _, dtype = key.partition(":")
                tensors[name] = archive[key].view(getattr(ml_dtypes, dtype)) if dtype else archive[key]
        return tensors
