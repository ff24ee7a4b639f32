"""The PaddlePaddle integration: tensors and layers. `pip install 'dcz[paddle]'`.

Functions are those of `safetensors.paddle`; the options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Adapter, Mismatch, Progress, load_tensors, match, save_bytes, save_tensors
from dcz.dtypes import DTYPES, by_numpy
from dcz.errors import UnsupportedError
from dcz.extras import require
from dcz.plain.opening import open_any

require("paddle", "paddle", "dcz.paddle")

import paddle

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

# Those of dcz's dtypes that Paddle has; they are called the same. Its uint16 is not one of them: it means bfloat16.
_PADDLE = {
    code: getattr(paddle, dtype.name)
    for code, dtype in DTYPES.items()
    if dtype.name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
    or (dtype.name in ("float8_e4m3fn", "float8_e5m2", "complex64") and hasattr(paddle, dtype.name))
}
_CODES = {dtype: code for code, dtype in _PADDLE.items()}
_FLOAT8 = ("F8_E4M3", "F8_E5M2")


def save_file(
    tensors: Mapping[str, paddle.Tensor],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes tensors to a dcz file, bit for bit; options as in `dcz.save_file`.

    Tensors that are the same memory are stored once. Raises `UnsupportedError` for anything that is not a dense tensor.

    >>> import paddle, dcz.paddle
    >>> dcz.paddle.load(dcz.paddle.save({"w": paddle.ones([2, 3], "bfloat16")}))["w"].dtype == paddle.bfloat16
    True
    """
    save_tensors(
        _ADAPTER, tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Mapping[str, paddle.Tensor],
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
    device: Any = None,
    *,
    backend: str = "mmap",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, paddle.Tensor]:
    """Reads tensors from a dcz file; options as in `dcz.load_file`.

    `device` is a place for `paddle.to_tensor`. `backend` is "mmap" or "pread", as in safetensors; both read alike here.
    Raises `UnsupportedError` for a dtype that Paddle lacks."""

    def convert(array: NDArray[Any], name: str) -> paddle.Tensor:
        return from_array(array, name, device)

    return load_tensors(
        convert, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress, backend=backend
    )


def load(
    data: bytes,
    device: Any = None,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, paddle.Tensor]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, device, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def save_model(
    model: paddle.nn.Layer,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a layer's state dict to a dcz file; options as in `save_file`.

    >>> import io, paddle, dcz.paddle
    >>> file = io.BytesIO()
    >>> dcz.paddle.save_model(paddle.nn.Linear(3, 2), file)
    >>> sorted(dcz.load(file.getvalue()))
    ['bias', 'weight']
    """
    save_file(dict(model.state_dict()), filename, metadata, profile=profile, threads=threads, progress=progress)


def load_model(
    model: paddle.nn.Layer,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Mismatch:
    """Loads a dcz file into a layer by `set_state_dict`; returns missing and unexpected keys.

    Raises `DczError` for shapes and dtypes, and with `strict` names, that do not agree; nothing has been changed then.
    """
    expected = {
        name: (tuple(tensor.shape), DTYPES[_CODES[tensor.dtype]].name) for name, tensor in model.state_dict().items()
    }
    with open_any(filename) as reader:
        result = match(reader, expected, strict, "load_model")
    names = [name for name in expected if name not in result.missing_keys]
    found = load_file(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
    model.set_state_dict({**model.state_dict(), **found})  # with its own for what is missing, or Paddle warns
    return result


def from_array(array: NDArray[Any], name: str, device: Any = None) -> paddle.Tensor:
    """The same bits as a tensor, at a place such as "cpu" or "gpu:0"."""
    code = by_numpy(array.dtype, name).code
    if code not in _PADDLE:
        raise UnsupportedError(f"tensor {name!r}: Paddle has no dtype {array.dtype}; read it with dcz.load_file")
    if code == "BF16":
        return paddle.to_tensor(array.view(np.uint16), place=device)  # which is how Paddle takes bfloat16
    if code in _FLOAT8:
        return paddle.to_tensor(array.view(np.uint8), place=device).view(_PADDLE[code])
    return paddle.to_tensor(array, place=device)


def _nbytes(tensor: object, name: str) -> int:
    if not isinstance(tensor, paddle.Tensor) or not tensor.is_dense():
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected a dense paddle.Tensor, found {kind}")
    if tensor.dtype not in _CODES:
        allowed = ", ".join(map(str, _CODES))
        raise UnsupportedError(f"tensor {name!r}: dtype {tensor.dtype} cannot be stored; expected one of {allowed}")
    return int(tensor.size) * DTYPES[_CODES[tensor.dtype]].itemsize


def _to_array(tensor: paddle.Tensor) -> NDArray[Any]:
    code = _CODES[tensor.dtype]
    if code in _FLOAT8:
        return tensor.detach().view(paddle.uint8).numpy().view(DTYPES[code].numpy())
    array = tensor.detach().numpy()
    return array.view(DTYPES[code].numpy()) if code == "BF16" else array


def _identity(tensor: paddle.Tensor) -> Hashable:
    return (str(tensor.place), tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.strides))


_ADAPTER = Adapter(_nbytes, _to_array, _identity)
