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
from dataclasses import dataclass, field

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from dcz import limits
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.onnx.external import inside
from dcz.onnx.weights import CONSTANTS, Dense, Numbers, Sparse, Weight

_MAX_DEPTH = 32


@dataclass(slots=True)
class Scope:
    """A graph of a model, and where it is: the node and its attribute that hold it, in the graph around."""

    graph: GraphProto
    prefix: str
    node: NodeProto | None = None
    attribute: str = ""
    around: Scope | None = None
    _names: set[str] = field(default_factory=set)

    def defining(self, name: str) -> Scope | None:
        """The innermost graph, from this one outwards, in which a value has this name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.names():
            scope = scope.around
        return scope

    def names(self) -> set[str]:
        """Of the graph's inputs, initializers, and outputs of nodes."""
        if not self._names:
            graph = self.graph
            self._names.update(value.name for value in graph.input)
            self._names.update(tensor.name for tensor in graph.initializer)
            self._names.update(sparse.values.name for sparse in graph.sparse_initializer)
            self._names.update(name for node in graph.node for name in node.output if name)
        return self._names


class Weights(dict[str, Weight]):
    """The weights of a model by name; tensors that are none, such as strings, are in `left_out` with the reason.
    `scopes` are the main graph and the subgraphs in it."""

    def __init__(self, model: ModelProto, path: str = "") -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}
        self.scopes: list[Scope] = []
        # By the path of their graph and the name that the model itself gives: what they are called here.
        self._given: dict[tuple[str, str], str] = {}
        self._taken: Counter[str] = Counter()
        self._before = f"{path}: " if path else ""
        self._graph(model.graph, "", 0, Scope(model.graph, ""))
        for function in model.functions:
            label = ".".join(
                map(self._text, filter(None, (function.domain, function.name, getattr(function, "overload", ""))))
            )
            self._nodes(function.node, f"function.{label}.", 1)
        for number, training in enumerate(model.training_info):
            self._graph(training.initialization, f"training_{number}.initialization.", 1)
            self._graph(training.algorithm, f"training_{number}.algorithm.", 1)

    def seen_from(self, scope: Scope, name: str) -> Weight | None:
        """The weight that a node of this graph means by a name, if it is one."""
        owner = scope.defining(name)
        return None if owner is None else self.get(self._given.get((owner.prefix, name), ""))

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
            raise FormatError(f"{self._before}a name is not valid UTF-8: {value!r:.80}; fetch the file again")
        return value

    def _add(self, prefix: str, given: str | bytes, kind: type, what: str, proto: object) -> None:
        """Adds a weight that the model gives a name: in one graph no other may have it."""
        own = self._text(given)
        if (prefix, own) in self._given:
            raise DczError(f"{self._before}{what} {prefix + own!r:.80}: duplicate name; rename one of the two")
        self._given[prefix, own] = self._add_called(prefix + own, kind, what, proto)

    def _add_called(self, path: str, kind: type, what: str, proto: object) -> str:
        """Adds a weight that is called by its path, and by a number where another is called so. Gives its name."""
        name = path
        while name in self or name in self.left_out:
            self._taken[path] += 1
            name = f"{path}.{self._taken[path] + 1}"
        where = f"{self._before}{what} {name!r:.80}"
        if len(self) + len(self.left_out) >= limits.MAX_TENSORS:
            raise LimitError(f"{self._before}more than {limits.MAX_TENSORS} weights; split the model")
        try:
            self[name] = kind(name, where, proto)
        except UnsupportedError as error:
            self.left_out[name] = str(error).removeprefix(f"{where}: ")
        return name

    def _graph(self, graph: GraphProto, prefix: str, depth: int, scope: Scope | None = None) -> None:
        if scope is not None:
            self.scopes.append(scope)
        for tensor in graph.initializer:
            self._add(prefix, tensor.name, Dense, "initializer", tensor)
        for sparse in graph.sparse_initializer:
            self._add(prefix, sparse.values.name, Sparse, "initializer", sparse)
        self._nodes(graph.node, prefix, depth, scope)

    def _nodes(self, nodes: Iterable[NodeProto], prefix: str, depth: int, scope: Scope | None = None) -> None:
        if depth > _MAX_DEPTH:
            raise LimitError(f"{self._before}graphs are nested deeper than {_MAX_DEPTH} levels")
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
                    path = f"{label}.{attribute.name}{place}."
                    within = scope and Scope(inner, path, node, attribute.name, scope)
                    self._graph(inner, path, depth + 1, within)

    def _constant(self, node: NodeProto, attribute: AttributeProto, prefix: str, label: str) -> None:
        """The value of a Constant, which the graph calls as the node's output."""
        found: list[tuple[type, object]] = []
        if attribute.name in CONSTANTS:
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
