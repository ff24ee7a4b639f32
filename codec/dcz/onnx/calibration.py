"""Second moments of the inputs of an ONNX model's layers, measured by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from dcz.errors import DczError
from dcz.lossy.moments import Accumulator, Calibration, collected
from dcz.lossy.patches import patches, some
from dcz.onnx.initializers import Weights
from dcz.onnx.runs import Session
from dcz.onnx.weights import Weight

Feed = Mapping[str, np.ndarray]


def calibrate(model: ModelProto | str | os.PathLike[str], samples: Iterable[Feed]) -> Calibration:
    """Runs samples through a model by onnxruntime and gives the second moments of what its MatMul, Gemm and Conv nodes
    multiply by weights, for `dcz.compress` and `dcz.plan`. 128 samples are usually enough. Memory does not grow with
    their number. Subgraphs are not looked into.

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
    layers = layers_of(session.model)
    watched = sorted({layer.input for layer in layers})
    session.watch(watched)
    count = 0
    for number, feed in enumerate(samples):
        values = session.run(feed, f"sample {number}")
        for layer in layers:
            found = values.get(layer.input)
            if found is not None:
                layer.add(found)
        count += 1
    if not count:
        raise DczError("samples: there are none")
    return collected({layer.weight: layer.accumulator for layer in layers})


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node that multiplies an input by a weight."""

    weight: str
    input: str
    accumulator: Accumulator
    vectors: Callable[[NDArray[Any]], NDArray[Any]]

    def add(self, inputs: NDArray[Any]) -> None:
        """Adds the inputs of one run."""
        self.accumulator.add(self.vectors(inputs))


def layers_of(model: ModelProto) -> list[_Layer]:
    """The nodes of the main graph that multiply by a weight; of one that several use, the first."""
    weights = Weights(model)
    uses = [name for node in model.graph.node for name in node.input]
    out: dict[str, _Layer] = {}
    for node in model.graph.node:
        at = 1 if len(node.input) > 1 else 0
        weight = weights.get(node.input[at]) if node.input else None
        if weight is None or weight.name in out or uses.count(weight.name) > 1 or weight.dtype.code != "F32":
            continue
        found = _layer(node, weight, weights)
        if found is not None:
            out[weight.name] = found
    return list(out.values())


def _layer(node: NodeProto, weight: Weight, weights: Weights) -> _Layer | None:
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Conv" and len(weight.shape) > 2:
        return _conv(node, weight, weights, attributes)
    if node.op_type == "MatMul" and len(weight.shape) == 2:
        inputs_first = True
    elif node.op_type == "Gemm" and not attributes.get("transA") and attributes.get("alpha", 1.0) == 1.0:
        inputs_first = not attributes.get("transB")
    else:
        return None
    inputs = weight.shape[0 if inputs_first else 1]
    bias = _bias(node, weights, weight.shape[1 if inputs_first else 0])
    bias = bias if attributes.get("beta", 1.0) == 1.0 else None
    each = Accumulator(weight.name, 1, inputs, inputs_first=inputs_first, bias=bias)
    return _Layer(weight.name, node.input[0], each, lambda x: some(x)[:, None])


def _bias(node: NodeProto, weights: Weights, outputs: int) -> str | None:
    bias = weights.get(node.input[2]) if len(node.input) > 2 else None
    return bias.name if bias is not None and bias.shape == (outputs,) and bias.dtype.code == "F32" else None


def _conv(node: NodeProto, weight: Weight, weights: Weights, attributes: Mapping[str, Any]) -> _Layer | None:
    kernel, groups = weight.shape[2:], int(attributes.get("group", 1))
    spread = len(kernel)
    stride, dilation = attributes.get("strides", [1] * spread), attributes.get("dilations", [1] * spread)
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    pads = attributes.get("pads", [0] * 2 * spread)
    inputs = int(np.prod(weight.shape[1:]))
    each = Accumulator(weight.name, groups, inputs, bias=_bias(node, weights, weight.shape[0]))

    def vectors(x: NDArray[Any]) -> NDArray[Any]:
        padding = list(zip(pads[:spread], pads[spread:]))
        if automatic.startswith("SAME"):
            padding = [_same(*sizes, automatic) for sizes in zip(x.shape[2:], kernel, stride, dilation)]
        return patches(x, kernel, stride=stride, dilation=dilation, padding=padding, groups=groups)

    return _Layer(weight.name, node.input[0], each, vectors)


def _same(size: int, kernel: int, stride: int, dilation: int, automatic: str) -> tuple[int, int]:
    """Padding for as many outputs as inputs, divided by the stride."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small = total // 2
    return (small, total - small) if automatic == "SAME_UPPER" else (total - small, small)
