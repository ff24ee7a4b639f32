"""ONNX models: their initializers, by name. The graph itself stays where it is.

Data in other files are read only from the model's own folder: what leads out of it is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from dcz import limits
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.extras import need
from dcz.io.sources import FileSource, read
from dcz.tensor import from_words

if TYPE_CHECKING:
    import onnx

# TensorProto's element types and ours. The last ones are packed in the file and take a byte each here.
_CODES = {
    "FLOAT": "F32", "UINT8": "U8", "INT8": "I8", "UINT16": "U16", "INT16": "I16", "INT32": "I32", "INT64": "I64",
    "BOOL": "BOOL", "FLOAT16": "F16", "DOUBLE": "F64", "UINT32": "U32", "UINT64": "U64", "COMPLEX64": "C64",
    "BFLOAT16": "BF16", "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ", "FLOAT8E5M2": "F8_E5M2",
    "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ", "FLOAT8E8M0": "F8_E8M0", "FLOAT4E2M1": "F4", "INT4": "I8", "UINT4": "U8",
    "INT2": "I8", "UINT2": "U8",
}  # fmt: skip
_PACKED = {"FLOAT4E2M1": 4, "INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2}
_MAX_DEPTH = 32


class OnnxModel:
    """The initializers of an ONNX model and of its subgraphs, sparse ones as the dense tensors they stand for.
    Integers of 4 and 2 bits have a byte each; `onnx.types` in the metadata tells their types."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        self._guard = guard or Guard(path)
        self._onnx = need("onnx", "onnx", path)
        try:
            model = self._onnx.load(self._path, load_external_data=False)
        except (ValueError, RuntimeError, TypeError, self._decode_error()) as error:
            raise FormatError(f"{self._path}: no ONNX model, or one that is cut off ({error})") from None
        if not model.ir_version or not model.HasField("graph"):
            raise FormatError(f"{self._path}: no ONNX model (it has no graph)")
        self._protos: dict[str, object] = {}
        self._tensors: dict[str, Tensor] = {}
        for name, proto in self._initializers(model.graph, 0):
            if name in self._protos:
                raise FormatError(f"{self._path}: two initializers have the name {name!r:.80}")
            self._protos[name] = proto
            self._tensors[name] = self._describe(name, proto)
        self._check_size()
        kinds = {name: self._kind(self._values(proto)) for name, proto in self._protos.items()}
        packed = {name: kind for name, kind in kinds.items() if kind in _PACKED and kind != "FLOAT4E2M1"}
        self.metadata: Mapping[str, object] = {"onnx.types": packed} if packed else {}

    @staticmethod
    def _decode_error() -> type[Exception]:
        from google.protobuf.message import DecodeError

        return DecodeError

    def _initializers(self, graph: onnx.GraphProto, depth: int) -> Iterator[tuple[str, object]]:
        if depth > _MAX_DEPTH:
            raise LimitError(f"{self._path}: graphs nested deeper than {_MAX_DEPTH}")
        for proto in graph.initializer:
            yield proto.name, proto
        for sparse in graph.sparse_initializer:
            yield sparse.values.name, sparse
        for node in graph.node:
            for attribute in node.attribute:
                for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                    yield from self._initializers(inner, depth + 1)

    def _values(self, proto: object) -> onnx.TensorProto:
        return proto.values if isinstance(proto, self._onnx.SparseTensorProto) else proto

    def _kind(self, proto: onnx.TensorProto) -> str:
        try:
            return self._onnx.TensorProto.DataType.Name(proto.data_type)
        except ValueError:
            return str(proto.data_type)

    def _describe(self, name: str, proto: object) -> Tensor:
        kind = self._kind(self._values(proto))
        if kind not in _CODES:
            raise UnsupportedError(f"{self._path}: initializer {name!r:.80}: elements of type {kind} cannot be stored")
        if any(n < 0 for n in proto.dims):
            raise FormatError(f"{self._path}: initializer {name!r:.80}: shape {list(proto.dims)} has negative lengths")
        return Tensor(name, DTYPES[_CODES[kind]], tuple(proto.dims))

    def _check_size(self) -> None:
        """What sparse initializers stand for is bounded by nothing in the file."""
        stored = os.path.getsize(self._path)
        sparse = sum(t.nbytes for n, t in self._tensors.items() if self._protos[n] is not self._values(self._protos[n]))
        if sparse > limits.default_max_bytes(stored):
            raise LimitError(f"{self._path}: its sparse initializers would take {sparse} bytes")

    def tensors(self) -> list[Tensor]:
        return list(self._tensors.values())

    def read(self, name: str) -> np.ndarray:
        proto, tensor = self._protos[name], self._tensors[name]
        try:
            if proto is self._values(proto):
                return self._dense(name, proto, tensor.shape)
            return self._sparse(name, proto, tensor)
        except (ValueError, TypeError, IndexError) as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(
                f"{self._path}: initializer {name!r:.80}: its data do not fit its shape ({error})"
            ) from None

    def _dense(self, name: str, proto: onnx.TensorProto, shape: tuple[int, ...]) -> np.ndarray:
        kind = self._kind(proto)
        dtype, bits, count = DTYPES[_CODES[kind]], _PACKED.get(kind), prod(shape)
        size = -(-count * bits // 8) if bits else count * dtype.itemsize
        if proto.data_location == self._onnx.TensorProto.EXTERNAL:
            data = self._external(name, proto, size)
        elif proto.HasField("raw_data"):
            data = np.frombuffer(proto.raw_data, np.uint8)
        else:
            array = np.asarray(self._onnx.numpy_helper.to_array(proto)).reshape(shape)
            return array if array.dtype == dtype.numpy() else array.astype(dtype.numpy())
        if len(data) != size:
            raise FormatError(
                f"{self._path}: initializer {name!r:.80}: {len(data)} bytes of data, its shape takes {size}"
            )
        if not bits:
            return from_words(data, dtype, shape)
        return _unpacked(data, bits, count, kind, dtype).reshape(shape)

    def _sparse(self, name: str, proto: onnx.SparseTensorProto, tensor: Tensor) -> np.ndarray:
        if len(proto.values.dims) != 1:
            raise FormatError(f"{self._path}: initializer {name!r:.80}: its values are no list")
        values = self._dense(name, proto.values, tuple(proto.values.dims))
        index = self._dense(name, proto.indices, tuple(proto.indices.dims))
        if index.dtype != np.int64 or len(index) != len(values):
            raise FormatError(f"{self._path}: initializer {name!r:.80}: {len(values)} values with other indices")
        if index.ndim == 2:
            index = np.ravel_multi_index(tuple(index.T), tensor.shape)  # refuses what is outside
        out = np.zeros(prod(tensor.shape), tensor.dtype.numpy())
        if len(index) and (index.min() < 0 or index.max() >= len(out)):
            raise FormatError(f"{self._path}: initializer {name!r:.80}: an index is outside of shape {tensor.shape}")
        out[index] = values
        return out.reshape(tensor.shape)

    def _external(self, name: str, proto: onnx.TensorProto, size: int) -> np.ndarray:
        where = f"{self._path}: initializer {name!r:.80}"
        fields = {entry.key: entry.value for entry in proto.external_data}
        path = self._confined(where, fields.get("location", ""))
        numbers = [fields.get("offset", "0"), fields.get("length", str(size))]
        if any(not (n.isascii() and n.isdigit()) or len(n) > 18 for n in numbers):
            raise FormatError(f"{where}: offset and length {numbers!r:.80} are no numbers")
        offset, length = map(int, numbers)
        if length != size:
            raise FormatError(f"{where}: {length} bytes of data, its shape takes {size}")
        source = FileSource(path)
        try:
            if offset + size > source.size:
                short = offset + size - source.size
                raise TruncatedError(
                    f"{where}: {path} is {short} bytes short ({source.size} in all); finish the download"
                )
            return read(source, offset, size)
        finally:
            source.close()

    def _confined(self, where: str, location: str) -> str:
        """The path of a data file: in the model's folder, also once links are followed. A model that is itself a
        link, as in the hub's cache, may have its data beside the file it is linked to."""
        parts = location.replace("\\", "/").split("/")
        if not location or ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in location:
            raise FormatError(f"{where}: its data are at {location!r:.80}, outside of the model's folder; refused")
        folder = os.path.dirname(os.path.abspath(self._path))
        path = os.path.join(folder, location)
        homes = (os.path.realpath(folder), os.path.dirname(os.path.realpath(self._path)))
        if not any(os.path.realpath(path).startswith(os.path.join(home, "")) for home in homes):
            raise FormatError(
                f"{where}: its data at {location!r:.80} are linked from outside of the model's folder; refused"
            )
        return path

    def __enter__(self) -> OnnxModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._protos.clear()


def _unpacked(data: np.ndarray, bits: int, count: int, kind: str, dtype: Dtype) -> np.ndarray:
    """Elements of less than a byte, the first in the lowest bits, as a byte each."""
    each = np.stack([data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], axis=1).reshape(-1)[:count]
    if kind.startswith("INT"):
        each = ((each ^ (1 << bits - 1)).astype(np.int16) - (1 << bits - 1)).astype(np.int8)
    return np.ascontiguousarray(each).view(dtype.numpy())
