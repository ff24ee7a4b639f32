"""ONNX Runtime over a model in two files: the outputs of the whole model, its memory, and halves that do not belong
together; and the pair on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, LimitError
from support.frameworks import framework, integration, run_program

onnx = framework("onnx")
dcz_onnx = integration("onnx")
from onnx import TensorProto, helper, numpy_helper

from support.onnx_networks import X, constants, network, run, sparse

runtime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed; tests/requirements-frameworks.txt has it"
)
CPU = ["CPUExecutionProvider"]


def without_sparse(model: object) -> object:
    """The runtime lacks sparse constants."""
    for node in list(model.graph.node):
        if node.output[0] == "also w":
            model.graph.node.remove(node)
    return model


@pytest.mark.parametrize("make", [network, lambda: without_sparse(constants())], ids=["initializers", "constants"])
def test_a_session_computes_what_the_whole_model_does(tmp_path: Path, make: object) -> None:
    model = make()
    file = tmp_path / "model.onnx"
    dcz_onnx.save_model(model, file)
    expected = run(model)
    for start in (file, tmp_path / "model.dcz"):
        found = dcz_onnx.session(start, providers=CPU).run(None, {"x": X})[0]
        assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    assert sorted(os.listdir(tmp_path)) == ["model.dcz", "model.onnx"]  # nothing was unpacked to disk


def large(dtype: int = TensorProto.FLOAT, ir_version: int = 9, **extra: object) -> object:
    """x @ w, with more tensors by `extra`: an unused one, an input that a caller may set, an output."""
    import ml_dtypes

    kinds = {
        TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.BFLOAT16: ml_dtypes.bfloat16,
        TensorProto.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn, TensorProto.FLOAT8E5M2: ml_dtypes.float8_e5m2,
        TensorProto.INT4: ml_dtypes.int4, TensorProto.UINT8: np.uint8, TensorProto.INT64: np.int64,
        TensorProto.BOOL: np.bool_,
    }  # fmt: skip
    w = (sparse((64, 64), 4) * 16).astype(kinds[dtype])
    nodes = [
        helper.make_node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w32"], ["y"]),
    ]
    weights = [numpy_helper.from_array(w, "w")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])]
    if extra.get("unused"):
        weights.append(numpy_helper.from_array(w, "unused"))
        nodes.append(helper.make_node("Constant", [], ["nor this"], value=numpy_helper.from_array(w, "")))
    if extra.get("given"):
        inputs.append(helper.make_tensor_value_info("w", dtype, [64, 64]))
    if extra.get("output"):
        nodes.append(helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(w, "")))
        outputs += [helper.make_tensor_value_info(name, dtype, [64, 64]) for name in ("w", "c")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=ir_version)


@pytest.mark.parametrize(
    "kind", ["FLOAT", "FLOAT16", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT4", "UINT8", "BOOL"]
)
def test_every_type_of_weight(tmp_path: Path, kind: str) -> None:
    model = large(TensorProto.DataType.Value(kind), ir_version=10)
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    x = {"x": np.arange(64, dtype=np.float32).reshape(1, 64)}
    expected = runtime.InferenceSession(model.SerializeToString(), providers=CPU).run(None, x)[0]
    assert expected.any()
    assert dcz_onnx.session(tmp_path / "model.onnx", providers=CPU).run(None, x)[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize(("extra", "ir_version"), [("unused", 9), ("given", 9), ("given", 3), ("output", 9)])
def test_weights_that_are_unused_or_inputs_or_outputs(tmp_path: Path, extra: str, ir_version: int) -> None:
    model = large(ir_version=ir_version, **{extra: True})
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # it warns of unused ones
    whole = runtime.InferenceSession(model.SerializeToString(), options, providers=CPU)
    packed = dcz_onnx.session(tmp_path / "model.onnx", providers=CPU)
    feeds = [{"x": np.ones((1, 64), np.float32)}]
    if extra == "given" and ir_version > 3:
        feeds.append({**feeds[0], "w": np.full((64, 64), 2, np.float32)})
    for feed in feeds:
        for a, b in zip(whole.run(None, feed), packed.run(None, feed), strict=True):
            assert a.tobytes() == b.tobytes()


def test_weights_that_the_model_has_elsewhere(tmp_path: Path) -> None:
    """Some in the dcz file, some in a file of the model's own: the runtime would look in the current folder."""
    model = large(unused=True)
    model.graph.node[0].input[0] = "unused"
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    thin = onnx.load_model(tmp_path / "model.onnx")
    tensors = dcz.load_file(tmp_path / "model.dcz")
    (tmp_path / "own.bin").write_bytes(tensors.pop("unused").tobytes())
    dcz.save_file(tensors, tmp_path / "model.dcz")
    tensor = next(each for each in thin.graph.initializer if each.name == "unused")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="own.bin")
    (tmp_path / "model.onnx").write_bytes(thin.SerializeToString())
    x = {"x": np.ones((1, 64), np.float32)}
    expected = runtime.InferenceSession(large().SerializeToString(), providers=CPU).run(None, x)[0]
    assert dcz_onnx.session(tmp_path / "model.onnx", providers=CPU).run(None, x)[0].tobytes() == expected.tobytes()
    tensor.external_data[0].value = "../own.bin"
    (tmp_path / "model.onnx").write_bytes(thin.SerializeToString())
    with pytest.raises(DczError, match="is outside the model's folder; put the file into it"):
        dcz_onnx.session(tmp_path / "model.onnx")


