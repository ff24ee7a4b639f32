"""HDF5 files and metadata that would harm: one clear error each, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from support.converting import convert
from support.hdf5 import h5py

METADATA = {
    "values": {"hdf5": 5}, "values of an object": {"hdf5": {"w": 5}},
    "types": {"hdf5": {"w": {"a": 1}}, "hdf5.types": 5},
    "types of an object": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": 5}},
    "a type": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": [["a", 5, None]]}},
    "a type that is none": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": [["a", "O", None]]}},
    "a shape": {"hdf5": {"w": {"a": [1]}}, "hdf5.types": {"w": [["a", "<i4", [2]]]}},
    "a huge shape": {"hdf5": {"w": {"a": b""}}, "hdf5.types": {"w": [["a", "<i4", [1 << 60]]]}},
    "a negative shape": {"hdf5": {"w": {"a": b""}}, "hdf5.types": {"w": [["a", "<i4", [-1]]]}},
    "strings that are none": {"hdf5": {"w": {"a": 5}}, "hdf5.types": {"w": [["a", "str:utf-8", None]]}},
    "a huge string": {"hdf5": {"w": {"a": "x"}}, "hdf5.types": {"w": [["a", "str:utf-8:9999999:nullpad", None]]}},
    "groups": {"hdf5.groups": 5}, "a group": {"hdf5.groups": [["a", "empty"]]},
    "a path": {"hdf5.groups": [["../a", "empty", []]]}, "an order": {"hdf5.groups": [["a", "ordered", [5]]]},
}  # fmt: skip


@pytest.mark.parametrize(
    "about",
    [{"hdf5": 5}, {"hdf5": {"a": 1}, "hdf5.types": 5}, {"hdf5": {"a": 1}, "hdf5.types": [["a", "O", None]]}],
)
def test_hostile_metadata_of_a_tensor(tmp_path: Path, about: dict) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz", tensor_metadata={"w": about})
    with pytest.raises(DczError, match="metadata: hdf5: 'w'"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize("name", METADATA)
def test_hostile_metadata(tmp_path: Path, name: str) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz", metadata=METADATA[name])
    with pytest.raises(DczError, match=r"b\.h5: metadata: hdf5"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["a.dcz"]


def fill(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 24,), "f4", fillvalue=1.0)


def squeeze(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=np.zeros(1 << 22, "f4"), compression="gzip", chunks=(1 << 22,))


def chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1,), "f4", maxshape=(None,), chunks=(1 << 24,), compression="gzip")


def dimensions(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 62,), "i1", chunks=(1,))


@pytest.mark.parametrize("make", [fill, squeeze, chunk, dimensions])
def test_files_that_would_fill_the_memory(tmp_path: Path, make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").stat().st_size < 40_000
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 10)
    with pytest.raises(LimitError, match="a.h5: .*'w': "):
        open_model(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["a.h5", "a.keras"])
def test_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnsupportedError, match=f"{name}: is not a regular file"):
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


def test_a_heap_that_the_library_would_read_for_ever(tmp_path: Path) -> None:
    """Of strings of any length: an object in their heap that takes no bytes."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        file.attrs["text"] = "abc"
    data = bytearray((tmp_path / "a.h5").read_bytes())
    assert data.count(b"GCOL\x01") == 1
    first = data.index(b"GCOL\x01") + 16
    size = int.from_bytes(data[first + 8 : first + 16], "little")
    free = first + 16 + -(-size // 8) * 8
    for at, changed in ((free + 8, bytes(8)), (first + 8, b"\xf0" + b"\xff" * 7), (first + 8, b"\xff" * 3)):
        broken = bytearray(data)
        broken[at : at + len(changed)] = changed
        (tmp_path / "b.h5").write_bytes(broken)
        with pytest.raises(FormatError, match="b.h5: an object of .* bytes does not fit the heap at .*; fetch"):
            open_model(tmp_path / "b.h5")
