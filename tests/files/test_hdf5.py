"""HDF5 and Keras files in and out; what points out of a file is not followed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits

h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'dcz[hdf5]')")

CODES = ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "BF16")


def convert(source: Path, target: Path) -> Path:
    with open_model(source) as model:
        transfer(model, open_target(target))
    return target


def test_every_dtype_both_ways(tmp_path: Path) -> None:
    arrays = {}
    for code in CODES:
        for shape in [(), (0, 4), (5,), (3, 4, 2)]:
            array = make_array(3, code, shape, 0.7, 200, "hostile")
            if code == "BOOL":
                array = (array.view(np.uint8).reshape(shape) & 1).astype(bool)
            arrays[f"layers/{code}/{len(shape)}"] = array
    dcz.save_file(arrays, tmp_path / "a.dcz")
    written = convert(tmp_path / "a.dcz", tmp_path / "a.weights.h5")
    with h5py.File(written) as file:
        for name, array in arrays.items():
            if "BF16" in name:
                assert file[name].attrs["dtype"] == "bfloat16" and file[name].dtype.itemsize == 2
            else:
                assert_same_bits(np.asarray(file[name][()]), array)
    found = dcz.load_file(convert(written, tmp_path / "b.dcz"))
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert_same_bits(found[name], array)


def test_compressed_and_big_endian_datasets(tmp_path: Path) -> None:
    array = make_array(1, "F32", (200, 30), 0.2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("gzip", data=array, compression="gzip", chunks=(50, 30))
        file["big"] = array.astype(">f4")
    found = dcz.load_file(convert(tmp_path / "a.h5", tmp_path / "a.dcz"))
    assert_same_bits(found["gzip"], array)
    assert_same_bits(found["big"], array)


def test_attributes_and_second_names_survive(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"dense", b"conv"])
        file.attrs["version"] = 3
        weight = file.create_dataset("dense/kernel", data=np.arange(6.0))
        weight.attrs["text"] = "ü"
        file["dense/tied"] = weight
        file.create_group("empty")
    with open_model(tmp_path / "a.h5") as model:
        assert dict(model.aliases) == {"dense/tied": "dense/kernel"}
        assert model.metadata["hdf5"] == {
            "/": {"layer_names": [b"dense", b"conv"], "version": 3}, "dense/kernel": {"text": "ü"},
        }  # fmt: skip
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(back) as file:
        assert [np.bytes_(each) for each in file.attrs["layer_names"]] == [b"dense", b"conv"] and file.attrs[
            "version"
        ] == 3
        assert file["dense/kernel"].attrs["text"] == "ü" and file["dense/tied"] == file["dense/kernel"]


@pytest.fixture
def keras():
    pytest.importorskip(
        "keras", reason="Keras is not installed (pip install keras)"
    ) if "KERAS_BACKEND" in os.environ else None
    for backend in ("torch", "jax", "tensorflow"):
        if "KERAS_BACKEND" in os.environ or __import__("importlib.util").util.find_spec(backend):
            os.environ.setdefault("KERAS_BACKEND", backend)
            return pytest.importorskip("keras", reason="Keras is not installed (pip install keras)")
    pytest.skip("Keras has none of its backends here: torch, jax or tensorflow")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5"])
@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_a_keras_model_runs_on_what_was_packed(tmp_path: Path, keras, kind: str, policy: str) -> None:
    def build(seed: int) -> object:
        keras.utils.set_random_seed(seed)
        return keras.Sequential([
            keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, dtype=policy), keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Flatten(), keras.layers.Dense(5, dtype=policy),
        ])  # fmt: skip

    model = build(1)
    source = tmp_path / kind
    model.save(source) if kind.endswith(".keras") else model.save_weights(source)
    packed = convert(source, tmp_path / "m.dcz")
    assert len(dcz.load_file(packed)) >= 8
    back = convert(packed, tmp_path / f"back.{kind.partition('.')[2]}")
    if kind.endswith(".keras"):
        other = keras.models.load_model(back)
    else:
        other = build(2)
        other.load_weights(back)
    x = np.random.Generator(np.random.PCG64(1)).random((3, 8, 8, 1), np.float32)
    assert bytes(np.asarray(model.predict(x, verbose=0)).tobytes()) == bytes(
        np.asarray(other.predict(x, verbose=0)).tobytes()
    )
    for one, two in zip(model.weights, other.weights, strict=True):
        assert keras.ops.convert_to_numpy(one.value).tobytes() == keras.ops.convert_to_numpy(two.value).tobytes()


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with h5py.File(path.parent / "inner.h5", "w") as file:
        file["layers/dense/vars/0"] = np.arange(2000.0)
    members = {"model.weights.h5": (path.parent / "inner.h5").read_bytes()} | members
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    os.remove(path.parent / "inner.h5")
    return path


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_keras_archives_by_hand(tmp_path: Path, compression: int) -> None:
    members = {"metadata.json": b"{}", "config.json": b'{"a": 1}', "assets/words.bin": b"\xff\x00"}
    packed = convert(archive(tmp_path / "a.keras", members, compression), tmp_path / "a.dcz")
    assert_same_bits(dcz.load_file(packed)["layers/dense/vars/0"], np.arange(2000.0))
    with zipfile.ZipFile(convert(packed, tmp_path / "b.keras")) as file:
        assert {name: file.read(name) for name in members} == members and file.testzip() is None


def test_a_keras_archive_needs_its_configuration(tmp_path: Path) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="no configuration of a Keras model; only what was packed from a .keras file"):
        convert(tmp_path / "a.dcz", tmp_path / "b.keras")
    assert os.listdir(tmp_path) == ["a.dcz"]


def test_what_points_out_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(80))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = np.zeros(10)
    makers = {
        "external": lambda f: f.create_dataset("w", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)]),
        "linked": lambda f: f.__setitem__("w", h5py.ExternalLink(str(tmp_path / "other.h5"), "/w")),
        "soft": lambda f: f.__setitem__("w", h5py.SoftLink("/nowhere")),
    }

    def virtual(file: object) -> None:
        layout = h5py.VirtualLayout((10,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (10,))
        file.create_virtual_dataset("w", layout)

    for name, make in (makers | {"virtual": virtual}).items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(UnsupportedError, match="keeps its values in other files|is a link to somewhere else"):
            open_model(path)


def test_groups_in_a_circle(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/again"] = file.create_group("group/inner")
    with pytest.raises(FormatError, match="group 'group/inner' is 'group/again' again"):
        open_model(tmp_path / "a.h5")


def test_what_cannot_be_stored(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = ["text"]
    with pytest.raises(UnsupportedError, match="dataset 'w': dtype object cannot be stored"):
        open_model(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["w"] = h5py.Empty("f")
    with pytest.raises(UnsupportedError, match="dataset 'w' has no values"):
        open_model(tmp_path / "b.h5")


@pytest.mark.parametrize("name", ["/w", "w/", "a//b", "a/../b", ".", "a\0b", ""])
def test_names_that_are_no_paths(tmp_path: Path, name: str) -> None:
    dcz.save_file({name: np.zeros(3)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="this name is no path of an HDF5 dataset"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")


def test_a_dataset_that_would_be_a_group(tmp_path: Path) -> None:
    dcz.save_file({"a": np.zeros(3), "a/b": np.ones(2)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="tensor 'a/b': 'a' is a dataset, and cannot be its group, too"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")


def test_dtypes_that_it_lacks(tmp_path: Path) -> None:
    dcz.save_file({"w": np.zeros(3, DTYPES["F8_E5M2"].numpy())}, tmp_path / "a.dcz")
    with pytest.raises(UnsupportedError, match="tensor 'w': HDF5 cannot hold F8_E5M2; write safetensors instead"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["a.dcz"]


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h5").write_bytes(b"no file of HDF5")
    (tmp_path / "a.keras").write_bytes(b"no archive")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["w"] = np.zeros(5000)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:9000])
    archive(tmp_path / "broken.keras", {"model.weights.h5": b"nothing of it"})
    with zipfile.ZipFile(tmp_path / "empty.keras", "w"):
        pass
    for name, message in (
        ("a.h5", "no HDF5 file"), ("cut.h5", "no HDF5 file, or one that is cut off"), ("a.keras", "no .keras archive with"),
        ("broken.keras", "no HDF5 file"), ("empty.keras", "no .keras archive with model.weights.h5"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=message):
            open_model(tmp_path / name)
    monkeypatch.setattr("dcz.convert.hdf5._MAX_MEMBERS", 10)
    with pytest.raises(LimitError, match="what is beside the weights takes more than 10 bytes"):
        open_model(archive(tmp_path / "large.keras", {"config.json": bytes(11)}))
    for name in ("missing.h5", "missing.keras"):
        with pytest.raises(FileNotFoundError):
            open_model(tmp_path / name)


def test_garbled_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/w"] = np.arange(10.0)
        file.attrs["x"] = "y"
    data = (tmp_path / "a.h5").read_bytes()
    damaged = 0
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        (tmp_path / "b.h5").write_bytes(changed)
        try:
            with open_model(tmp_path / "b.h5") as model:
                for tensor in model.tensors():
                    model.read(tensor.name)
        except DczError:
            damaged += 1
    assert damaged
