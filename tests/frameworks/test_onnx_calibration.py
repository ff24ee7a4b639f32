"""Calibration of ONNX models: what their nodes multiply by weights, measured by onnxruntime."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.frameworks import framework, integration

onnx = framework("onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")
dcz_onnx = integration("onnx")
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
WEIGHTS = {
    "conv.w": RNG.standard_normal((8, 3, 3, 3)).astype(np.float32),
    "conv.b": RNG.standard_normal(8).astype(np.float32),
    "group.w": RNG.standard_normal((8, 2, 3, 2)).astype(np.float32),
    "gemm.w": RNG.standard_normal((16, 8)).astype(np.float32),
    "gemm.b": RNG.standard_normal(16).astype(np.float32),
    "mat.w": RNG.standard_normal((16, 5)).astype(np.float32),
}


def network(opset: int = 17) -> onnx.ModelProto:
    """Convolutions, a Gemm with a bias, and a MatMul whose weight is a constant."""
    nodes = [
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["a"], pads=[1, 0, 1, 2], strides=[2, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "group.w"], ["c"], auto_pad="SAME_LOWER", strides=[1, 2], group=4),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "gemm.w", "gemm.b"], ["f"], transB=1),
        helper.make_node("Constant", [], ["mat.w"], value=numpy_helper.from_array(WEIGHTS["mat.w"])),
        helper.make_node("MatMul", ["f", "mat.w"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 9, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    initializers = [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items() if name != "mat.w"]
    graph = helper.make_graph(nodes, "network", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def samples(count: int = 3) -> list[dict[str, np.ndarray]]:
    return [{"x": RNG.standard_normal((2, 3, 9, 8)).astype(np.float32)} for _ in range(count)]


def test_moments_predict_what_a_change_of_weights_does() -> None:
    """For each node, by running the model with other weights and watching that node's output."""
    from dcz.onnx.runs import Session

    model, feeds = network(), samples(1)
    found = dcz_onnx.calibrate(model, feeds)
    assert set(found) == {"conv.w", "group.w", "gemm.w", "mat.w"}
    assert (found["conv.w"].bias, found["gemm.w"].bias, found["group.w"].groups) == ("conv.b", "gemm.b", 4)
    session = Session(model)
    session.watch(["a", "c", "f"])
    before = session.run(feeds[0], "sample")
    for name, output in (("conv.w", "a"), ("group.w", "c"), ("gemm.w", "f"), ("mat.w", "y")):
        change = RNG.standard_normal(WEIGHTS[name].shape).astype(np.float32)
        session.write({name: WEIGHTS[name] + change})
        difference = session.run(feeds[0], "sample")[output] - before[output]
        session.write({name: WEIGHTS[name]})
        vectors = difference.size / difference.shape[1]
        moments = found[name]
        assert np.isclose(moments.squared(moments.matrix(change)), np.square(difference).sum() / vectors, rtol=1e-3)


def test_the_model_stays_as_it_is_and_paths_do(tmp_path: Path) -> None:
    model, feeds = network(), samples()
    before = model.SerializeToString(deterministic=True)
    found = dcz_onnx.calibrate(model, feeds)
    assert model.SerializeToString(deterministic=True) == before
    onnx.save_model(
        network(), tmp_path / "model.onnx", save_as_external_data=True, size_threshold=0, location="data.bin"
    )
    dcz_onnx.save_model(model, tmp_path / "thin.onnx")
    for path in ("model.onnx", "thin.onnx"):
        again = dcz_onnx.calibrate(tmp_path / path, iter(feeds))
        assert all(np.array_equal(a.blocks[0], found[name].blocks[0]) for name, a in again.items())
    small = dcz.compress(WEIGHTS, {"step": 0.3, "weight_threshold": 0}, calibration=found)
    assert small.reports["group.w"].output_error is not None
    assert not np.array_equal(small["gemm.b"], WEIGHTS["gemm.b"])


@pytest.mark.parametrize(
    "feeds, message",
    [
        ([], "samples: there are none"),
        ([{"z": np.zeros(1)}], "sample 0: the model has no input 'z'; its inputs are x"),
        ([*samples(1), {}], "sample 1: input 'x' is missing; the model has x"),
        ([{"x": np.zeros((1, 3, 9, 8))}], "sample 0: input 'x' is float64, the model expects float32"),
        (
            [{"x": np.zeros((1, 3, 8, 8), np.float32)}],
            "sample 0: input 'x' has shape (1, 3, 8, 8), the model expects (any, 3, 9, 8)",
        ),
        ([{"x": np.full((1, 3, 9, 8), np.nan, np.float32)}], "sample 0: input 'x' has NaN or infinity"),
    ],
)
def test_bad_samples(feeds: list, message: str) -> None:
    with pytest.raises(DczError, match=re.escape(message)):
        dcz_onnx.calibrate(network(), feeds)


def test_a_model_that_the_runtime_refuses() -> None:
    with pytest.raises(DczError, match="model: onnxruntime cannot open it"):
        dcz_onnx.calibrate(network(opset=999), samples(1))
