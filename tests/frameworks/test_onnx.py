"""ONNX: a model in two files that onnxruntime runs as before, external data, subgraphs, and models that would
escape."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, TruncatedError, UnsupportedError
from support.frameworks import framework, integration

onnx = framework("onnx")
dcz_onnx = integration("onnx")
from onnx import TensorProto, helper, numpy_helper

from support.onnx_networks import constants, network, run


def test_a_model_in_two_files_runs_as_before(tmp_path: Path) -> None:
    model = network()
    before = model.SerializeToString(deterministic=True)
    dcz_onnx.save_model(model, tmp_path / "model.onnx", {"note": "packed"})
    assert sorted(os.listdir(tmp_path)) == ["model.dcz", "model.onnx"]
    assert model.SerializeToString(deterministic=True) == before  # the caller's is untouched
    packed = sum(os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path))
    assert packed < len(before) / 4
    assert dcz.open(tmp_path / "model.dcz").metadata == {"note": "packed"}
    loaded = dcz_onnx.load_model(tmp_path / "model.onnx")
    onnx.checker.check_model(loaded)
    assert loaded.SerializeToString(deterministic=True) == before
    assert run(loaded).tobytes() == run(model).tobytes()


def test_a_model_without_its_weights_is_no_valid_model(tmp_path: Path) -> None:
    """Whoever forgets the weights is told, by whatever reads the model: nothing is computed with zeros."""
    dcz_onnx.save_model(network(), tmp_path / "model.onnx")
    thin = onnx.load_model(tmp_path / "model.onnx")
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(thin)
    with pytest.raises(Exception, match="(?i)initializer|tensor|raw_data"):
        run(thin)
    with pytest.raises(DczError, match="has no data"):
        dcz_onnx.save_model(tmp_path / "model.onnx", tmp_path / "again.onnx")
    os.remove(tmp_path / "model.dcz")
    with pytest.raises(FileNotFoundError):
        dcz_onnx.load_model(tmp_path / "model.onnx")


def test_external_data_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    model = network()
    path = tmp_path / "big" / "model.onnx"
    onnx.save_model(network(), path, save_as_external_data=True, location="weights.bin", size_threshold=16)
    dcz_onnx.save_model(path, tmp_path / "model.onnx", weights=tmp_path / "other.dcz")
    loaded = dcz_onnx.load_model(tmp_path / "model.onnx")
    assert loaded.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)
    assert run(loaded).tobytes() == run(model).tobytes()
    with pytest.raises(DczError, match="pass its path"):
        dcz_onnx.save_model(onnx.load_model(path, load_external_data=False), tmp_path / "x.onnx")
    with open(path.parent / "weights.bin", "r+b") as file:
        file.truncate(100)
    with pytest.raises(TruncatedError, match="model.onnx: initializer '.*': .* bytes short .100 in all."):
        dcz_onnx.save_model(path, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists() and not (tmp_path / "x.dcz").exists()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", "link", "", "."])
def test_external_data_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(1000))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DczError, match="outside the model's folder; put the file"):
        dcz_onnx.save_model(folder / "model.onnx", folder / "packed.onnx")
    assert not (folder / "packed.onnx").exists() and not (folder / "packed.dcz").exists()


@pytest.mark.parametrize("location", ["../model.dcz", "/elsewhere/model.dcz", ""])
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    dcz_onnx.save_model(network(), tmp_path / "model.onnx")
    thin = onnx.load_model(tmp_path / "model.onnx")
    thin.metadata_props[0].value = location
    (tmp_path / "model.onnx").write_bytes(thin.SerializeToString())
    with pytest.raises(DczError, match="outside the model's folder; put the file"):
        dcz_onnx.load_model(tmp_path / "model.onnx")
    with pytest.raises(DczError, match="in the folder of"):
        dcz_onnx.save_model(network(), tmp_path / "model.onnx", weights=tmp_path / "elsewhere" / "model.dcz")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    dcz_onnx.save_model(network(), tmp_path / "model.onnx")
    for change in ("shape", "missing", "dtype", "strange"):
        tensors = dcz.load_file(tmp_path / "model.dcz")
        if change == "missing":
            del tensors["conv.b"]
        else:
            tensors["conv.b" if change != "strange" else "q"] = {"shape": np.zeros(9, "f4")}.get(change, np.zeros(8))
        dcz.save_file(tensors, tmp_path / "wrong.dcz")
        with pytest.raises(DczError, match="not the weights of .*: they differ in '(conv.b|q)'"):
            dcz_onnx.load_model(tmp_path / "model.onnx", tmp_path / "wrong.dcz")


def test_initializers_beside_a_model(tmp_path: Path) -> None:
    """The dcz file alone, for a model that keeps its own weights; and back into it."""
    model = network()
    dcz_onnx.save_file(model, tmp_path / "w.dcz")
    names = sorted(dcz.open(tmp_path / "w.dcz"))
    assert "branch.then_branch.scale" in names and "branch.else_branch.scale" in names and len(names) == 8
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DczError, match="pass weights="):
        dcz_onnx.load_model(tmp_path / "model.onnx")
    tensors = dcz.load_file(tmp_path / "w.dcz")
    tensors["conv.w"] = tensors["conv.w"] * 2
    dcz.save_file(tensors, tmp_path / "w.dcz")
    changed = dcz_onnx.load_model(tmp_path / "model.onnx", tmp_path / "w.dcz")
    assert (numpy_helper.to_array(changed.graph.initializer[0]) == tensors["conv.w"]).all()


def test_names_that_collide_with_a_path_get_a_number(tmp_path: Path) -> None:
    """The path of a subgraph's weight is a name that the outer graph may have given as well."""
    model = network()
    for name in ("branch.then_branch.scale", "branch.then_branch.scale.2"):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(2), name))
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    tensors = dcz.load_file(tmp_path / "model.dcz")
    assert (tensors["branch.then_branch.scale"] == 1).all() and tensors["branch.then_branch.scale.3"].size
    assert dcz_onnx.load_model(tmp_path / "model.onnx") == model


