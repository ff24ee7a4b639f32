"""Second moments of the inputs of an ONNX model's layers, measured by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from dcz.errors import DczError
from dcz.lossy.moments import Accumulator, Calibration, collected
from dcz.lossy.patches import patches, some
from dcz.onnx import recurrent
from dcz.onnx.initializers import Scope, Weights
from dcz.onnx.runs import Session
from dcz.onnx.uses import Use, Uses
from dcz.onnx.watching import Watching
from dcz.onnx.weights import Weight

Feed = Mapping[str, np.ndarray]


def calibrate(model: ModelProto | str | os.PathLike[str], samples: Iterable[Feed]) -> Calibration:
    """Runs samples through a model by onnxruntime and gives the second moments of what its MatMul, Gemm, Conv,
    ConvTranspose, LSTM, GRU and RNN nodes multiply by weights, for `dcz.compress` and `dcz.plan`; those of If, Loop and
    Scan bodies too. 128 samples are usually enough. Memory does not grow with their number. Recurrent nodes with
    `sequence_lens`, and the state of a GRU without `linear_before_reset`, are left out.

    Args:
        model: a model, or the path of one; it stays as it is.
        samples: for each run the inputs by name, as for `onnxruntime.InferenceSession.run`.

    Raises:
        DczError: no samples; names, dtypes or shapes that do not fit the model; NaN or infinity in a layer's inputs.

    Warns:
        UserWarning: layers that no sample reached. Calibration has no moments of them.

    >>> import numpy, onnx, dcz.onnx
    >>> value = lambda name, *shape: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
    >>> weight = onnx.numpy_helper.from_array(numpy.ones((2, 3), "float32"), "w")
    >>> node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    >>> graph = onnx.helper.make_graph([node], "example", [value("x", 1, 2)], [value("y", 1, 3)], [weight])
    >>> model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    >>> dcz.onnx.calibrate(model, [{"x": numpy.float32([[3, 4]])}])["w"].blocks[0][0]
    array([[ 9., 12.],
           [12., 16.]], dtype=float32)
    """
    session = Session(model)
    layers = layers_of(session.weights)
    session.watch(sorted({name for layer in layers for name in layer.inputs}))
    count = 0
    for number, feed in enumerate(samples):
        values = session.run(feed, f"sample {number}")
        for layer in layers:
            layer.add([values.get(name) for name in layer.inputs])
        count += 1
    if not count:
        raise DczError("samples: there are none")
    return collected({layer.accumulator.name: layer.accumulator for layer in layers})


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node that multiplies by a weight: the values that say by what, and how these become vectors."""

    inputs: tuple[str, ...]
    accumulator: Accumulator
    vectors: Callable[..., NDArray[Any]]

    def add(self, values: Sequence[NDArray[Any] | None]) -> None:
        """Adds the inputs of one run; there are none in a branch that was not taken."""
        if all(value is not None and value.size for value in values):
            self.accumulator.add(self.vectors(*values))


def layers_of(weights: Weights) -> list[_Layer]:
    """The nodes that multiply by weights. The model is changed: values of its subgraphs become ones of its main graph,
    for a session to watch."""
    return _Layers(weights).found


