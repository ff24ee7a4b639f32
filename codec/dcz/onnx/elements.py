"""Elements of ONNX tensors: their types and dcz's, and the two or four to a byte that lie packed in a model."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dcz.dtypes import DTYPES, Dtype, by_numpy
from dcz.errors import FormatError, UnsupportedError
from dcz.onnx.external import external_bytes
from dcz.tensor import from_words

# By the names that ONNX gives its types, as their numbers differ from version to version in what is there.
_CODES = {
    "FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "INT8": "I8", "INT16": "I16", "INT32": "I32",
    "INT64": "I64", "UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64", "BOOL": "BOOL",
    "COMPLEX64": "C64",
    "COMPLEX128": "C128", "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ", "FLOAT8E5M2": "F8_E5M2",
    "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ", "FLOAT8E8M0": "F8_E8M0", "FLOAT4E2M1": "F4", "INT4": "I4", "UINT4": "U4",
    "INT2": "I2", "UINT2": "U2",
}  # fmt: skip
# Bits of an element that is less than a byte.
_BITS = {"FLOAT4E2M1": 4, "INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2}
_KINDS = {code: kind for kind, code in _CODES.items()}
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def kind_of(number: int) -> str:
    """ONNX's name of an element type."""
    try:
        return TensorProto.DataType.Name(number)
    except ValueError:
        return str(number)


def dtype_of(kind: str, where: str) -> Dtype:
    """The dtype that an element type is stored as."""
    code = _CODES.get(kind)
    if code is None:
        raise UnsupportedError(f"{where}: elements of type {kind} cannot be stored")
    return DTYPES[code]


def read_elements(tensor: TensorProto, shape: tuple[int, ...], where: str, folder: str | None) -> NDArray[Any]:
    """A tensor's elements, wherever they are. `folder` is where its model lies, for external data."""
    kind = kind_of(tensor.data_type)
    dtype, bits, count = dtype_of(kind, where), _BITS.get(kind), prod(shape)
    size = -(-count * bits // 8) if bits else count * dtype.itemsize
    if tensor.data_location == TensorProto.EXTERNAL:
        data = external_bytes(tensor, where, folder, size)
    elif tensor.HasField("raw_data"):
        data = np.frombuffer(tensor.raw_data, np.uint8)
    else:
        return _from_lists(tensor, shape, dtype, where)
    if len(data) != size:
        raise FormatError(f"{where}: expected {size} bytes for its shape, found {len(data)}")
    if bits:
        return _unpacked(data, bits, count, kind, dtype).reshape(shape)
    return from_words(data, dtype, shape)


def _from_lists(tensor: TensorProto, shape: tuple[int, ...], dtype: Dtype, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(numpy_helper.to_array(tensor)).reshape(shape)
    except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise FormatError(f"{where}: its data do not fit its shape ({error})") from None
    return array if array.dtype == dtype.numpy() else array.astype(dtype.numpy())


def _unpacked(data: NDArray[Any], bits: int, count: int, kind: str, dtype: Dtype) -> NDArray[Any]:
    """Elements of less than a byte, the first in the lowest bits, as a byte each."""
    each = np.stack([data >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], axis=1).reshape(-1)[:count]
    if kind == "FLOAT4E2M1":
        return np.ascontiguousarray(each).view(dtype.numpy())
    if kind.startswith("INT"):
        each = ((each ^ (1 << bits - 1)).astype(np.int16) - (1 << bits - 1)).astype(np.int8)
    return each.astype(dtype.numpy())


def write_elements(tensor: TensorProto, array: NDArray[Any]) -> None:
    """Gives a tensor, of which the type is set, these elements."""
    clear(tensor)
    kind = kind_of(tensor.data_type)
    bits = _BITS.get(kind)
    if bits is None:
        tensor.raw_data = array.tobytes()
        return
    flat = np.ascontiguousarray(array).reshape(-1)
    each = flat.view(np.uint8) if kind == "FLOAT4E2M1" else flat.astype(np.int8).view(np.uint8)
    each = np.concatenate([each & (1 << bits) - 1, np.zeros(-len(each) % (8 // bits), np.uint8)])
    packed = np.zeros(len(each) * bits // 8, np.uint8)
    for place in range(8 // bits):
        packed |= each[place :: 8 // bits] << np.uint8(place * bits)
    tensor.raw_data = packed.tobytes()


def from_array(array: NDArray[Any], name: str) -> TensorProto:
    """A tensor of these elements."""
    kind = _KINDS.get(by_numpy(array.dtype, f"tensor {name!r}").code)
    number = getattr(TensorProto, kind, None) if kind else None
    if number is None:
        raise UnsupportedError(f"tensor {name!r}: ONNX has no elements of {array.dtype}; use dcz.load_file")
    tensor = TensorProto(data_type=number, dims=array.shape, name=name)
    write_elements(tensor, array)
    return tensor


def has_data(tensor: TensorProto) -> bool:
    """Whether a tensor has elements of its own."""
    return tensor.HasField("raw_data") or len(tensor.external_data) > 0 or any(len(getattr(tensor, f)) for f in _FIELDS)


def clear(tensor: TensorProto) -> None:
    """Leaves a tensor its name, type and shape."""
    for field in ("raw_data", "external_data", "data_location", *_FIELDS):
        tensor.ClearField(field)
