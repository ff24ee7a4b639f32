"""compressed-tensors: the sparse bitmask format of vLLM's checkpoints."""

from __future__ import annotations

from pathlib import Path

from benchmarks.suite.inputs import Model
from benchmarks.suite.peers.peer import Peer, Tensors


class CompressedTensors(Peer):
    """A bitmask and the nonzero values; of version 0.13, the sparse formats are gone in later ones. Tensors of more
    than two dimensions are stored as matrices: it pads every row of the last one to a byte."""

    name = "compressed-tensors (sparse bitmask)"
    package = "compressed-tensors"

    def prepare(self) -> None:
        import torch
        from compressed_tensors.compressors.sparse_compressors.sparse_bitmask import BitmaskTensor

        torch.set_num_threads(1)
        self._bitmask = BitmaskTensor

    def encode(self, model: Model, path: Path, threads: int) -> None:
        import torch
        from safetensors.torch import save_file

        parts = {}
        for name, array in model.tensors.items():
            tensor = _to_torch(array)
            if tensor.dim() < 2:
                parts[f"{name}:dense"] = tensor
                continue
            matrix = self._bitmask.from_dense(tensor.reshape(tensor.shape[0], -1))
            parts |= {key: part.contiguous() for key, part in matrix.dict(name).items()}
            parts[f"{name}:shape"] = torch.tensor(tensor.shape)
        save_file(parts, path)

    def decode(self, path: Path, threads: int, out: Tensors | None = None) -> Tensors:
        from safetensors.torch import load_file

        parts = load_file(path)
        tensors = {}
        for key, part in parts.items():
            name, _, what = key.rpartition(":")
            if what == "dense":
                tensors[name] = _to_numpy(part)
            elif what == "shape":
                fields = (parts[f"{name}.{field}"] for field in ("shape", "compressed", "bitmask", "row_offsets"))
                tensors[name] = _to_numpy(self._bitmask(*fields).decompress()).reshape(part.tolist())
        return tensors


def _to_torch(array):
    import torch

    array = array.copy() if not array.flags.writeable else array
    return (
        torch.from_numpy(array) if array.dtype.kind == "f" else torch.from_numpy(array.view("i2")).view(torch.bfloat16)
    )


def _to_numpy(tensor):
    import ml_dtypes
    import torch

    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