def test_the_weights_live_as_long_as_the_session(tmp_path: Path) -> None:
    """The runtime computes with the arrays' memory, of which it holds no reference: nothing may reuse it."""
    dcz_onnx.save_model(large(), tmp_path / "model.onnx")
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = dcz_onnx.session(tmp_path / "model.onnx", options=options, providers=CPU)
    del options
    x = {"x": np.ones((1, 64), np.float32)}
    before = session.run(None, x)[0]
    taken = [np.full(64 * 64, 7, np.float32) for _ in range(200)]
    assert session.run(None, x)[0].tobytes() == before.tobytes()
    session.set_providers(CPU)  # makes the runtime's own session anew
    assert session.run(None, x)[0].tobytes() == before.tobytes()
    assert len(taken) == 200


MEMORY = """
import resource, sys
import numpy as np, onnxruntime
import dcz.onnx
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.disable_prepacking", "1")
{before}
def now(key):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(key))
open("/proc/self/clear_refs", "w").write("5")
start = now("VmRSS")
session = {session}
print(now("VmHWM") - start, now("VmRSS") - start)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="memory is read from Linux's /proc")
def test_memory_is_that_of_a_session_over_the_whole_model(tmp_path: Path) -> None:
    """At the peak no more than the runtime takes for the whole model, and the weights once afterwards."""
    n = 4096
    w = np.random.Generator(np.random.PCG64(1)).integers(-8, 8, (n, n)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, n])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, n])],
        [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    onnx.save_model(model, tmp_path / "whole.onnx")
    plain = f"onnxruntime.InferenceSession({str(tmp_path / 'whole.onnx')!r}, options, ['CPUExecutionProvider'])"
    packed = f"dcz.onnx.session({str(tmp_path / 'model.onnx')!r}, options=options, providers=['CPUExecutionProvider'])"
    before = "import dcz.container.loading, dcz.io.sources, dcz.kernels"
    peak, after = map(int, run_program(MEMORY.format(session=packed, before=before)).split())
    whole_peak, _ = map(int, run_program(MEMORY.format(session=plain, before="")).split())
    slack = w.nbytes // 4  # of 64 MiB: the libraries' own
    assert peak <= whole_peak + slack and after <= w.nbytes + slack


def test_halves_that_are_missing_or_not_of_one_model(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    dcz_onnx.save_model(network(), file)
    dcz_onnx.save_model(large(), tmp_path / "other.onnx")
    with pytest.raises(DczError, match="other.dcz: these are not the weights of .*model.onnx: they differ in "):
        dcz_onnx.session(file, tmp_path / "other.dcz")
    os.rename(tmp_path / "other.onnx", tmp_path / "moved.onnx")
    with pytest.raises(FileNotFoundError, match="the graph of other.dcz.*other.onnx"):
        dcz_onnx.session(tmp_path / "other.dcz")
    os.remove(tmp_path / "other.dcz")
    with pytest.raises(FileNotFoundError, match="the weights of moved.onnx, without which it is no model.*other.dcz"):
        dcz_onnx.session(tmp_path / "moved.onnx")
    (tmp_path / "whole.onnx").write_bytes(network().SerializeToString())
    with pytest.raises(DczError, match="does not say which file has its weights"):
        dcz_onnx.session(tmp_path / "whole.onnx")


def test_a_graph_beyond_two_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has to be in the graph has a message of protobuf's size."""
    dcz_onnx.save_model(large(TensorProto.INT4, ir_version=10), tmp_path / "model.onnx")
    monkeypatch.setattr("dcz.onnx.models._LARGEST_MODEL", 2000)
    with pytest.raises(LimitError, match=r"model.onnx: the graph takes 2\d\d\d bytes .*; the limit is 2000: "):
        dcz_onnx.session(tmp_path / "model.onnx")
