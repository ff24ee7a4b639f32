"""Initializers of an ONNX graph: where they are, their elements, and data that lies in other files."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from dcz.adapters import unique_names
from dcz.dtypes import DTYPES, by_numpy
from dcz.errors import DczError, TruncatedError, UnsupportedError

# Types whose elements are whole bytes. Narrower ones, two or more to a byte, are stored as bytes.
CODES = {
    TensorProto.FLOAT: "F32", TensorProto.DOUBLE: "F64", TensorProto.FLOAT16: "F16", TensorProto.BFLOAT16: "BF16",
    TensorProto.INT8: "I8", TensorProto.INT16: "I16", TensorProto.INT32: "I32", TensorProto.INT64: "I64",
    TensorProto.UINT8: "U8", TensorProto.UINT16: "U16", TensorProto.UINT32: "U32", TensorProto.UINT64: "U64",
    TensorProto.BOOL: "BOOL", TensorProto.COMPLEX64: "C64", TensorProto.FLOAT8E4M3FN: "F8_E4M3",
    TensorProto.FLOAT8E5M2: "F8_E5M2", TensorProto.FLOAT8E4M3FNUZ: "F8_E4M3FNUZ",
    TensorProto.FLOAT8E5M2FNUZ: "F8_E5M2FNUZ", getattr(TensorProto, "FLOAT8E8M0", -1): "F8_E8M0",
}  # fmt: skip
_TYPES = {code: kind for kind, code in CODES.items() if kind >= 0}
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def initializers(model: ModelProto) -> dict[str, TensorProto]:
    """By name, without those that cannot be stored (strings); of a subgraph with the path of nodes and attributes
    that lead to it. Raises `DczError` where two are called the same."""
    found = unique_names(_walk(model.graph, ""), "ONNX model")
    return {name: tensor for name, tensor in found.items() if tensor.data_type != TensorProto.STRING}


def _walk(graph: GraphProto, prefix: str) -> Iterator[tuple[str, TensorProto]]:
    for tensor in graph.initializer:
        yield prefix + tensor.name, tensor
    for number, node in enumerate(graph.node):
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _walk(inner, f"{prefix}{node.name or f'{node.op_type}_{number}'}.{attribute.name}.")


def to_array(tensor: TensorProto, name: str, folder: str | None) -> NDArray:
    """A tensor's elements, or the bytes of one whose elements are narrower than a byte. `folder` is where its model
    lies, for external data."""
    external = tensor.data_location == TensorProto.EXTERNAL
    raw = _external(tensor, name, folder) if external else tensor.raw_data if tensor.HasField("raw_data") else None
    if raw is None:
        array = numpy_helper.to_array(tensor)
        if tensor.data_type in CODES:
            return array
        return np.frombuffer(numpy_helper.from_array(array).raw_data, np.uint8)
    if tensor.data_type not in CODES:
        return np.frombuffer(raw, np.uint8)
    dtype = DTYPES[CODES[tensor.data_type]].numpy()
    shape = tuple(tensor.dims)
    if len(raw) != int(np.prod(shape, dtype=object)) * dtype.itemsize:
        raise DczError(f"initializer {name!r}: {len(raw)} bytes are not {dtype} {shape}; the model is damaged")
    return np.frombuffer(raw, dtype).reshape(shape)


def from_array(array: NDArray, name: str) -> TensorProto:
    """A tensor of these elements."""
    kind = _TYPES.get(by_numpy(array.dtype, name).code)
    if kind is None:
        raise UnsupportedError(
            f"tensor {name!r}: ONNX has no elements of {array.dtype} of a byte each; use dcz.load_file"
        )
    return TensorProto(data_type=kind, dims=array.shape, name=name, raw_data=array.tobytes())


def fits(tensor: TensorProto, code: str, shape: tuple[int, ...]) -> bool:
    """Whether a stored tensor is of this initializer's type and shape."""
    if tensor.data_type in CODES:
        return CODES[tensor.data_type] == code and tuple(tensor.dims) == shape
    return code == "U8" and len(shape) == 1


def has_data(tensor: TensorProto) -> bool:
    """Whether a tensor has elements of its own."""
    return tensor.HasField("raw_data") or len(tensor.external_data) > 0 or any(len(getattr(tensor, f)) for f in _FIELDS)


def clear(tensor: TensorProto) -> None:
    """Leaves a tensor its name, type and shape."""
    for field in ("raw_data", "external_data", "data_location", *_FIELDS):
        tensor.ClearField(field)


def inside(folder: str, location: str, what: str) -> str:
    """The path of a file that a model names, which must lie in the model's folder."""
    root = os.path.realpath(folder)
    path = os.path.realpath(os.path.join(root, location))
    if not location or os.path.isabs(location) or os.path.commonpath([root, path]) != root or path == root:
        raise DczError(
            f"{what}: {location!r:.200} is not in the model's folder; such a model could read any file, refused"
        )
    return path


def _external(tensor: TensorProto, name: str, folder: str | None) -> bytes:
    """The part of another file that holds a tensor's bytes."""
    what = f"initializer {name!r}: external data"
    if folder is None:
        raise DczError(f"{what}: the model does not say in which folder; pass its path instead of the model")
    fields = {entry.key: entry.value for entry in tensor.external_data}
    path = inside(folder, fields.get("location", ""), what)
    try:
        offset, length = int(fields.get("offset", 0)), int(fields.get("length", -1))
    except ValueError:
        raise DczError(f"{what}: offset and length are integers, found {fields!r:.200}") from None
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        length = size - offset if length < 0 else length
        if not 0 <= offset <= size or offset + length > size:
            raise TruncatedError(
                f"{what}: bytes {offset} to {offset + length} of {path}, which has {size}; finish the download"
            )
        file.seek(offset)
        return file.read(length)
