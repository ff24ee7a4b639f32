"""One weight of an ONNX model: a tensor, a sparse tensor, or the numbers of a Constant node."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, SparseTensorProto, TensorProto

from dcz import limits
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import FormatError, LimitError
from dcz.onnx import elements

# Attributes of Constant nodes that hold numbers themselves: the field, the dtype, and whether it is a list.
CONSTANTS = {
    "value_float": ("f", "F32", False), "value_floats": ("floats", "F32", True),
    "value_int": ("i", "I64", False), "value_ints": ("ints", "I64", True),
}  # fmt: skip


class Weight:
    """One tensor of a model, as it lies there."""

    kind: str
    dtype: Dtype
    shape: tuple[int, ...]

    def __init__(self, name: str, where: str) -> None:
        self.name, self.where = name, where

    @property
    def nbytes(self) -> int:
        """Bytes of its array."""
        return prod(self.shape) * self.dtype.itemsize

    def fits(self, code: str, shape: tuple[int, ...]) -> bool:
        """Whether a stored tensor is of this type and shape."""
        return (self.dtype.code, self.shape) == (code, shape)

    def has_data(self) -> bool:
        """Whether the model has its elements."""
        raise NotImplementedError

    def tensors(self) -> list[TensorProto]:
        """The protos that hold it, which may have their data in other files."""
        return []

    def document(self) -> str:
        """The doc string of the tensor; empty where there is none, or where its bytes are not text."""
        texts = [tensor.doc_string for tensor in self.tensors()]
        return next((text for text in texts if text and isinstance(text, str)), "")

    def read(self, folder: str | None) -> NDArray[Any]:
        """Its elements; `folder` is where the model lies, or the model's path."""
        raise NotImplementedError

    def clear(self, folder: str | None) -> None:
        """Takes its elements out of the model, which is not valid then."""
        raise NotImplementedError

    def write(self, array: NDArray[Any]) -> None:
        """Puts elements into the model."""
        raise NotImplementedError


class Dense(Weight):
    """A tensor whose elements are listed."""

    def __init__(self, name: str, where: str, tensor: TensorProto) -> None:
        super().__init__(name, where)
        self._tensor = tensor
        self.kind = elements.kind_of(tensor.data_type)
        self.dtype, self.shape = elements.dtype_of(self.kind, where), _shape(tensor.dims, where)

    def tensors(self) -> list[TensorProto]:
        return [self._tensor]

    def has_data(self) -> bool:
        return elements.has_data(self._tensor) or 0 in self.shape

    def read(self, folder: str | None) -> NDArray[Any]:
        return elements.read_elements(self._tensor, self.shape, self.where, folder)

    def clear(self, folder: str | None) -> None:
        elements.clear(self._tensor)

    def write(self, array: NDArray[Any]) -> None:
        elements.write_elements(self._tensor, array)


class Sparse(Weight):
    """A tensor of which the elements that are not zero are listed. It stands for the dense one; its indices stay in
    the model."""

    def __init__(self, name: str, where: str, tensor: SparseTensorProto) -> None:
        super().__init__(name, where)
        self._tensor = tensor
        self.kind = elements.kind_of(tensor.values.data_type)
        self.dtype, self.shape = elements.dtype_of(self.kind, where), _shape(tensor.dims, where)

    def tensors(self) -> list[TensorProto]:
        return [self._tensor.values, self._tensor.indices]

    def has_data(self) -> bool:
        return elements.has_data(self._tensor.values) or 0 in self._tensor.values.dims

    def _places(self, folder: str | None) -> NDArray[Any]:
        indices = self._tensor.indices
        places = elements.read_elements(indices, _shape(indices.dims, self.where), self.where, folder)
        count = self._tensor.values.dims
        if len(count) != 1 or places.dtype != np.int64 or places.ndim not in (1, 2) or len(places) != count[0]:
            raise FormatError(f"{self.where}: {list(count)} values with indices of {places.dtype} {places.shape}")
        if places.ndim == 2:
            try:
                places = np.ravel_multi_index(tuple(places.T), self.shape)
            except (ValueError, TypeError) as error:
                raise FormatError(f"{self.where}: its indices do not fit its shape ({error})") from None
        if len(places) and (places.min() < 0 or places.max() >= prod(self.shape)):
            raise FormatError(f"{self.where}: an index is outside shape {self.shape}")
        if len(np.unique(places)) != len(places):
            raise FormatError(f"{self.where}: duplicate index")
        return places

    def read(self, folder: str | None) -> NDArray[Any]:
        places = self._places(folder)
        out = np.zeros(prod(self.shape), self.dtype.numpy())
        out[places] = elements.read_elements(self._tensor.values, (len(places),), self.where, folder)
        return out.reshape(self.shape)

    def clear(self, folder: str | None) -> None:
        indices = self._tensor.indices
        if indices.data_location == TensorProto.EXTERNAL:  # the model may be written to another folder
            places = elements.read_elements(indices, _shape(indices.dims, self.where), self.where, folder)
            elements.write_elements(indices, places)
        elements.clear(self._tensor.values)

    def write(self, array: NDArray[Any]) -> None:
        elements.write_elements(self._tensor.values, array.reshape(-1)[self._places(None)])


class Numbers(Weight):
    """Numbers that an attribute holds itself."""

    def __init__(self, name: str, where: str, attribute: AttributeProto) -> None:
        super().__init__(name, where)
        self._attribute = attribute
        self._field, code, self._is_list = CONSTANTS[attribute.name]
        self.dtype, self.kind = DTYPES[code], "FLOAT" if code == "F32" else "INT64"
        self.shape = (len(getattr(attribute, self._field)),) if self._is_list else ()

    def fits(self, code: str, shape: tuple[int, ...]) -> bool:
        return self.dtype.code == code and len(shape) == self._is_list

    def has_data(self) -> bool:
        return self._attribute.type != AttributeProto.UNDEFINED

    def read(self, folder: str | None) -> NDArray[Any]:
        return np.array(getattr(self._attribute, self._field), self.dtype.numpy())

    def clear(self, folder: str | None) -> None:
        self._attribute.ClearField(self._field)
        self._attribute.type = AttributeProto.UNDEFINED  # an empty list, and zero, would be valid values

    def write(self, array: NDArray[Any]) -> None:
        self._attribute.ClearField(self._field)
        if self._is_list:
            getattr(self._attribute, self._field).extend(array.tolist())
        else:
            setattr(self._attribute, self._field, array.item())
        kind = (
            ("FLOATS" if self._is_list else "FLOAT")
            if self.dtype.code == "F32"
            else ("INTS" if self._is_list else "INT")
        )
        self._attribute.type = getattr(AttributeProto, kind)


def _shape(dims: Iterable[int], where: str) -> tuple[int, ...]:
    shape = tuple(dims)
    if any(n < 0 for n in shape):
        raise FormatError(f"{where}: shape {list(shape)!r:.80} has negative lengths")
    if len(shape) > limits.MAX_DIMENSIONS or prod(max(n, 1) for n in shape) > limits.MAX_WORDS:
        raise LimitError(f"{where}: shape {list(shape)!r:.80}; the limit is {limits.MAX_DIMENSIONS} dimensions and "
                         f"{limits.MAX_WORDS} elements")  # fmt: skip
    return shape
