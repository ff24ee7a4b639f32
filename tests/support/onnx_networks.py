"""Small networks as ONNX models, with weights of every usual kind, and what ONNX Runtime computes with them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

X = np.random.Generator(np.random.PCG64(5)).standard_normal((2, 3, 12, 12)).astype(np.float32)


def sparse(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Pruned and clustered weights."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = np.round(rng.standard_normal(shape) * 4).astype(np.float32) / 16
    return np.where(rng.random(shape) < 0.15, weights, np.float32(0))


def network() -> object:
    """A small convolutional network with every usual kind of initializer, one of them in a subgraph."""
    weights = {
        "conv.w": sparse((8, 3, 3, 3), 1),
        "conv.b": sparse((8,), 2),
        "shape": np.array([0, -1], np.int64),
        "fc.w": sparse((800, 50), 3).astype(np.float16),
        "condition": np.array(True),
        "zero": np.zeros((), np.float32),
    }
    branches = []
    for name, scale in (("then", 2.0), ("else", 3.0)):
        inner = numpy_helper.from_array(np.float32([scale] * 50), "scale")  # called the same in both
        node = helper.make_node("Mul", ["h", "scale"], [f"{name}_out"])
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [2, 50])
        branches.append(helper.make_graph([node], name, [], [out], [inner]))
    nodes = [
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["flat"]),
        helper.make_node("Cast", ["fc.w"], ["fc32"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["flat", "fc32"], ["m"]),
        helper.make_node("Add", ["m", "zero"], ["h"]),
        helper.make_node("If", ["condition"], ["y"], name="branch", then_branch=branches[0], else_branch=branches[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 50])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: object) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


def constants() -> object:
    """A network whose weights are all values of nodes, in a subgraph and a function as well."""
    inner = [
        helper.make_node("Constant", [], ["k"], value_floats=[float(i) for i in range(50)]),
        helper.make_node("Mul", ["h", "k"], ["then_out"]),
    ]
    other = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(sparse((50,), 9), "")),
        helper.make_node("Mul", ["h", "k"], ["else_out"]),
    ]
    branches = [
        helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, [2, 50])])
        for name, nodes in (("then", inner), ("else", other))
    ]
    places = np.flatnonzero(sparse((432, 50), 3))
    weight = helper.make_sparse_tensor(
        numpy_helper.from_array(sparse((432, 50), 3).reshape(-1)[places], ""),
        numpy_helper.from_array(places, ""),
        [432, 50],
    )
    function = helper.make_function(
        "my", "Scale", ["x"], ["y"],
        [
            helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([3]), "")),
            helper.make_node("Mul", ["x", "k"], ["y"]),
        ],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[2, 432]),
        helper.make_node("Constant", [], ["scale"], value_float=0.5),
        helper.make_node("Constant", [], ["axis"], value_int=1),
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(sparse((432, 50), 3), "")),
        helper.make_node("Constant", [], ["also w"], sparse_value=weight),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["m"]),
        helper.make_node("Mul", ["m", "scale"], ["s"]),
        helper.make_node("CumSum", ["s", "axis"], ["t"]),
        helper.make_node("Scale", ["t"], ["h"], domain="my"),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True), "")),
        helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    graph = helper.make_graph(
        nodes, "constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 50])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=[function])
