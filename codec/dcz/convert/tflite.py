"""TensorFlow Lite models: the tensors whose values they hold, by name. The graph itself stays where it is.

The file is a flatbuffer, read by the `tflite` package, which checks nothing: numbers in it may point anywhere. Reads
beyond the file raise, vectors are bounded before they are walked, and data is copied only where it lies in the file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcz import limits
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.extras import require
from dcz.tensor import from_words
from dcz.text import plural

if TYPE_CHECKING:
    import tflite

_CODES = {
    "FLOAT32": "F32", "FLOAT16": "F16", "INT32": "I32", "UINT8": "U8", "INT64": "I64", "BOOL": "BOOL", "INT16": "I16",
    "COMPLEX64": "C64", "INT8": "I8", "FLOAT64": "F64", "COMPLEX128": "C128", "UINT64": "U64", "UINT32": "U32",
    "UINT16": "U16", "INT4": "I4", "BFLOAT16": "BF16",
}  # fmt: skip
_MAGIC = b"TFL3"
_LARGEST_QUANTIZATION = 4 << 20  # of all tensors together, as metadata
_ERRORS = (
    *(ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, struct.error, RecursionError),
    MemoryError,
)


class TfliteModel:
    """The tensors of a TensorFlow Lite model that have values. Those of further subgraphs are called
    `subgraph_1.NAME`. `tflite.quantization` in the metadata of a tensor has its scales and zero points."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        self._guard = guard or Guard(path, ".tflite")
        self._tflite = require("tflite", "tflite", path)
        with open(path, "rb") as file:
            self._data = file.read(self._guard.stored + 1)
        if self._data[4:8] != _MAGIC:
            raise FormatError(f"{self._path}: not a TensorFlow Lite model (bytes 4 to 8 are {self._data[4:8]!r})")
        self.left_out: dict[str, str] = {}
        self._tensors: dict[str, tuple[Tensor, str, tuple[int, int]]] = {}
        self._seconds: dict[str, str] = {}
        self._owners: dict[object, str] = {}
        self._quantization: dict[str, dict[str, dict[str, object]]] = {}
        self._room = _LARGEST_QUANTIZATION
        try:
            self._walk(self._tflite.Model.GetRootAs(self._data, 0))
        except _ERRORS as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{self._path}: not a TensorFlow Lite model, or one that is damaged ({error})") from None
        self.aliases: Mapping[str, str] = self._seconds
        self.metadata: Mapping[str, object] = {}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = self._quantization

    def _walk(self, model: tflite.Model) -> None:
        kinds = {number: name for name, number in vars(self._tflite.TensorType).items() if isinstance(number, int)}
        for at in range(self._counted(model.SubgraphsLength(), "subgraphs")):
            self._guard.visit("subgraphs")
            subgraph = model.Subgraphs(at)
            for number in range(self._counted(subgraph.TensorsLength(), "tensors")):
                self._guard.visit("tensors")
                tensor = subgraph.Tensors(number)
                place = self._place(model, tensor.Buffer())
                if place is None:
                    continue
                name = (tensor.Name() or b"").decode() or f"tensor_{number}"
                name = f"subgraph_{at}.{name}" if at else name
                if name in self._tensors or name in self._seconds or name in self.left_out:
                    name = f"{name}#{number}"  # names are labels there, and need not differ
                self._guard.name(name)
                self._add(name, tensor, kinds.get(tensor.Type(), str(tensor.Type())), place)

    def _counted(self, count: int, what: str) -> int:
        """The length of a vector, whose entries take four bytes each at least."""
        if count * 4 > len(self._data):
            raise FormatError(f"{self._path}: {count} {what} do not fit into the file; fetch the file again")
        return count

    def _place(self, model: tflite.Model, number: int) -> tuple[int, int] | None:
        """Where in the file a tensor's values are; None of one that is computed."""
        if number >= model.BuffersLength():
            raise FormatError(
                f"{self._path}: buffer {number}: the model has {model.BuffersLength()}; fetch the file again"
            )
        buffer = model.Buffers(number)
        start, size = buffer.Offset(), buffer.Size()  # behind the flatbuffer, where it would exceed 2 GB
        if start <= 1:
            field = buffer._tab.Offset(4)
            if not field:
                return None
            start, size = buffer._tab.Vector(field), buffer.DataLength()
        if size == 0:
            return None
        if start + size > len(self._data):
            raise TruncatedError(
                f"{self._path}: buffer {number} is {plural(start + size - len(self._data), 'byte')} short; "
                "finish the download"
            )
        return start, size

    def _add(self, name: str, tensor: tflite.Tensor, kind: str, place: tuple[int, int]) -> None:
        where = f"{self._path}: tensor {name!r:.80}"
        if tensor.Sparsity() is not None:
            raise UnsupportedError(f"{where}: is stored sparse; convert the model without sparsity, dcz packs zeros")
        if kind not in _CODES:
            self.left_out[name] = f"elements of type {kind} cannot be stored"
            return
        dtype = DTYPES[_CODES[kind]]
        if tensor.ShapeLength() > limits.MAX_DIMENSIONS:
            raise LimitError(f"{where}: {tensor.ShapeLength()} dimensions; the limit is {limits.MAX_DIMENSIONS}")
        lengths = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
        shape = self._guard.shape(lengths, dtype.itemsize, f"tensor {name!r:.80}")
        expected = -(-prod(shape) // 2) if kind == "INT4" else prod(shape) * dtype.itemsize
        if place[1] != expected:
            raise FormatError(f"{where}: expected {expected} bytes for {kind} {list(shape)}, found {place[1]}")
        quantization = self._quantized(name, tensor)
        # Of two tensors of the same values that mean different numbers neither is a second name of the other.
        owner = self._owners.setdefault((place, kind, shape, repr(quantization)), name)
        if owner != name:
            self._seconds[name] = owner
            return
        if quantization:
            self._quantization[name] = {"tflite.quantization": quantization}
        self._tensors[name] = Tensor(name, dtype, shape), kind, place

    def _quantized(self, name: str, tensor: tflite.Tensor) -> dict[str, object]:
        found = tensor.Quantization()
        if found is None or not (found.ScaleLength() or found.ZeroPointLength()):
            return {}
        self._room -= 8 * (found.ScaleLength() + found.ZeroPointLength()) + len(name)
        if self._room < 0:
            self.left_out[f"quantization of {name}"] = f"more than {_LARGEST_QUANTIZATION} bytes of scales in all"
            return {}
        return {
            "scale": np.atleast_1d(found.ScaleAsNumpy()).tolist() if found.ScaleLength() else [],
            "zero_point": np.atleast_1d(found.ZeroPointAsNumpy()).tolist() if found.ZeroPointLength() else [],
            "dimension": found.QuantizedDimension(),
        }

    def tensors(self) -> list[Tensor]:
        return [tensor for tensor, _, _ in self._tensors.values()]

    def read(self, name: str) -> NDArray[Any]:
        tensor, kind, (start, size) = self._tensors[name]
        data = np.frombuffer(self._data, np.uint8, size, start)
        if kind == "INT4":
            return _unpacked(data, tensor.dtype, prod(tensor.shape)).reshape(tensor.shape)
        return from_words(data, tensor.dtype, tensor.shape)

    def __enter__(self) -> TfliteModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._tensors.clear()


def _unpacked(data: NDArray[Any], dtype: Dtype, count: int) -> NDArray[Any]:
    """Integers of four bits, the first in the lowest bits, as a byte each."""
    each = np.stack([data & 15, data >> 4], axis=1).reshape(-1)[:count]
    return ((each ^ 8).astype(np.int16) - 8).astype(np.int8).astype(dtype.numpy())
