"""`dcz diff`: what is the same, what is not and by how much, with the exit codes of `diff`."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from safetensors.numpy import save_file

import dcz
from dcz.dtypes import DTYPES
from support.arrays import CODES, arrays, make_array
from support.net import PROTOTXT, SHAPES, encode

NAN = np.array([0x7FC00001, 0x7FC00002], "<u4").view("<f4")
A = {
    "same": make_array(1, "F32", (30, 40), 0.3, 20, "float"),
    "scalar": np.array(2.5),
    "values": np.array([3.0, 4.0, 0.0, -0.0], "<f4"),
    "type": np.array([1, 2, 3], "<i4"),
    "shape": np.zeros((2, 3), "<f4"),
    "gone": np.ones(4, "<f4"),
    "nan": np.array([1, np.nan, np.inf, NAN[0]], "<f4"),
}
B = {
    "same": A["same"],
    "scalar": A["scalar"],
    "values": np.array([3.0, 3.0, 0.0, 0.0], "<f4"),
    "type": np.array([1, 2, 5], "<f4"),
    "shape": np.zeros((3, 2), "<f4"),
    "new": np.ones((1, 2), "<i8"),
    "nan": np.array([1, np.nan, np.inf, NAN[1]], "<f4"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file(A, "a.safetensors")
    dcz.save_file(A, "a.dcz")
    np.savez("b.npz", **B)
    return tmp_path


def found(run: object) -> dict[str, dict]:
    return {each["name"]: each for each in json.loads(run.out)["tensors"]}


def test_the_same_in_another_format(folder: Path, dcz_: Callable) -> None:
    run = dcz_("diff", "a.safetensors", "a.dcz")
    assert (run.code, run.out, run.err) == (0, f"the same: {len(A)} tensors, bit for bit\n", "")
    run = dcz_("diff", "a.safetensors", "a.dcz", "--json")
    assert run.code == 0 and json.loads(run.out)["same"] is True
    assert all(each["status"] == "same" and each["max_error"] == 0 for each in found(run).values())
    run = dcz_("diff", "a.dcz", "a.dcz", "--all")
    assert run.code == 0 and all(name in run.out for name in A)
    assert dcz_("diff", "a.dcz", "a.safetensors", "-q").out == ""


def test_differences(folder: Path, dcz_: Callable) -> None:
    run = dcz_("diff", "a.dcz", "b.npz", "--json")
    assert (run.code, run.err) == (1, "") and json.loads(run.out)["same"] is False
    each = found(run)
    assert sorted(each) == sorted(A.keys() | B.keys())
    status = {name: entry["status"] for name, entry in each.items()}
    assert status == {
        "same": "same", "scalar": "same", "values": "values", "type": "dtype", "shape": "shape", "gone": "only in A",
        "new": "only in B", "nan": "values",
    }  # fmt: skip
    values = each["values"]
    assert values["elements"] == 2  # one of them a zero's sign
    assert values["max_error"] == 1 and values["relative_error"] == pytest.approx(1 / 5)
    assert values["cosine"] == pytest.approx(21 / (5 * math.sqrt(18)))
    kind = each["type"]
    assert (kind["dtype_a"], kind["dtype_b"], kind["elements"], kind["max_error"]) == ("I32", "F32", 1, 2)
    assert (each["shape"]["shape_a"], each["shape"]["shape_b"], each["shape"]["max_error"]) == ([2, 3], [3, 2], None)
    assert (each["gone"]["shape_a"], each["gone"]["shape_b"]) == ([4], None)
    assert (each["new"]["shape_a"], each["new"]["dtype_b"]) == (None, "I64")
    assert each["nan"]["elements"] == 1 and each["nan"]["max_error"] == 0 and each["nan"]["cosine"] == 1


def test_the_table(folder: Path, dcz_: Callable) -> None:
    run = dcz_("diff", "a.dcz", "b.npz")
    assert (run.code, run.err) == (1, "")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in run.out.splitlines() if line.split()}
    assert "same" not in lines and "scalar" not in lines
    assert lines["shape"] == "2x3 -> 3x2 F32 shape"
    assert lines["type"].startswith("3 I32 -> F32 dtype 1 2 0.5345")
    assert lines["gone"] == "4 F32 only in A" and lines["new"] == "1x2 I64 only in B"
    assert run.out.splitlines()[-1] == (
        "different: of 8 tensors 2 the same, 2 differ in values, 1 in dtype, 1 in shape, 1 only in A, 1 only in B"
    )
    assert "same " in dcz_("diff", "a.dcz", "b.npz", "--all").out


def test_quiet_is_silent(folder: Path, dcz_: Callable) -> None:
    run = dcz_("diff", "a.dcz", "b.npz", "--quiet")
    assert (run.code, run.out, run.err) == (1, "", "")


@pytest.mark.parametrize("other", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(folder: Path, dcz_: Callable, other: float) -> None:
    dcz.save_file({"w": np.array([1.0, 2.0])}, "x.dcz")
    dcz.save_file({"w": np.array([1.0, other])}, "y.dcz")
    for pair in (("x.dcz", "y.dcz"), ("y.dcz", "x.dcz")):
        run = dcz_("diff", *pair)
        assert run.code == 1 and " inf" in run.out
        entry = found(dcz_("diff", *pair, "--json"))["w"]
        assert entry["max_error"] is None and entry["cosine"] == 1  # JSON has no infinity


def test_zeros_have_no_direction(folder: Path, dcz_: Callable) -> None:
    dcz.save_file({"w": np.zeros(3)}, "x.dcz")
    dcz.save_file({"w": np.ones(3)}, "y.dcz")
    entry = found(dcz_("diff", "x.dcz", "y.dcz", "--json"))["w"]
    assert (entry["max_error"], entry["relative_error"], entry["cosine"]) == (1, None, None)


@pytest.mark.parametrize("code", CODES)
def test_every_dtype(folder: Path, dcz_: Callable, code: str) -> None:
    array = make_array(5, code, (50,), 1.0, 3, "counter")
    other = array.copy()
    other.view(np.uint8)[array.itemsize * 7] ^= 1
    dcz.save_file({"w": array}, "x.dcz")
    dcz.save_file({"w": other}, "y.dcz")
    assert dcz_("diff", "x.dcz", "x.dcz", "-q").code == 0
    entry = found(dcz_("diff", "x.dcz", "y.dcz", "--json"))["w"]
    assert (entry["status"], entry["elements"]) == ("values", 1)
    wide = np.complex128 if code in ("C64", "C128") else np.float64
    with np.errstate(all="ignore"):
        error = float(np.abs(array.astype(wide) - other.astype(wide)).max())
    if math.isfinite(error):
        assert entry["max_error"] == error > 0


def test_large_integers_are_compared_exactly(folder: Path, dcz_: Callable) -> None:
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this machine has no float that holds 64-bit integers")
    for name, more in (("x.dcz", 0), ("y.dcz", 1)):
        dcz.save_file({"w": np.array([(1 << 63) + more], "<u8")}, name)
    assert found(dcz_("diff", "x.dcz", "y.dcz", "--json"))["w"]["max_error"] == 1


def test_tied_tensors_have_two_names(folder: Path, dcz_: Callable) -> None:
    array = np.arange(9.0)
    dcz.save_file({"a": array, "tied": array}, "x.dcz")
    save_file({"a": array, "tied": array.copy()}, "x.safetensors")
    assert dcz_("diff", "x.dcz", "x.safetensors").code == 0


def test_several_parts(folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    a = rng.standard_normal(100_003)
    b = a + (rng.random(len(a)) < 0.1)
    dcz.save_file({"w": a}, "x.dcz")
    dcz.save_file({"w": b}, "y.dcz")
    monkeypatch.setattr("dcz.convert.difference._PART", 1000)
    entry = found(dcz_("diff", "x.dcz", "y.dcz", "--json"))["w"]
    assert entry["elements"] == np.count_nonzero(a != b) and entry["max_error"] == np.abs(a - b).max()
    assert entry["relative_error"] == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a))
    assert entry["cosine"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_net_files(folder: Path, dcz_: Callable) -> None:
    data, tensors = encode(SHAPES)
    Path("tiny.net").write_bytes(data)
    Path("tiny.prototxt").write_text(PROTOTXT)
    dcz.save_file(tensors, "tiny.dcz")
    assert dcz_("diff", "tiny.net", "tiny.dcz", "--shapes", "tiny.prototxt").code == 0


def test_folders(folder: Path, dcz_: Callable) -> None:
    for name in ("x", "y"):
        os.mkdir(name)
    save_file(A, "x/model.safetensors")
    dcz.save_file(A, "y/model.dcz")
    assert dcz_("diff", "x", "y").code == 0
    assert dcz_("diff", "x", "b.npz").code == 1


TROUBLE = {
    "a missing file": (("a.dcz", "missing.dcz"), "missing.dcz: No such file or directory"),
    "another missing file": (("missing.npz", "a.dcz"), "missing.npz: No such file or directory"),
    "an unknown format": (("a.dcz", "text.txt"), "expected one of "),
    "no dcz file": (("broken.dcz", "a.dcz"), "this is not a dcz file"),
    "a flipped byte": (("a.dcz", "flipped.dcz"), "fetch the file again"),
    "a folder without weights": (("a.dcz", "empty"), "no weights in it"),
    "net files without shapes": (("tiny.net", "a.dcz"), "net files have no shapes"),
    "one argument": (("a.dcz",), "Missing argument 'B'"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_trouble(folder: Path, dcz_: Callable, name: str) -> None:
    Path("text.txt").write_text("x")
    Path("broken.dcz").write_text("no model")
    Path("tiny.net").write_bytes(encode(SHAPES)[0])
    data = bytearray(dcz.save(A, profile="raw"))
    data[200] ^= 1
    Path("flipped.dcz").write_bytes(data)
    os.mkdir("empty")
    arguments, message = TROUBLE[name]
    run = dcz_("diff", *arguments)
    assert run.code == 2 and run.out == ""
    assert run.err.startswith("dcz: ") and run.err.count("\n") == 1 and message in run.err


@given(array=arrays(most=500))
def test_any_array_is_the_same_as_itself(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    from dcz.convert import open_model
    from dcz.convert.difference import differences

    path = tmp_path_factory.getbasetemp() / "x.dcz"
    dcz.save_file({"w": array}, path)
    with open_model(path) as a, open_model(path) as b:
        (difference,) = differences(a, b)
    assert difference.status == "same" and difference.dtype_a in DTYPES


METADATA = {"format": "pt", "step": "3", "of": "us"}


def test_metadata_of_tensors_are_compared(folder: Path, dcz_: Callable) -> None:
    first = sorted(A)[0]
    dcz.save_file(A, "one.dcz", tensor_metadata={first: {"scale": 0.5, "role": "weight"}})
    dcz.save_file(A, "other.dcz", tensor_metadata={first: {"scale": 0.25, "role": "weight"}})
    assert dcz_("diff", "one.dcz", "one.dcz").code == 0
    run = dcz_("diff", "one.dcz", "other.dcz")
    assert run.code == 1 and f"metadata of {first}: scale: 0.5 -> 0.25" in run.out.splitlines()
    found = json.loads(dcz_("diff", "one.dcz", "other.dcz", "--json").out)["metadata"]
    assert found == [{"key": "scale", "status": "values", "a": "0.5", "b": "0.25", "tensor": first}]
    save_file(A, "plain.safetensors")
    assert dcz_("diff", "plain.safetensors", "one.dcz").code == 1


def test_metadata_are_compared(folder: Path, dcz_: Callable) -> None:
    save_file(A, "one.safetensors", metadata=METADATA)
    dcz.save_file(A, "same.dcz", metadata={**METADATA, "step": 3})
    run = dcz_("diff", "one.safetensors", "same.dcz")
    assert (run.code, run.out) == (0, f"the same: {len(A)} tensors, bit for bit\n")
    dcz.save_file(A, "other.dcz", metadata={"format": "pt", "step": 4, "by": [1, None]})
    run = dcz_("diff", "one.safetensors", "other.dcz")
    assert run.code == 1 and run.out.splitlines() == [
        "metadata by: only in B",
        "metadata of: only in A",
        "metadata step: '3' -> 4",
        f"different: of {len(A)} tensors {len(A)} the same, 3 keys of the metadata differ",
    ]
    assert dcz_("diff", "one.safetensors", "other.dcz", "--quiet").code == 1
    run = dcz_("diff", "one.safetensors", "other.dcz", "--json")
    document = json.loads(run.out)
    assert run.code == 1 and document["same"] is False and document["not_compared"] == []
    assert document["metadata"][2] == {"key": "step", "status": "values", "a": "'3'", "b": "4", "tensor": None}
    many = {f"key{i}": i for i in range(30)}
    dcz.save_file(A, "many.dcz", metadata=many)
    assert "and 20 more keys of the metadata; --all lists them" in dcz_("diff", "a.dcz", "many.dcz").out
    assert "metadata key29: only in B" in dcz_("diff", "a.dcz", "many.dcz", "--all").out


def test_what_is_not_compared_is_said(folder: Path, dcz_: Callable) -> None:
    dcz.save_file(B, "b.dcz", metadata={"n": 1})
    run = dcz_("diff", "b.npz", "b.dcz")
    assert run.code == 0 and "not compared: metadata, as .npz files have none\n" in run.out
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
    torch.save({"w": torch.ones(3), "step": 3, "seen": {1}}, "m.pt")
    save_file({"w": np.ones(3, np.float32)}, "m.safetensors", metadata={"format": "pt"})
    run = dcz_("diff", "m.pt", "m.safetensors")
    assert run.code == 0 and "not compared: metadata, which mean other things in .pt and .safetensors files" in run.out
    assert "not compared: 1 entry of A that is not a weight: seen" in run.out
    assert dcz_("pack", "m.pt", "m.dcz").code == 0
    assert dcz_("diff", "m.pt", "m.dcz").code == 0
    dcz.save_file({"w": np.ones(3, np.float32)}, "lost.dcz")
    run = dcz_("diff", "m.pt", "lost.dcz")
    assert run.code == 1 and "metadata step: only in A" in run.out


def test_the_graph_of_onnx_is_not_compared(folder: Path, dcz_: Callable) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (pip install 'dcz[onnx]')")
    weight = onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")
    value = onnx.helper.make_tensor_value_info("y", 1, [3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["w"], ["y"])], "g", [], [value], [weight])
    onnx.save(onnx.helper.make_model(graph), "m.onnx")
    assert dcz_("pack", "m.onnx", "m.dcz").code == 0
    run = dcz_("diff", "m.onnx", "m.dcz")
    assert run.code == 0 and "not compared: the graph of A, of which a dcz file keeps the weights alone" in run.out


def test_shards_against_one_file(folder: Path, dcz_: Callable) -> None:
    dcz.save_file(A, "m.dcz", metadata=METADATA)
    assert dcz_("unpack", "m.dcz", "-o", "s.dcz.index.json", "--shard-size", "3KB").code == 0
    run = dcz_("diff", "s.dcz.index.json", "m.dcz")
    assert (run.code, run.out) == (0, f"the same: {len(A)} tensors, bit for bit\n")
    assert dcz_("compare", "s.dcz.index.json", "--json").code == 0
    assert dcz_("unpack", "s.dcz.index.json", "-o", "back.safetensors").code == 0
    assert dcz_("diff", "back.safetensors", "m.dcz").code == 0
