"""The TensorFlow integration: tensors, variables and `tf.Module`s. `pip install 'dcz[tensorflow]'`.

Functions are those of `safetensors.tensorflow`; the options of `dcz.save_file` and `dcz.load_file` carry over.
For models of Keras there is `dcz.keras`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Adapter, Mismatch, Progress, load_tensors, match, save_bytes, save_tensors, unique_names
from dcz.api import load_file as load_arrays
from dcz.container import Reader, ShardedReader
from dcz.dtypes import by_numpy
from dcz.errors import DczError, UnsupportedError
from dcz.extras import require
from dcz.plain.opening import open_any

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader

require("tensorflow", "tensorflow", "dcz.tensorflow")

import tensorflow as tf

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]


def save_file(
    tensors: Mapping[str, Any],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes dense tensors and variables to a dcz file, bit for bit; options as in `dcz.save_file`.

    Entries that are one object are stored once.

    Raises:
        UnsupportedError: strings, ragged, sparse and symbolic tensors, and dtypes that cannot be stored.
        DczError: invalid names, metadata or options.

    >>> import tensorflow as tf, dcz.tensorflow
    >>> data = dcz.tensorflow.save({"w": tf.ones((2, 3), tf.bfloat16)})
    >>> dcz.tensorflow.load(data)["w"].dtype
    tf.bfloat16
    """
    save_tensors(
        _ADAPTER, tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Mapping[str, Any],
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
    device: str | None = None,
    *,
    backend: str = "mmap",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, tf.Tensor]:
    """Reads tensors from a dcz file; options as in `dcz.load_file`.

    `device` is a name for `tf.device`, such as "CPU:0". TensorFlow copies; each array is freed before the next is made.
    `backend` is "mmap" or "pread", as in safetensors; both read alike here.
    Names of the same tensor give the same object. Raises `UnsupportedError` for a dtype that TensorFlow lacks.

    >>> import numpy, dcz.tensorflow
    >>> dcz.tensorflow.load_file(dcz.save({"w": numpy.arange(3)}))["w"].numpy()
    array([0, 1, 2])
    """

    with tf.device(device):
        return load_tensors(
            from_array, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress, backend=backend
        )


def load(
    data: bytes,
    device: str | None = None,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, tf.Tensor]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, device, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def save_model(
    model: tf.Module,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes the variables of a `tf.Module` to a dcz file; options as in `save_file`.

    A name is the path of attributes, keys and indices, joined by dots; a variable that has several is stored once.

    >>> import io, tensorflow as tf, dcz.tensorflow
    >>> file, module = io.BytesIO(), tf.Module()
    >>> module.layers = [tf.Variable([1.0, 2.0])]
    >>> dcz.tensorflow.save_model(module, file)
    >>> list(dcz.tensorflow.load(file.getvalue()))
    ['layers.0']
    """
    save_file(_variables(model), filename, metadata, profile=profile, threads=threads, progress=progress)


def load_model(
    model: tf.Module,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Mismatch:
    """Loads a dcz file into the variables of a `tf.Module`; returns missing and unexpected keys.

    Raises `DczError` for shapes and dtypes, and with `strict` names, that do not agree; nothing has been changed then.
    """
    variables = _variables(model)
    with open_any(filename) as reader:
        expected = {name: (_shape(v, name, reader), _numpy_dtype(v.dtype).name) for name, v in variables.items()}
        result = match(reader, expected, strict, "load_model")
    names = [name for name in expected if name not in result.missing_keys]
    arrays = load_arrays(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
    for name in names:
        variables[name].assign(arrays.pop(name))
    return result


def from_array(array: NDArray[Any], name: str, device: str | None = None) -> tf.Tensor:
    """The same bits as a tensor, on a device of that name."""
    _check_dtype(array.dtype, name)
    with tf.device(device):
        return tf.convert_to_tensor(array)


def _shape(variable: tf.Variable, name: str, reader: Reader | ShardedReader | SafetensorsReader) -> tuple[int, ...]:
    """The shape that a variable takes: that in the file if its own, which may be unknown in part, allows for it."""
    if name in reader and variable.shape.is_compatible_with(reader.info(name).shape):
        return reader.info(name).shape
    return tuple(variable.shape) if variable.shape.is_fully_defined() else tuple(variable.read_value().shape)


def _variables(model: object) -> dict[str, tf.Variable]:
    if not isinstance(model, tf.Module):
        raise DczError(f"model: expected a tf.Module, found {type(model).__name__}; for Keras there is dcz.keras")
    found = model._flatten(predicate=lambda value: isinstance(value, tf.Variable), with_path=True)
    return unique_names(((".".join(map(str, path)), variable) for path, variable in found), "tf.Module")


def _check_dtype(dtype: Any, name: str) -> None:
    try:
        tf.as_dtype(dtype)
    except TypeError:
        raise UnsupportedError(
            f"tensor {name!r}: TensorFlow has no dtype {dtype}; read it with dcz.load_file"
        ) from None


def _nbytes(tensor: object, name: str) -> int:
    if not isinstance(tensor, (tf.Tensor, tf.Variable)):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected a dense tf.Tensor or tf.Variable, found {kind}")
    if not hasattr(tensor, "numpy"):
        raise UnsupportedError(f"tensor {name!r}: is symbolic and has no values; save outside of tf.function")
    dtype = tensor.dtype
    if dtype.is_quantized or dtype == tf.string or dtype in (tf.resource, tf.variant):
        raise UnsupportedError(f"tensor {name!r}: dtype {dtype.name} cannot be stored")
    found = by_numpy(_numpy_dtype(dtype), f"tensor {name!r}")
    return int(tf.size(tensor)) * found.itemsize  # a variable's declared shape may be unknown, its value's is not


def _numpy_dtype(dtype: tf.DType) -> np.dtype:
    return np.dtype(dtype.as_numpy_dtype)


def _to_array(tensor: Any) -> NDArray[Any]:
    return tensor.numpy()


# A tensor never changes, and a variable is its own memory: only the object counts.
_ADAPTER = Adapter(_nbytes, _to_array, id)
