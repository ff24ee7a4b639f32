"""`dcz plan --calibration` and `dcz pack --recipe --calibration`: outputs count, and biases are corrected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from dcz.lossy.moments import Accumulator, Calibration
from support.refusals import check_refused

RNG = np.random.Generator(np.random.PCG64(6))
MIXING = RNG.standard_normal((16, 96)) * np.exp(RNG.standard_normal(96))
INPUTS = (RNG.standard_normal((400, 16)) @ MIXING + RNG.random(96)).astype("f4")
TENSORS = {
    "body.bias": RNG.standard_normal(64).astype("f4"),
    "body.weight": RNG.laplace(size=(64, 96)).astype("f4"),
    "table": RNG.laplace(size=(50, 60)).astype("f4"),
}
TARGET = ("--target-ratio", 8)


def moments(name: str = "body") -> Calibration:
    accumulator = Accumulator(f"{name}.weight", 1, 96, bias=f"{name}.bias")
    accumulator.add(INPUTS[:, None])
    return Calibration({f"{name}.weight": accumulator.moments()})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file(TENSORS, "model.safetensors")
    dcz.save_calibration(moments(), "moments.dcz")
    dcz.save_calibration(moments("other"), "other.dcz")
    Path("wants.toml").write_text("calibration = true\nstep = 0.3\n")
    Path("r.toml").write_text("step = 0.3\n")
    return tmp_path


def test_plan_and_pack(folder: Path, dcz_: Callable) -> None:
    run = dcz_("plan", "model.safetensors", *TARGET, "--calibration", "moments.dcz", "-o", "recipe.toml")
    assert (run.code, run.err) == (0, "")
    assert re.search(r"largest relative error 0\.\d{4}, of a layer's outputs 0\.\d{4}", run.out)
    assert "note: 33% of the weights are rounded without data, as their inputs are unknown: table" in run.out
    command = "dcz pack model.safetensors model.dcz --recipe recipe.toml --calibration moments.dcz"
    assert command in run.out and Path("recipe.toml").read_text().startswith("calibration = true\n")
    run = dcz_(*command.split()[1:])
    assert (run.code, run.err) == (0, "")
    assert "1 tensor rounded with error feedback; largest relative error of outputs 0." in run.out
    measured = dcz.load_calibration("moments.dcz")
    wanted = dcz.compress(load_file("model.safetensors"), "recipe.toml", calibration=measured)
    found = dcz.load_file("model.dcz")
    assert all(found[name].tobytes() == wanted[name].tobytes() for name in TENSORS)
    # The bias comes before its layer in the file, and is corrected all the same.
    assert not np.array_equal(found["body.bias"], TENSORS["body.bias"])
    document = json.loads(dcz_("plan", "model.safetensors", *TARGET, "--calibration", "moments.dcz", "--json").out)
    assert document["recipe"]["calibration"] is True and 0 < document["max_output_error"] < document["max_rel_error"]
    assert "calibration" not in json.loads(dcz_("plan", "model.safetensors", *TARGET, "--json").out)["recipe"]


def test_second_names(folder: Path, dcz_: Callable) -> None:
    """A calibration that calls a tensor, or a bias, by a second name of it."""
    model = {**TENSORS, "other.weight": TENSORS["body.weight"], "other.bias": TENSORS["body.bias"].copy()}
    dcz.save_file(model, "tied.dcz")
    arguments = ("--calibration", "other.dcz", "--recipe", "wants.toml", "-q")
    assert dcz_("pack", "tied.dcz", "out.dcz", *arguments).code == 0
    found, wanted = dcz.load_file("out.dcz"), dcz.compress(model, "wants.toml", calibration=moments("other"))
    assert all(found[name].tobytes() == wanted[name].tobytes() for name in model)
    assert not np.array_equal(found["other.bias"], model["other.bias"])
    assert dcz_("plan", "tied.dcz", *TARGET, "--calibration", "other.dcz", "-o", "tied.toml", "-q").code == 0
    assert dcz_("pack", "tied.dcz", "again.dcz", "--calibration", "other.dcz", "--recipe", "tied.toml", "-q").code == 0


def test_onnx(folder: Path, dcz_: Callable) -> None:
    """Names of a calibration are those of the file."""
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    import dcz.onnx

    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Gemm", ["x", "body.weight", "body.bias"], ["y"], transB=1)
    graph = onnx.helper.make_graph(
        [node],
        "model",
        [value("x", 1, ["n", 96])],
        [value("y", 1, ["n", 64])],
        [onnx.numpy_helper.from_array(TENSORS[name], name) for name in ("body.weight", "body.bias")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, "model.onnx")
    dcz.save_calibration(dcz.onnx.calibrate("model.onnx", [{"x": INPUTS}]), "onnx.dcz")
    run = dcz_("plan", "model.onnx", *TARGET, "--calibration", "onnx.dcz", "-o", "onnx.toml")
    assert run.code == 0 and "without data" not in run.out
    assert dcz_("pack", "model.onnx", "model.dcz", "--calibration", "onnx.dcz", "--recipe", "onnx.toml", "-q").code == 0
    weights = {name: TENSORS[name] for name in ("body.weight", "body.bias")}
    wanted = dcz.compress(weights, "onnx.toml", calibration=dcz.load_calibration("onnx.dcz"))
    assert all(array.tobytes() == wanted[name].tobytes() for name, array in dcz.load_file("model.dcz").items())


PACK = ("pack", "model.safetensors", "x.dcz")
GIVEN = ("--calibration", "moments.dcz")
ERRORS = {
    "recipe alone": ((*PACK, "--recipe", "wants.toml"), 1, "wants.toml: recipe: calibration: it was made for tensors"),
    "calibration alone": ((*PACK, *GIVEN), 2, "--calibration: goes with --recipe"),
    "resumed": ((*PACK, "--recipe", "r.toml", *GIVEN, "--resume"), 2, "--calibration: does not go with --resume"),
    "resumed without": ((*PACK, "--recipe", "wants.toml", "--resume"), 1, "recipe: calibration: it was made"),
    "other model": (
        (*PACK, "--recipe", "r.toml", "--calibration", "other.dcz"),
        1,
        "there is no tensor 'other.weight'",
    ),
    "no calibration": ((*PACK, "--recipe", "r.toml", "--calibration", "r.toml"), 1, "r.toml: "),
    "absent": ((*PACK, "--recipe", "r.toml", "--calibration", "gone.dcz"), 1, "gone.dcz: No such file"),
    "plan absent": (("plan", "model.safetensors", *TARGET, "--calibration", "gone.dcz"), 1, "gone.dcz: No such file"),
    "plan of other model": (
        ("plan", "model.safetensors", *TARGET, "--calibration", "other.dcz"),
        1,
        "model.safetensors: calibration: there is no tensor 'other.weight'; it was made for another model",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(folder: Path, dcz_: Callable, case: str) -> None:
    check_refused(dcz_, folder, *ERRORS[case])
