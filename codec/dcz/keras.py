"""The Keras integration, Keras 3 on any backend: variables and tensors, and the weights of models.
`pip install 'dcz[keras]'`.

The options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Adapter, Mismatch, Progress, load_tensors, match, save_bytes, save_tensors
from dcz.api import load_file as load_arrays
from dcz.dtypes import by_numpy
from dcz.errors import DczError, UnsupportedError
from dcz.extras import require
from dcz.plain.opening import open_any

require("keras", "keras", "dcz.keras")

import keras
from keras.src.saving import saving_lib

__all__ = ["load", "load_file", "load_weights", "save", "save_file", "save_weights"]


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
    """Writes variables, tensors of the backend and arrays to a dcz file, bit for bit; options as in `dcz.save_file`.

    Raises:
        UnsupportedError: symbolic tensors, other objects, and dtypes that cannot be stored.
        DczError: invalid names, metadata or options.

    >>> import keras, dcz.keras
    >>> data = dcz.keras.save({"w": keras.ops.ones((2, 3), "bfloat16")})
    >>> keras.ops.shape(dcz.keras.load(data)["w"])
    (2, 3)
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
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Reads tensors of Keras' backend from a dcz file; options as in `dcz.load_file`.

    Names of the same tensor give the same object. Raises `UnsupportedError` for a dtype that the backend lacks.
    """
    return load_tensors(_convert, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def load(
    data: bytes,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def save_weights(
    model: keras.Model,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a model's weights, without its optimizer's, to a dcz file; options as in `save_file`.

    Names are those of Keras' own `.weights.h5` files, such as `layers/dense/vars/0`: they depend on the model's
    structure and not on the names that layers are given automatically.

    >>> import io, keras, dcz.keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> file = io.BytesIO()
    >>> dcz.keras.save_weights(model, file)
    >>> sorted(dcz.load(file.getvalue()))
    ['layers/dense/vars/0', 'layers/dense/vars/1']
    """
    save_file(_weights(model), filename, metadata, profile=profile, threads=threads, progress=progress)


def load_weights(
    model: keras.Model,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Mismatch:
    """Loads a dcz file into a model, layer by layer as Keras does; returns missing and unexpected keys.

    An optimizer's weights in the file are left alone. Raises `DczError` for shapes and dtypes, and with `strict`
    names, that do not agree; nothing has been changed then.
    """
    expected = {name: (tuple(v.shape), _dtype(v, name).name) for name, v in _weights(model).items()}
    with open_any(filename) as reader:
        names = [name for name in reader if not name.startswith("optimizer/")]
        result = match(reader, expected, strict, "load_weights", names)
    names = [name for name in expected if name not in result.missing_keys]
    store = _Store(load_arrays(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress))
    failed: set[int] = set()
    errors: dict[int, Any] = {}
    saving_lib._load_state(model, store, None, "", not strict, _optimizer(model), failed, errors)
    if errors and strict:
        saving_lib._raise_loading_failure(errors)
    return result


class _Store(saving_lib.NpzIOStore):
    """A store in which Keras puts the variables of each layer, and finds them: tensors by name."""

    def __init__(self, tensors: dict[str, Any] | None = None) -> None:
        self.layers: dict[str, dict[str, Any]] = {}
        for name, tensor in (tensors or {}).items():
            path, _, key = name.rpartition("/")
            self.layers.setdefault(path.removesuffix("vars").rstrip("/"), {})[key] = tensor

    def make(self, path: str, metadata: Any = None) -> dict[str, Any]:
        return self.layers.setdefault(path or "", {})

    def get(self, path: str) -> dict[str, Any]:
        return self.layers.get(path or "", {})

    def has_path(self, path: str) -> bool:
        return any(layer == path or layer.startswith(f"{path}/") for layer in self.layers)

    def tensors(self) -> dict[str, Any]:
        """By name."""
        return {
            f"{path}/vars/{key}" if path else f"vars/{key}": tensor
            for path, layer in self.layers.items()
            for key, tensor in layer.items()
        }


def _weights(model: object) -> dict[str, Any]:
    """Names to variables, not copied."""
    if not isinstance(model, keras.Model):
        raise DczError(f"model: expected a keras.Model, found {type(model).__name__}")
    if not model.built:
        raise DczError("model: has no weights yet; call it on some data or build() it first")
    store = _Store()
    saving_lib._save_state(model, store, None, "", _optimizer(model))
    return store.tensors()


def _optimizer(model: Any) -> set[int]:
    """The objects not to visit."""
    return {id(optimizer)} if (optimizer := getattr(model, "optimizer", None)) is not None else set()


def _convert(array: NDArray[Any], name: str) -> Any:
    try:
        tensor = keras.ops.convert_to_tensor(array)
        found = keras.backend.standardize_dtype(tensor.dtype)
    except Exception as error:
        raise UnsupportedError(
            f"tensor {name!r}: the backend {keras.backend.backend()} takes no {array.dtype} ({error!r:.80}); "
            "read it with dcz.load_file"
        ) from None
    if found != array.dtype.name:
        raise UnsupportedError(
            f"tensor {name!r}: the backend {keras.backend.backend()} would turn {array.dtype} into {found}; "
            "read it with dcz.load_file"
        )
    return tensor


def _nbytes(tensor: Any, name: str) -> int:
    if isinstance(tensor, keras.KerasTensor):
        raise UnsupportedError(f"tensor {name!r}: is symbolic and has no values")
    if not isinstance(tensor, (keras.Variable, np.ndarray, np.generic)) and not keras.ops.is_tensor(tensor):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected a variable, tensor or array, found {kind}")
    size = by_numpy(_dtype(tensor, name), f"tensor {name!r}").itemsize
    for length in tensor.shape:
        size *= int(length)
    return size


def _dtype(tensor: Any, name: str) -> np.dtype:
    """numpy's name for the dtype of a tensor of any backend."""
    import ml_dtypes

    dtype = tensor.dtype if isinstance(tensor, (np.ndarray, np.generic)) else None
    if dtype is not None:
        return dtype
    text = keras.backend.standardize_dtype(tensor.dtype)
    try:
        return np.dtype(getattr(ml_dtypes, text, text))
    except TypeError:
        raise UnsupportedError(f"tensor {name!r}: dtype {text} cannot be stored") from None


def _to_array(tensor: Any) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _identity(tensor: Any) -> Hashable:
    return id(tensor)


_ADAPTER = Adapter(_nbytes, _to_array, _identity)
