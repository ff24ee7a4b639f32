"""scipy's CSR matrices: absolute column indices of 32 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from benchmarks.suite.harness.storage import bits
from benchmarks.suite.inputs import Model
from benchmarks.suite.peers import frames
from benchmarks.suite.peers.peer import Peer, Tensors


class ScipyCsr(Peer):
    """`scipy.sparse.save_npz` of every tensor as a matrix, deflated; values as integers, so that -0.0 stays."""

    name = "scipy CSR (npz)"
    package = "scipy"

    def prepare(self) -> None:
        import scipy.sparse  # noqa: F401

    def encode(self, model: Model, path: Path, threads: int) -> None:
        import scipy.sparse

        records = []
        for name, array in model.tensors.items():
            buffer = io.BytesIO()
            matrix = bits(array).reshape(array.shape[0] if array.ndim > 1 else 1, -1)
            scipy.sparse.save_npz(buffer, scipy.sparse.csr_matrix(matrix))
            records.append([name, array.dtype.name, list(array.shape), buffer.getvalue()])
        frames.write(path, records)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        import scipy.sparse

        def decode(blob: bytes, dtype: np.dtype, size: int) -> np.ndarray:
            return scipy.sparse.load_npz(io.BytesIO(blob)).toarray().reshape(-1).view(dtype)

        return frames.read_arrays(path, decode)
