"""Who uses the weights of an ONNX model, directly or after reordering their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import onnx
from onnx import NodeProto

from dcz.onnx.initializers import Scope, Weights
from dcz.onnx.weights import Weight

# A graph, the number of a node in it, and of an input of that node.
Use = tuple[str, int, int]
_MAX_DEPTH = 8


class Uses:
    """All uses of weights, by their names."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._all: dict[str, set[Use]] = defaultdict(set)
        self._makers: dict[tuple[str, str], tuple[Scope, int, NodeProto]] = {}
        for scope in weights.scopes:
            for number, node in enumerate(scope.graph.node):
                self._makers.update(((scope.prefix, name), (scope, number, node)) for name in node.output if name)
                for at, name in enumerate(node.input):
                    weight = weights.seen_from(scope, name) if name else None
                    if weight is not None:
                        self._all[weight.name].add((scope.prefix, number, at))

    def of(self, weight: str) -> set[Use]:
        """Those of one weight."""
        return self._all[weight]

    def source(self, scope: Scope, number: int, at: int, depth: int = 0) -> tuple[Weight, set[Use]] | None:
        """The one weight that an input of a node is, or is made of by slices along its first dimension that are put
        together again, as exporters order the gates of recurrent layers; and its uses on the way."""
        node = scope.graph.node[number]
        name = node.input[at] if at < len(node.input) else ""
        owner = scope.defining(name) if name else None
        weight = self._weights.seen_from(scope, name) if name else None
        if weight is not None:
            return weight, {(scope.prefix, number, at)}
        maker = None if owner is None else self._makers.get((owner.prefix, name))
        if maker is None or depth > _MAX_DEPTH:
            return None
        found: Weight | None = None
        used: set[Use] = set()
        for part in self._parts(*maker):
            source = self.source(maker[0], maker[1], part, depth + 1)
            if source is None or (found is not None and source[0] is not found):
                return None
            found = source[0]
            used |= source[1]
        return None if found is None else (found, used)

    def _parts(self, scope: Scope, number: int, node: NodeProto) -> Iterator[int]:
        """The inputs of a node that only reorders rows."""
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if node.op_type == "Concat" and onnx.helper.get_attribute_value(attributes["axis"]) == 0:
            yield from range(len(node.input))
        elif node.op_type in ("Unsqueeze", "Identity"):
            yield 0
        elif node.op_type == "Slice":
            axes = self._weights.seen_from(scope, node.input[3]) if len(node.input) > 3 else None
            if axes is not None and axes.read(None).ravel().tolist() == [0]:
                yield 0
