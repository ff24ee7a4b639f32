"""Initializers in and out of dcz files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from dcz.adapters import Adapter, Progress, load_tensors, save_bytes, save_tensors
from dcz.dtypes import by_numpy
from dcz.errors import UnsupportedError
from dcz.onnx.elements import from_array
from dcz.onnx.initializers import Weights
from dcz.onnx.weights import Dense, Weight


def save_file(
    tensors: ModelProto | Mapping[str, TensorProto | np.ndarray],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes a model's weights (initializers and constants), or tensors by name, to a dcz file, bit for bit; options
    as in `dcz.save_file`. Tensors of a model that are not weights, such as strings, are not written.

    Elements narrower than a byte take one each. The model is left as it is.

    Raises:
        UnsupportedError: strings.
        DczError: weights of the same name; external data, for which `save_model` takes the model's path.

    >>> import numpy, onnx, dcz.onnx
    >>> data = dcz.onnx.save({"w": onnx.numpy_helper.from_array(numpy.ones((2, 3), "float32"))})
    >>> dcz.onnx.load(data)["w"].dims
    [2, 3]
    """
    if isinstance(tensors, ModelProto):
        tensors = Weights(tensors)
    save_tensors(
        adapter(None), tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: ModelProto | Mapping[str, TensorProto | np.ndarray],
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> bytes:
    """The same file as bytes; see `save_file`."""
    return save_bytes(
        save_file, tensors, metadata=metadata, profile=profile, threads=threads, tensor_metadata=tensor_metadata,
        portable=portable,
    )  # fmt: skip


def load_file(
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, TensorProto]:
    """Reads tensors from a dcz file as ONNX keeps them, called as in the file; options as in `dcz.load_file`.

    Raises `UnsupportedError` for a dtype that ONNX lacks."""
    return load_tensors(from_array, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def load(
    data: bytes,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, TensorProto]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def adapter(folder: str | None) -> Adapter:
    """The conversion of tensors to arrays for a model in `folder`, which may be the model's path."""

    def convert(tensor: Any) -> NDArray[Any]:
        weight = Dense(tensor.name, f"tensor {tensor.name!r}", tensor) if isinstance(tensor, TensorProto) else tensor
        return weight.read(folder) if isinstance(weight, Weight) else weight

    return Adapter(_nbytes, convert, lambda tensor: None)


def _nbytes(tensor: object, name: str) -> int:
    if isinstance(tensor, np.ndarray):
        by_numpy(tensor.dtype, f"tensor {name!r}")
        return tensor.nbytes
    if isinstance(tensor, Weight):
        return tensor.nbytes
    if not isinstance(tensor, TensorProto):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected an onnx.TensorProto or an array, found {kind}")
    return Dense(name, f"tensor {name!r}", tensor).nbytes
