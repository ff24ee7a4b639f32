"""Names that a dcz file may be written to."""

from __future__ import annotations

import os

from dcz.errors import DczError

# Other libraries open these names without looking inside, and report a dcz file there as a broken one.
_OTHERS = {
    ".safetensors": "safetensors",
    ".npz": "NumPy",
    ".npy": "NumPy",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".ckpt": "PyTorch",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".keras": "Keras",
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".tflite": "TensorFlow Lite",
    ".mlmodel": "Core ML",
    ".pdparams": "Paddle",
    ".msgpack": "Flax",
}
_SHARD_INDEX = ".dcz.index.json"


def check_target(filename: object) -> None:
    """Refuse a path that belongs to another format, before anything is written. File objects pass.

    >>> check_target("model.dcz")
    >>> check_target("model.safetensors")
    Traceback (most recent call last):
    dcz.errors.DczError: model.safetensors: is the name of a safetensors file, and a dcz file would be written; \
name it model.dcz
    """
    if not isinstance(filename, (str, os.PathLike)):
        return
    name = os.fspath(filename)
    if not isinstance(name, str):
        return
    stem, suffix = os.path.splitext(name)
    owner = _OTHERS.get(suffix.lower())
    if owner is not None:
        raise DczError(f"{name}: is the name of a {owner} file, and a dcz file would be written; name it {stem}.dcz")
    if name.lower().endswith(_SHARD_INDEX):
        raise DczError(
            f"{name}: is the name of the index of a sharded model, and a single file would be written; "
            f"name it {name[: -len('.index.json')]}, or make shards with dcz.save_sharded"
        )