class _Layers:
    """The nodes that multiply by float32 weights which nothing uses in another way, of all graphs."""

    def __init__(self, weights: Weights) -> None:
        self._weights, self._watching, self._uses = weights, Watching(), Uses(weights)
        self._known: dict[str, list[_Known]] = {}
        for scope in weights.scopes:
            for number, node in enumerate(list(scope.graph.node)):
                self._node(_Node(scope, number, node))
        self.found = [layer for name, known in self._known.items() for layer in self._layers(name, known)]

    def _layers(self, weight: str, known: list[_Known]) -> list[_Layer]:
        """Of one weight, if all its uses are known and alike."""
        first = known[0]
        used = set().union(*(each.used for each in known))
        if used != self._uses.of(weight) or any(each.form != first.form for each in known):
            return []
        inputs = [[self._watching.outside(each.node.scope, name) for name in each.inputs] for each in known]
        if any(name is None for names in inputs for name in names):
            return []
        bias = first.bias if all(each.bias == first.bias for each in known) else None
        groups, size, inputs_first = first.form
        shared = Accumulator(weight, groups, size, inputs_first=inputs_first, bias=bias)
        return [
            _Layer(tuple(name for name in names if name is not None), shared, each.vectors)
            for names, each in zip(inputs, known)
        ]

    def _weight(self, node: _Node, at: int) -> Weight | None:
        name = node.input(at)
        weight = self._weights.seen_from(node.scope, name) if name else None
        return weight if weight is not None and weight.dtype.code == "F32" else None

    def _node(self, node: _Node) -> None:
        op = node.proto.op_type
        if node.proto.domain not in ("", "ai.onnx"):
            return
        first, second = self._weight(node, 0), self._weight(node, 1)
        if op == "MatMul" and first is not None and second is None and len(first.shape) == 2:
            self._add(node, first, [node.input(1)], lambda x: _rows(_across(x)))
        elif op in recurrent.OPS:
            self._recurrent(node)
        elif second is None:
            return
        elif op == "MatMul" and len(second.shape) == 2:
            self._add(node, second, [node.input(0)], _rows, inputs_first=True)
        elif op == "Gemm":
            self._gemm(node, second)
        elif op == "Conv" and len(second.shape) > 2:
            self._conv(node, second)
        elif op == "ConvTranspose" and len(second.shape) > 2 and node.get("group", 1) == 1:
            channels = 1 - len(second.shape)
            self._add(node, second, [node.input(0)], lambda x: _rows(np.moveaxis(x, channels, -1)), inputs_first=True)

    def _add(
        self, node: _Node, weight: Weight, inputs: Sequence[str], vectors: Callable[..., NDArray[Any]],
        size: int | None = None, groups: int = 1, inputs_first: bool = False, bias: str | None = None,
        used: set[Use] | None = None,
    ) -> None:  # fmt: skip
        size = weight.shape[0 if inputs_first else -1] if size is None else size
        if used is None:
            used = {(node.scope.prefix, node.number, at) for at in (0, 1) if self._weight(node, at) is weight}
        known = _Known(node, tuple(inputs), vectors, (groups, size, inputs_first), bias, used)
        self._known.setdefault(weight.name, []).append(known)

    def _bias(self, node: _Node, outputs: int) -> str | None:
        bias = self._weight(node, 2)
        return bias.name if bias is not None and bias.shape == (outputs,) else None

    def _gemm(self, node: _Node, weight: Weight) -> None:
        alpha, first = node.get("alpha", 1.0), not node.get("transB", 0)
        bias = self._bias(node, weight.shape[1 if first else 0]) if node.get("beta", 1.0) == 1.0 else None
        turned = node.get("transA", 0)
        vectors = lambda x: _rows(np.float32(alpha) * (_across(x) if turned else x))
        self._add(node, weight, [node.input(0)], vectors, inputs_first=first, bias=bias)

    def _conv(self, node: _Node, weight: Weight) -> None:
        kernel, groups = weight.shape[2:], int(node.get("group", 1))
        spread = len(kernel)
        stride, dilation = node.get("strides", [1] * spread), node.get("dilations", [1] * spread)
        automatic = node.get("auto_pad", b"NOTSET").decode()
        pads = node.get("pads", [0] * 2 * spread)

        def vectors(x: NDArray[Any]) -> NDArray[Any]:
            x = x.reshape(-1, *x.shape[-1 - spread :])
            padding = list(zip(pads[:spread], pads[spread:]))
            if automatic.startswith("SAME"):
                padding = [_same(*sizes, automatic) for sizes in zip(x.shape[2:], kernel, stride, dilation)]
            return patches(x, kernel, stride=stride, dilation=dilation, padding=padding, groups=groups)

        size = int(np.prod(weight.shape[1:]))
        self._add(node, weight, [node.input(0)], vectors, size, groups, bias=self._bias(node, weight.shape[0]))

    def _recurrent(self, node: _Node) -> None:
        direction = node.get("direction", b"forward").decode()
        directions = 2 if direction == "bidirectional" else 1
        if node.input(4) or node.get("layout", 0):
            return
        weight, states = (self._uses.source(node.scope, node.number, at) for at in (1, 2))
        if weight is not None and _is_recurrent(weight[0], directions):
            vectors = recurrent.inputs(directions)
            self._add(node, weight[0], [node.input(0)], vectors, groups=directions, used=weight[1])
        # A GRU that resets before it multiplies has products of the state that none of its outputs tells.
        if states is None or (node.proto.op_type == "GRU" and not node.get("linear_before_reset", 0)):
            return
        if _is_recurrent(states[0], directions):
            values = [self._watching.called(node.proto, 0), *filter(None, [node.input(5)])]
            self._add(node, states[0], values, recurrent.states(direction), groups=directions, used=states[1])


def _is_recurrent(weight: Weight, directions: int) -> bool:
    """Whether a weight has the shape (directions, outputs, inputs), or without the first of these if it is one."""
    dimensions = len(weight.shape)
    fits = weight.shape[0] == directions if dimensions == 3 else dimensions == 2 and directions == 1
    return fits and weight.dtype.code == "F32"


@dataclass(frozen=True, slots=True)
class _Node:
    """A node and the graph that it is in."""

    scope: Scope
    number: int
    proto: NodeProto

    def input(self, at: int) -> str:
        """The name of an input, empty where it is left out."""
        return self.proto.input[at] if at < len(self.proto.input) else ""

    def get(self, name: str, otherwise: Any) -> Any:
        """An attribute, or what it is by default."""
        found = next((attribute for attribute in self.proto.attribute if attribute.name == name), None)
        return otherwise if found is None else onnx.helper.get_attribute_value(found)


@dataclass(frozen=True, slots=True)
class _Known:
    """A node that multiplies by a weight in a known way; `form` are groups, inputs, and whether these come first."""

    node: _Node
    inputs: tuple[str, ...]
    vectors: Callable[..., NDArray[Any]]
    form: tuple[int, int, bool]
    bias: str | None
    used: set[Use]


def _rows(x: NDArray[Any]) -> NDArray[Any]:
    return some(x)[:, None]


def _across(x: NDArray[Any]) -> NDArray[Any]:
    return np.swapaxes(x, -1, -2) if x.ndim > 1 else x


def _same(size: int, kernel: int, stride: int, dilation: int, automatic: str) -> tuple[int, int]:
    """Padding for as many outputs as inputs, divided by the stride."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small = total // 2
    return (small, total - small) if automatic == "SAME_UPPER" else (total - small, small)
