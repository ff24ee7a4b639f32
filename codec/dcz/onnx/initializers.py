"""Where an ONNX model keeps weights: one walk over its graphs, which names, types and bounds all of them.

Weights are initializers, dense and sparse, and the values of nodes: of `Constant` (a tensor, sparse or not, numbers,
lists of numbers) and tensors that other nodes have as attributes. Those of subgraphs and functions, whose names need
not differ from others', are called by the path of nodes and attributes that leads to them. Where a weight is already
called so, a number is added.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from dcz import limits
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.onnx import elements
from dcz.onnx.external import inside

_MAX_DEPTH = 32
# Attributes of Constant nodes that hold numbers themselves: the field, the dtype, and whether it is a list.
_NUMBERS = {
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
            raise FormatError(f"{self.where}: an index is outside of shape {self.shape}")
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
        self._field, code, self._is_list = _NUMBERS[attribute.name]
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


class Weights(dict[str, Weight]):
    """The weights of a model by name; tensors that are none, such as strings, are in `left_out` with the reason."""

    def __init__(self, model: ModelProto, path: str = "") -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}
        self._given: set[tuple[str, str]] = set()  # names that the model itself gives, by the path of their graph
        self._taken: Counter[str] = Counter()
        self._before = f"{path}: " if path else ""
        self._graph(model.graph, "", 0)
        for function in model.functions:
            label = ".".join(
                map(self._text, filter(None, (function.domain, function.name, getattr(function, "overload", ""))))
            )
            self._nodes(function.node, f"function.{label}.", 1)
        for number, training in enumerate(model.training_info):
            self._graph(training.initialization, f"training_{number}.initialization.", 1)
            self._graph(training.algorithm, f"training_{number}.algorithm.", 1)

    def files(self, folder: str) -> set[str]:
        """The other files that data lies in, without those that reading will refuse."""
        out = set()
        for weight in self.values():
            for tensor in weight.tensors():
                for entry in tensor.external_data:
                    if entry.key == "location":
                        with contextlib.suppress(DczError):
                            out.add(inside(folder, entry.value, weight.where))
        return {path for path in out if os.path.isfile(path)}

    def _text(self, value: str | bytes) -> str:
        """A name; protobuf gives the bytes of one that is not text."""
        if not isinstance(value, str):
            raise FormatError(f"{self._before}a name is not valid UTF-8: {value!r:.80}; the model is damaged")
        return value

    def _add(self, prefix: str, given: str | bytes, kind: type, what: str, proto: object) -> None:
        """Adds a weight that the model gives a name: in one graph no other may have it."""
        own = self._text(given)
        if (prefix, own) in self._given:
            raise DczError(f"{self._before}{what} {prefix + own!r:.80}: duplicate name; rename one of the two")
        self._given.add((prefix, own))
        self._add_called(prefix + own, kind, what, proto)

    def _add_called(self, path: str, kind: type, what: str, proto: object) -> None:
        """Adds a weight that is called by its path, and by a number where another is called so."""
        name = path
        while name in self or name in self.left_out:
            self._taken[path] += 1
            name = f"{path}.{self._taken[path] + 1}"
        where = f"{self._before}{what} {name!r:.80}"
        if len(self) + len(self.left_out) >= limits.MAX_TENSORS:
            raise LimitError(f"{self._before}more than {limits.MAX_TENSORS} weights")
        try:
            self[name] = kind(name, where, proto)
        except UnsupportedError as error:
            self.left_out[name] = str(error).removeprefix(f"{where}: ")

    def _graph(self, graph: GraphProto, prefix: str, depth: int) -> None:
        for tensor in graph.initializer:
            self._add(prefix, tensor.name, Dense, "initializer", tensor)
        for sparse in graph.sparse_initializer:
            self._add(prefix, sparse.values.name, Sparse, "initializer", sparse)
        self._nodes(graph.node, prefix, depth)

    def _nodes(self, nodes: Iterable[NodeProto], prefix: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise LimitError(f"{self._before}graphs nested deeper than {_MAX_DEPTH}")
        nodes = list(nodes)
        names = Counter(node.name for node in nodes)
        for number, node in enumerate(nodes):
            unique = node.name and names[node.name] == 1
            label = prefix + (self._text(node.name) if unique else f"{self._text(node.op_type)}_{number}")
            for attribute in node.attribute:
                if attribute.ref_attr_name:
                    continue  # a parameter of a function: its value is where the function is used
                if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                    self._constant(node, attribute, prefix, label)
                else:
                    self._attribute(attribute, label)
                for inner, place in _graphs(attribute):
                    self._graph(inner, f"{label}.{attribute.name}{place}.", depth + 1)

    def _constant(self, node: NodeProto, attribute: AttributeProto, prefix: str, label: str) -> None:
        """The value of a Constant, which the graph calls as the node's output."""
        found: list[tuple[type, object]] = []
        if attribute.name in _NUMBERS:
            found.append((Numbers, attribute))
        if attribute.HasField("t"):
            found.append((Dense, attribute.t))
        if attribute.HasField("sparse_tensor"):
            found.append((Sparse, attribute.sparse_tensor))
        for kind, proto in found:
            if node.output and node.output[0]:
                self._add(prefix, node.output[0], kind, "constant", proto)
            else:
                self._add_called(f"{label}.{self._text(attribute.name)}", kind, "constant", proto)

    def _attribute(self, attribute: AttributeProto, label: str) -> None:
        """Tensors that another node has as an attribute."""
        path = f"{label}.{self._text(attribute.name)}"
        if attribute.HasField("t"):
            self._add_called(path, Dense, "attribute", attribute.t)
        if attribute.HasField("sparse_tensor"):
            self._add_called(path, Sparse, "attribute", attribute.sparse_tensor)
        for number, tensor in enumerate(attribute.tensors):
            self._add_called(f"{path}.{number}", Dense, "attribute", tensor)
        for number, sparse in enumerate(attribute.sparse_tensors):
            self._add_called(f"{path}.{number}", Sparse, "attribute", sparse)


def _graphs(attribute: AttributeProto) -> Iterator[tuple[GraphProto, str]]:
    if attribute.HasField("g"):
        yield attribute.g, ""
    for number, graph in enumerate(attribute.graphs):
        yield graph, f".{number}"
