"""HDF5 files in and out; what points out of a file is not followed."""

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
from support.converting import convert
from support.hdf5 import archive, described, h5py

CODES = ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "BF16")


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
        assert model.metadata["hdf5"] == {"/": {"layer_names": [b"dense", b"conv"], "version": 3}}
    with dcz.open(convert(tmp_path / "a.h5", tmp_path / "a.dcz")) as reader:
        about = dict(reader.info("dense/kernel").metadata)
        assert about == {"hdf5": {"text": "ü"}, "hdf5.types": [["text", "str:utf-8", None]]}
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(back) as file:
        assert [np.bytes_(each) for each in file.attrs["layer_names"]] == [b"dense", b"conv"] and file.attrs[
            "version"
        ] == 3
        assert file["dense/kernel"].attrs["text"] == "ü" and file["dense/tied"] == file["dense/kernel"]


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
    with pytest.raises(FormatError, match="group 'group/inner': is 'group/again' again"):
        open_model(tmp_path / "a.h5")


def test_what_is_no_weight_is_left_out_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        file["words"] = ["text"]
        file["again"] = file["words"]
        file["nothing"] = h5py.Empty("f")
        file["pairs"] = np.zeros(2, "f4,i4")
        file["points"] = np.array([file["w"].ref], h5py.ref_dtype)
        file["kind"] = np.dtype("f4")
        file["w"].attrs["pairs"] = np.zeros(2, "f4,i4")
        file["w"].attrs["choice"] = np.array(1, dtype=h5py.enum_dtype({"a": 1}))
    with open_model(tmp_path / "a.h5") as model:
        moved = transfer(model, open_target(tmp_path / "a.dcz"))
    assert list(moved.left_out) == [
        "again", "kind", "nothing", "pairs", "points", "attribute 'choice' of 'w'", "attribute 'pairs' of 'w'", "words",
    ]  # fmt: skip
    assert list(dcz.load_file(tmp_path / "a.dcz")) == ["w"]


@pytest.mark.parametrize("deep", [False, True])
def test_references_are_refused_by_name(tmp_path: Path, deep: bool) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        if deep:
            file["w"].dims[0].attach_scale(file.create_dataset("x", data=np.arange(3)))
        else:
            file.attrs["points"] = file["w"].ref
    with pytest.raises(
        UnsupportedError, match="a.h5: attribute '(points|DIMENSION_LIST)' of '(w|/)': refers to other objects"
    ):
        open_model(tmp_path / "a.h5")


def test_groups_and_attributes_come_back_as_they_were(tmp_path: Path) -> None:
    text, latin = h5py.string_dtype(), h5py.string_dtype("ascii")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in {
            "i32": np.int32(-5), "u8": np.uint8(3), "f4": np.float32(0.1), "f2": np.float16(2), "f8": 0.1,
            "bool": np.bool_(True),
            "big": np.arange(6, dtype=">i2").reshape(2, 3), "none": np.zeros((0, 3), "f4"), "long": np.arange(3000),
            "complex": np.complex64(1 + 2j), "nan": np.array([0x7FC00123], np.uint32).view("f4"),
            "one": np.array([7], "i8"),
            "text": "ü", "empty text": "", "fixed": np.bytes_("abc"), "fixed list": np.array([b"dense", b"x"]),
            "texts": np.array(["a", "bc"], text), "ascii": np.array("abc", latin), "flags": np.array([True, False]),
            "utf-8 of 7": np.array("aü".encode(), h5py.string_dtype("utf-8", 7)), "no text": np.array([], text),
            "empty": h5py.Empty("f4"), "empty string": h5py.Empty("S5"), "not UTF-8": np.array(b"\xff\xfe", text),
        }.items():  # fmt: skip
            file.attrs[name] = value
        for number, pad in enumerate((h5py.h5t.STR_SPACEPAD, h5py.h5t.STR_NULLTERM)):
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(6)
            kind.set_strpad(pad)
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(file.id, f"pad {number}".encode(), kind, space).write(np.array(b"abc", "S6"))
        file.create_group("flatten").attrs["weight_names"] = np.zeros(0, "S1")
        file.create_group("top_level_model_weights")
        file.create_group("a/deep/group")
        ordered = file.create_group("ordered", track_order=True)
        for name in ("z", "b/x", "a"):
            ordered[name] = np.arange(3.0)
            ordered[name].attrs["n"] = np.int16(len(name))
        ordered["first again"] = ordered["z"]
        ordered.create_group("A").attrs["x"] = np.float32(1)
        for name in ("last", "first"):
            ordered.attrs[name] = np.int32(1)
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(back) as two:
        assert described(one) == described(two)
        assert two["ordered/first again"] == two["ordered/z"]


def test_a_file_that_keeps_its_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        for name in ("z", "m/w", "a"):
            file[name] = np.arange(2)
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(back) as file:
        assert list(file) == ["z", "m", "a"]


@pytest.mark.parametrize("extension", [".dcz.index.json", ".dcz"])
def test_attributes_of_datasets_in_several_files(tmp_path: Path, extension: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("a/w", "b/w"):
            file[name] = np.arange(100.0)
            file[name].attrs["of"] = np.float32(len(file))
    with open_model(tmp_path / "a.h5") as model:
        size = 900 if extension != ".dcz" else None
        transfer(model, open_target(tmp_path / f"m{extension}", shard_size=size))
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(convert(tmp_path / f"m{extension}", tmp_path / "b.h5")) as two:
        assert described(one) == described(two)


@pytest.mark.parametrize("name", ["/w", "w/", "a//b", "a/../b", ".", "a\0b", ""])
def test_names_that_are_no_paths(tmp_path: Path, name: str) -> None:
    dcz.save_file({name: np.zeros(3)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="this name is not a path of an HDF5 dataset"):
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
        ("a.h5", "not an HDF5 file"), ("cut.h5", "not an HDF5 file, or one that is cut off"),
        ("a.keras", "not a .keras archive with"),
        ("broken.keras", "not an HDF5 file"), ("empty.keras", "not a .keras archive with model.weights.h5"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=message):
            open_model(tmp_path / name)
    monkeypatch.setattr("dcz.convert.keras_archive._MAX_MEMBERS", 10)
    with pytest.raises(LimitError, match="what is beside the weights takes more than 10 bytes"):
        open_model(archive(tmp_path / "large.keras", {"config.json": bytes(11)}))
    for name in ("missing.h5", "missing.keras"):
        with pytest.raises(FileNotFoundError):
            open_model(tmp_path / name)
