"""Values inside subgraphs of an ONNX model as values of its main graph, which onnxruntime can give out."""

from __future__ import annotations

from onnx import AttributeProto, NodeProto, TensorProto, helper

from dcz.onnx.initializers import Scope

_PREFIX = "dcz.watched."


class Watching:
    """Adds outputs to the nodes that hold subgraphs. What a Loop or a Scan computes in each round comes stacked, with
    an axis in front for each of them; of a branch of an If that is not taken come no elements at all."""

    def __init__(self) -> None:
        self._count = 0
        self._done: dict[tuple[str, str], str | None] = {}

    def outside(self, scope: Scope, name: str) -> str | None:
        """What the main graph calls a float32 value that a graph uses; None where it cannot be brought out. A value
        from outside of a subgraph is given out only when the subgraph runs."""
        if scope.around is None:
            return name
        key = scope.prefix, name
        if key not in self._done:
            found = self._out(scope, name)
            self._done[key] = None if found is None else self.outside(scope.around, found)
        return self._done[key]

    def called(self, node: NodeProto, output: int) -> str:
        """The name of a node's output, which gets one where it has none."""
        while len(node.output) <= output:
            node.output.append("")
        if not node.output[output]:
            node.output[output] = self._fresh()
        return node.output[output]

    def _fresh(self) -> str:
        self._count += 1
        return f"{_PREFIX}{self._count}"

    def _out(self, scope: Scope, name: str) -> str | None:
        """One level out: the name in the graph around."""
        node = scope.node
        assert node is not None
        if node.op_type not in ("If", "Loop", "Scan") or node.domain not in ("", "ai.onnx"):
            return None
        inner, own = self._fresh(), 1 if node.op_type == "Loop" else 0
        while len(node.output) < len(scope.graph.output) - own:
            node.output.append("")
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                taken = attribute.name == scope.attribute
                attribute.g.node.append(helper.make_node("Identity", [name], [inner]) if taken else _nothing(inner))
                attribute.g.output.append(helper.make_tensor_value_info(inner, TensorProto.FLOAT, None))
            elif attribute.name in ("scan_output_axes", "scan_output_directions"):
                attribute.ints.append(0)
        node.output.append(self._fresh())
        return node.output[-1]


def _nothing(name: str) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=helper.make_tensor("", TensorProto.FLOAT, [0], []))
