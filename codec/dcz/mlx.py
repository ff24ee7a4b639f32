"""The MLX integration: arrays and `mlx.nn` modules. `pip install 'dcz[mlx]'`.

The options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Adapter, Mismatch, Progress, load_tensors, match, save_bytes, save_tensors, unique_names
from dcz.dtypes import DTYPES, by_numpy
from dcz.errors import UnsupportedError
from dcz.extras import require
from dcz.plain.opening import open_any

require("mlx.core", "mlx", "dcz.mlx")

import mlx.core as mx
import mlx.nn
from mlx.utils import tree_flatten, tree_unflatten

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

# Those of dcz's dtypes that MLX has; they are called the same but for one.
_MLX = {code: getattr(mx, {"bool": "bool_"}.get(d.name, d.name), None) for code, d in DTYPES.items()}
_CODES = {dtype: code for code, dtype in _MLX.items() if dtype is not None}
# numpy lacks the one, and what MLX makes of the other is narrower: these go by their bits.
_BITS = {"BF16": (mx.uint16, np.uint16), "F64": (mx.uint64, np.uint64)}


def save_file(
    tensors: Mapping[str, mx.array],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes arrays to a dcz file, bit for bit; options as in `dcz.save_file`.

    Entries that are one object are stored once. Raises `UnsupportedError` for anything that is not an array.

    >>> import mlx.core as mx, dcz.mlx
    >>> dcz.mlx.load(dcz.mlx.save({"w": mx.ones((2, 3), mx.bfloat16)}))["w"].dtype
    mlx.core.bfloat16
    """
    save_tensors(
        _ADAPTER, tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Mapping[str, mx.array],
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
    backend: str = "mmap",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, mx.array]:
    """Reads arrays from a dcz file; options as in `dcz.load_file`.

    MLX copies; each array is freed before the next is made. `backend` is "mmap" or "pread", as in safetensors; both
    read alike here. Raises `UnsupportedError` for a dtype that MLX lacks."""
    return load_tensors(
        from_array, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress, backend=backend
    )


def load(
    data: bytes,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, mx.array]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def save_model(
    model: mlx.nn.Module,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a module's parameters to a dcz file, named as `module.save_weights` names them; options as in `save_file`.

    >>> import io, mlx.nn, dcz.mlx
    >>> file = io.BytesIO()
    >>> dcz.mlx.save_model(mlx.nn.Sequential(mlx.nn.Linear(3, 2)), file)
    >>> sorted(dcz.load(file.getvalue()))
    ['layers.0.bias', 'layers.0.weight']
    """
    save_file(_parameters(model), filename, metadata, profile=profile, threads=threads, progress=progress)


def load_model(
    model: mlx.nn.Module,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Mismatch:
    """Loads a dcz file into a module; returns missing and unexpected keys.

    Raises `DczError` for shapes and dtypes, and with `strict` names, that do not agree; nothing has been changed then.
    """
    expected = {name: (p.shape, DTYPES[_CODES[p.dtype]].name) for name, p in _parameters(model).items()}
    with open_any(filename) as reader:
        result = match(reader, expected, strict, "load_model")
    names = [name for name in expected if name not in result.missing_keys]
    tensors = load_file(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
    if tensors:
        model.update(tree_unflatten(list(tensors.items())))
    return result


def _parameters(model: mlx.nn.Module) -> dict[str, mx.array]:
    return unique_names(tree_flatten(model.parameters()), "mlx.nn.Module")


def from_array(array: NDArray[Any], name: str, device: object = None) -> mx.array:
    """The same bits as an array of MLX, whose memory all devices share."""
    code = by_numpy(array.dtype, name).code
    if _MLX[code] is None:
        raise UnsupportedError(f"tensor {name!r}: MLX has no dtype {array.dtype}; read it with dcz.load_file")
    if code in _BITS:
        return mx.array(array.view(_BITS[code][1])).view(_MLX[code])
    return mx.array(array)


def _nbytes(tensor: object, name: str) -> int:
    if not isinstance(tensor, mx.array):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected an mlx.core.array, found {kind}")
    return tensor.nbytes


def _to_array(tensor: mx.array) -> NDArray[Any]:
    code = _CODES[tensor.dtype]
    if code in _BITS:
        return np.array(tensor.view(_BITS[code][0])).view(DTYPES[code].numpy())
    return np.array(tensor)


# An array never changes: only the object counts.
_ADAPTER = Adapter(_nbytes, _to_array, id)
