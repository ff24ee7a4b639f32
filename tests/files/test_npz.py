"""numpy's files in and out."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError, UnsupportedError
from dcz.plain.header import CODES as SAFETENSORS
from support.arrays import CODES, make_array
from support.bits import assert_same_bits
from support.converting import convert
from support.npz import npy, read

# What numpy's own files can name.
STORABLE = ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "C128")
TENSORS = {
    f"{code}.{i}": make_array(i, code, shape, 0.5, 30)
    for code in STORABLE
    for i, shape in enumerate([(), (0, 4), (5, 7)])
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reading_npz(tmp_path: Path, save: object) -> None:
    save(tmp_path / "w.npz", **TENSORS)
    found = read(tmp_path / "w.npz")
    assert list(found) == list(TENSORS)
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)


def test_there_and_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **TENSORS)
    convert(convert(tmp_path / "a.npz", tmp_path / "a.dcz"), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as found:
        assert sorted(found) == sorted(TENSORS)
        for name, array in TENSORS.items():
            assert_same_bits(found[name], array)


def test_the_same_tensors_the_same_bytes(tmp_path: Path) -> None:
    """An archive without a clock in it."""
    dcz.save_file(TENSORS, tmp_path / "a.dcz")
    first = convert(tmp_path / "a.dcz", tmp_path / "a.npz").read_bytes()
    assert convert(tmp_path / "a.dcz", tmp_path / "b.npz").read_bytes() == first


@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.arange(5, dtype=">f4"), np.float32(3)]
)
def test_npy(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "weight.npy", array)
    assert list(read(tmp_path / "weight.npy")) == ["weight"]
    convert(convert(tmp_path / "weight.npy", tmp_path / "w.dcz"), tmp_path / "b.npy")
    assert_same_bits(np.load(tmp_path / "b.npy"), array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_header(tmp_path: Path, version: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # numpy tells that old ones cannot read it
        (tmp_path / "w.npy").write_bytes(npy(np.arange(5), version))
    assert_same_bits(read(tmp_path / "w.npy")["w"], np.arange(5))


def test_npy_holds_one_array(tmp_path: Path) -> None:
    for tensors in ({}, {"a": np.zeros(1), "b": np.ones(1)}):
        dcz.save_file(tensors, tmp_path / "w.dcz")
        with pytest.raises(DczError, match="an npy file holds one array, there are [02]; write npz or safetensors"):
            convert(tmp_path / "w.dcz", tmp_path / "w.npy")
    assert not (tmp_path / "w.npy").exists()


@pytest.mark.parametrize("code", [code for code in CODES if code not in (*STORABLE, "BF16")])
@pytest.mark.parametrize("name", ["w.npz", "w.npy"])
def test_dtypes_that_numpy_cannot_name(tmp_path: Path, code: str, name: str) -> None:
    dcz.save_file({"w": make_array(1, code, (8,))}, tmp_path / "w.dcz")
    remedy = "write safetensors" if code in SAFETENSORS else "keep the tensor in a dcz file, or convert"
    with pytest.raises(UnsupportedError, match=f"tensor 'w': numpy files cannot hold {code}; {remedy}"):
        convert(tmp_path / "w.dcz", tmp_path / name)
    assert not (tmp_path / name).exists()


def test_second_names_become_copies(tmp_path: Path) -> None:
    array = np.arange(9.0)
    dcz.save_file({"a": array, "tied": array}, tmp_path / "w.dcz")
    found = np.load(convert(tmp_path / "w.dcz", tmp_path / "w.npz"))
    with found:
        assert sorted(found) == ["a", "tied"]
        assert_same_bits(found["tied"], array)


@pytest.mark.parametrize("name", ["a/b", "a..b", "...", "a/./b", "layer.0:weight/x", "\n", "ü"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    if name == "layer.0:weight/x":
        name = "weight/x:0"  # TensorFlow's
    dcz.save_file({name: np.arange(3)}, tmp_path / "w.dcz")
    convert(tmp_path / "w.dcz", tmp_path / "w.npz")
    assert list(read(tmp_path / "w.npz")) == [name]
    folder = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / "w.npz").extractall(folder)
    assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([b"x"]), np.zeros(2, "f4,i4"), np.zeros(1, "M8[s]")])
def test_arrays_that_are_no_weights(tmp_path: Path, array: np.ndarray) -> None:
    """Alone an error; in an archive left out by name."""
    np.savez(tmp_path / "w.npz", w=array, x=np.arange(3))
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(UnsupportedError, match="w.npy: dtype .* cannot be stored"):
        read(tmp_path / "w.npy")
    with open_model(tmp_path / "w.npz") as model:
        moved = transfer(model, open_target(tmp_path / "w.dcz"))
    assert list(moved.left_out) == ["w"] and "cannot be stored" in moved.left_out["w"]
    assert list(dcz.load_file(tmp_path / "w.dcz")) == ["x"]


def test_what_archives_have_beside_arrays(tmp_path: Path) -> None:
    """Folders say nothing; members that are no arrays are left out by name."""
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as file:
        file.mkdir("layer") if hasattr(file, "mkdir") else file.writestr("layer/", b"")
        file.writestr("layer/w.npy", npy(np.arange(3)))
        file.writestr("notes.txt", b"text")
    with open_model(tmp_path / "w.npz") as model:
        assert [tensor.name for tensor in model.tensors()] == ["layer/w"]
        assert model.left_out == {"notes.txt": "a member that is not an array (.npy)"}


def test_bfloat16_as_numpy_saves_it(tmp_path: Path) -> None:
    array = make_array(1, "BF16", (5, 3))
    np.savez(tmp_path / "w.npz", w=array, f=np.asfortranarray(array), v=np.zeros(2, "V1"))
    assert np.load(tmp_path / "w.npz")["w"].dtype.str == "|V2"
    with open_model(tmp_path / "w.npz") as model:
        assert list(model.left_out) == ["v"]
        assert_same_bits(model.read("w"), array)
        assert_same_bits(np.ascontiguousarray(model.read("f")), array)


def test_names_with_a_colon(tmp_path: Path) -> None:
    """TensorFlow's; only the letter of a drive before one leaves the folder."""
    dcz.save_file({"kernel:0": np.arange(3)}, tmp_path / "w.dcz")
    assert list(read(convert(tmp_path / "w.dcz", tmp_path / "w.npz"))) == ["kernel:0"]
