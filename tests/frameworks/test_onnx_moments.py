"""Moments of recurrent nodes, of subgraphs, and of weights that stand elsewhere, against ones computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from support.frameworks import framework, integration

onnx = framework("onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")
dcz_onnx = integration("onnx")
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
STEPS, BATCH, INPUTS, HIDDEN = 5, 2, 3, 4
FLOAT = TensorProto.FLOAT


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def value(name: str, *shape: int | str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def second(vectors: np.ndarray) -> np.ndarray:
    rows = vectors.reshape(-1, vectors.shape[-1]).astype(np.float64)
    return rows.T @ rows / len(rows)


def cell(weights: dict[str, np.ndarray], x: np.ndarray, state: np.ndarray, backwards: bool, at: int) -> np.ndarray:
    """The states before each step of a plain recurrent layer, computed step by step."""
    before = []
    for step in x[::-1] if backwards else x:
        before.append(state)
        state = np.tanh(step @ weights["w"][at].T + state @ weights["r"][at].T)
    return np.stack(before)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("start", [False, True])
def test_recurrent_layers(direction: str, start: bool) -> None:
    directions = 2 if direction == "bidirectional" else 1
    weights = {"w": array(directions, HIDDEN, INPUTS), "r": array(directions, HIDDEN, HIDDEN)}
    names = ["x", "w", "r", "", "", "h"] if start else ["x", "w", "r"]
    node = helper.make_node("RNN", names, ["", "last"], hidden_size=HIDDEN, direction=direction)
    inputs = [value("x", STEPS, BATCH, INPUTS), *([value("h", directions, BATCH, HIDDEN)] if start else [])]
    model = model_of([node], inputs, [value("last", directions, BATCH, HIDDEN)], weights)
    feed = {"x": array(STEPS, BATCH, INPUTS)}
    state = np.zeros((directions, BATCH, HIDDEN), np.float32)
    if start:
        feed["h"] = state = array(directions, BATCH, HIDDEN)
    found = dcz_onnx.calibrate(model, [feed])
    assert set(found) == {"w", "r"} and found["w"].count == STEPS * BATCH
    for at in range(directions):
        wanted = cell(weights, feed["x"], state[at], direction == "reverse" or at == 1, at)
        assert np.allclose(found["w"].blocks[0][at], second(feed["x"]), rtol=1e-5)
        assert np.allclose(found["r"].blocks[0][at], second(wanted), rtol=1e-4, atol=1e-6)
    small = dcz.compress(weights, {"step": 0.4, "weight_threshold": 0}, calibration=found)
    assert all(report.output_error for report in small.reports.values())
    assert found.importance(weights)["w"].shape == weights["w"].shape


@pytest.mark.parametrize(
    "op, gates, options, wanted",
    [
        ("LSTM", 4, {}, {"w", "r"}),
        ("GRU", 3, {"linear_before_reset": 1}, {"w", "r"}),
        ("GRU", 3, {}, {"w"}),
    ],
)
def test_gates(op: str, gates: int, options: dict[str, int], wanted: set[str]) -> None:
    weights = {"w": array(1, gates * HIDDEN, INPUTS), "r": array(1, gates * HIDDEN, HIDDEN)}
    node = helper.make_node(op, ["x", "w", "r"], ["y"], hidden_size=HIDDEN, **options)
    model = model_of([node], [value("x", STEPS, BATCH, INPUTS)], [value("y", STEPS, 1, BATCH, HIDDEN)], weights)
    found = dcz_onnx.calibrate(model, [{"x": array(STEPS, BATCH, INPUTS)}])
    assert set(found) == wanted


def test_plans_of_recurrent_layers() -> None:
    """Of a large one some outputs are looked at."""
    weights = {"w": array(1, 4 * 256, 256), "r": array(1, 4 * 256, 256)}
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=256)
    model = model_of([node], [value("x", 9, 1, 256)], [value("y", 9, 1, 1, 256)], weights)
    found = dcz_onnx.calibrate(model, [{"x": array(9, 1, 256)}])
    plan = dcz.plan(weights, target_ratio=8, calibration=found)
    small = dcz.compress(weights, plan.recipe, calibration=found)
    assert all(report.output_error for report in small.reports.values())


def reordered(name: str) -> list:
    """Gates as exporters put them into another order: halves of the rows change places."""
    cuts = [("0", "8", "late"), ("8", "16", "early")]
    slices = [helper.make_node("Slice", [name, a, b, "0"], [f"{name}.{part}"]) for a, b, part in cuts]
    joined = helper.make_node("Concat", [f"{name}.early", f"{name}.late"], [f"{name}.rows"], axis=0)
    return [*slices, joined, helper.make_node("Unsqueeze", [f"{name}.rows", "0"], [f"{name}.whole"])]


def test_gates_that_an_exporter_reorders_and_two_layers_share() -> None:
    weights = {"w": array(4 * HIDDEN, INPUTS), "r": array(4 * HIDDEN, HIDDEN)}
    numbers = {name: np.array([int(name)]) for name in ("0", "8", "16")}
    lstm = ["w.whole", "r.whole"]
    nodes = [
        *reordered("w"), *reordered("r"),
        helper.make_node("LSTM", ["x", *lstm], ["y"], hidden_size=HIDDEN),
        helper.make_node("LSTM", ["z", *lstm], ["v"], hidden_size=HIDDEN),
    ]  # fmt: skip
    inputs = [value(name, STEPS, BATCH, INPUTS) for name in "xz"]
    outputs = [value(name, STEPS, 1, BATCH, HIDDEN) for name in "yv"]
    feed = {"x": array(STEPS, BATCH, INPUTS), "z": array(STEPS, BATCH, INPUTS)}
    model = model_of(nodes, inputs, outputs, {**weights, **numbers})
    found = dcz_onnx.calibrate(model, [feed])
    assert set(found) == {"w", "r"} and found["r"].count == 2 * STEPS * BATCH
    assert np.allclose(found["w"].blocks[0][0], second(np.stack([feed["x"], feed["z"]])), rtol=1e-4)
    model.graph.node.append(helper.make_node("Identity", ["w"], ["u"]))
    model.graph.output.append(value("u", 4 * HIDDEN, INPUTS))
    assert set(dcz_onnx.calibrate(model, [feed])) == {"r"}, "something else uses w"


def branch(name: str, weight: np.ndarray) -> onnx.GraphProto:
    """Multiplies twice, the second time in a branch of its own."""
    inner = helper.make_graph(
        [helper.make_node("MatMul", ["a", "v"], ["deep"])], "inner", [], [value("deep", BATCH, INPUTS)],
        [numpy_helper.from_array(weight + 1, "v")],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["same"])], "other", [], [value("same", BATCH, INPUTS)]
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("If", ["which"], ["b"], name="deeper", then_branch=inner, else_branch=other),
    ]
    return helper.make_graph(nodes, name, [], [value("b", BATCH, INPUTS)], [numpy_helper.from_array(weight, "w")])


def test_only_the_branch_that_is_taken_is_measured() -> None:
    yes, no = array(INPUTS, INPUTS), array(INPUTS, INPUTS)
    node = helper.make_node(
        "If", ["which"], ["y"], name="if", then_branch=branch("yes", yes), else_branch=branch("no", no)
    )
    inputs = [value("which", kind=TensorProto.BOOL), value("x", BATCH, INPUTS)]
    model = model_of([node], inputs, [value("y", BATCH, INPUTS)], {})
    feeds = [{"which": np.array(True), "x": array(BATCH, INPUTS)} for _ in range(3)]
    with pytest.warns(UserWarning, match=r"no sample reached the layers of .*if.else_branch.w"):
        found = dcz_onnx.calibrate(model, feeds)
    assert set(found) == {"if.then_branch.w", "if.then_branch.deeper.then_branch.v"}
    x = np.concatenate([feed["x"] for feed in feeds])
    assert found["if.then_branch.w"].count == len(x)
    assert np.allclose(found["if.then_branch.w"].blocks[0][0], second(x), rtol=1e-5)
    assert np.allclose(found["if.then_branch.deeper.then_branch.v"].blocks[0][0], second(x @ yes), rtol=1e-4)


def test_rounds_of_a_loop() -> None:
    weight = array(INPUTS, INPUTS)
    body = helper.make_graph(
        [helper.make_node("MatMul", ["s", "w"], ["t"]), helper.make_node("Identity", ["go"], ["on"])],
        "body", [value("i", kind=TensorProto.INT64), value("go", kind=TensorProto.BOOL), value("s", BATCH, INPUTS)],
        [value("on", kind=TensorProto.BOOL), value("t", BATCH, INPUTS)], [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    node = helper.make_node("Loop", ["rounds", "", "x"], ["y"], name="loop", body=body)
    inputs = [value("rounds", kind=TensorProto.INT64), value("x", BATCH, INPUTS)]
    model = model_of([node], inputs, [value("y", BATCH, INPUTS)], {})
    x = array(BATCH, INPUTS)
    found = dcz_onnx.calibrate(model, [{"rounds": np.array(3), "x": x}])["loop.body.w"]
    assert found.count == 3 * BATCH
    assert np.allclose(found.blocks[0][0], second(np.stack([x, x @ weight, x @ weight @ weight])), rtol=1e-4)


def test_weights_that_stand_elsewhere() -> None:
    weights = {"left": array(4, 6), "gemm": array(5, 4), "up": array(2, 3, 2, 2)}
    nodes = [
        helper.make_node("MatMul", ["left", "x"], ["a"]),
        helper.make_node("Gemm", ["a", "gemm"], ["y"], transA=1, transB=1, alpha=2.0),
        helper.make_node("ConvTranspose", ["image", "up"], ["z"]),
    ]
    inputs = [value("x", 6, 7), value("image", 1, 2, 3, 3)]
    model = model_of(nodes, inputs, [value("y", 7, 5), value("z", 1, 3, 4, 4)], weights)
    feed = {"x": array(6, 7), "image": array(1, 2, 3, 3)}
    found = dcz_onnx.calibrate(model, [feed])
    hidden = (weights["left"] @ feed["x"]).T
    for name, vectors in (
        ("left", feed["x"].T),
        ("gemm", 2 * hidden),
        ("up", np.moveaxis(feed["image"], 1, -1)),
    ):
        assert np.allclose(found[name].blocks[0][0], second(vectors), rtol=1e-4), name
    assert dcz.compress(weights, {"step": 0.4, "weight_threshold": 0}, calibration=found).reports["up"].output_error