def test_names_that_are_given_twice_are_refused(tmp_path: Path) -> None:
    model = network()
    inner = next(node for node in model.graph.node if node.op_type == "If").attribute[0].g
    inner.initializer.append(inner.initializer[0])
    with pytest.raises(DczError, match="'branch.(then|else)_branch.scale': duplicate name"):
        dcz_onnx.save_model(model, tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []


def test_narrow_elements_strings_and_typed_fields(tmp_path: Path) -> None:
    import ml_dtypes

    tensors = [
        numpy_helper.from_array(np.arange(-8, 7).astype(ml_dtypes.int4), "int4"),
        helper.make_tensor("float_data", TensorProto.FLOAT, [3], [1.0, -0.0, 2.5]),
        helper.make_tensor("int32_data", TensorProto.BFLOAT16, [2], [1.0, 2.0]),
        helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"b"]),
        helper.make_tensor("empty", TensorProto.FLOAT, [0, 3], []),
    ]
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    assert "text" not in dcz.open(tmp_path / "model.dcz")
    loaded = dcz_onnx.load_model(tmp_path / "model.onnx")
    for before, after in zip(tensors, loaded.graph.initializer):
        a, b = numpy_helper.to_array(before), numpy_helper.to_array(after)
        assert (before.name, a.dtype, a.shape, a.tobytes()) == (after.name, b.dtype, b.shape, b.tobytes())
    with pytest.raises(UnsupportedError, match="'text': elements of type STRING"):
        dcz_onnx.save({"text": tensors[3]})


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(DczError, match="bad.onnx: not an ONNX model"):
        dcz_onnx.load_model(tmp_path / "bad.onnx")
    model = network()
    model.graph.initializer[0].raw_data = b"1234"
    with pytest.raises(DczError, match="'conv.w': expected 864 bytes for its shape, found 4"):
        dcz_onnx.save_model(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.dcz").exists()


def test_weights_in_nodes_are_kept_like_initializers(tmp_path: Path) -> None:
    model = constants()
    before = model.SerializeToString(deterministic=True)
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    assert sorted(dcz.open(tmp_path / "model.dcz")) == [
        "If_11.else_branch.k", "If_11.then_branch.k", "also w", "axis", "function.my.Scale.k", "scale", "shape", "w",
        "yes",
    ]  # fmt: skip
    loaded = dcz_onnx.load_model(tmp_path / "model.onnx")
    assert loaded.SerializeToString(deterministic=True) == before
    for node in list(model.graph.node):  # the runtime lacks sparse constants
        if node.output[0] == "also w":
            model.graph.node.remove(node)
            loaded.graph.node.remove(next(each for each in loaded.graph.node if each.output[0] == "also w"))
    assert run(loaded).tobytes() == run(model).tobytes()


@pytest.mark.parametrize("value", ["value_float", "value_floats", "value_int", "value_ints", "value", "sparse_value"])
def test_a_constant_without_its_value_is_not_valid(tmp_path: Path, value: str) -> None:
    """Nothing may compute with zeros or empty lists in place of weights."""
    values = {
        "value_float": 1.0, "value_floats": [1.0, 2.0], "value_int": 1, "value_ints": [1, 2],
        "value": numpy_helper.from_array(np.ones(3, np.float32), ""),
        "sparse_value": helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(1, np.float32), "v"), numpy_helper.from_array(np.array([1]), "i"), [3]
        ),
    }  # fmt: skip
    node = helper.make_node("Constant", [], ["y"], **{value: values[value]})
    kind = TensorProto.INT64 if "int" in value else TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "g", [], [helper.make_tensor_value_info("y", kind, ["n"] if "s" in value or value == "value" else [])]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    thin = onnx.load_model(tmp_path / "model.onnx")
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(thin)
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with pytest.raises(Exception, match=r"(?i)attribute|tensor|raw_data|constant|sparse"):
        runtime.InferenceSession(thin.SerializeToString(), providers=["CPUExecutionProvider"])


def test_narrow_types_come_back(tmp_path: Path) -> None:
    import ml_dtypes

    kinds = {
        "int4": TensorProto.INT4, "uint4": TensorProto.UINT4, "float4_e2m1fn": TensorProto.FLOAT4E2M1,
        "float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e5m2": TensorProto.FLOAT8E5M2,
        "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ, "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
    }  # fmt: skip
    values = [-3, 0, 1, 2, 3, 1.5, -0.5]
    arrays = {name: np.array(values).astype(getattr(ml_dtypes, name)) for name in kinds}
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    assert [tensor.data_type for tensor in tensors] == list(kinds.values())
    model = helper.make_model(helper.make_graph([], "g", [], [], tensors))
    before = model.SerializeToString(deterministic=True)
    dcz_onnx.save_model(model, tmp_path / "model.onnx")
    with dcz.open(tmp_path / "model.dcz") as reader:
        assert all(reader.info(name).shape == (7,) for name in kinds)
    assert dcz_onnx.load_model(tmp_path / "model.onnx").SerializeToString(deterministic=True) == before
    back = dcz_onnx.load(dcz_onnx.save({name: arrays[name] for name in ("float4_e2m1fn", "float8_e5m2")}))
    for name, tensor in back.items():
        assert numpy_helper.to_array(tensor).tobytes() == arrays[name].tobytes()
