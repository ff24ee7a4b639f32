"""Checkpoints that are hostile, damaged or something else: nothing in them is run, and each has its error."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.converting import convert

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")


STRUCTURES = {
    "no list": {"containers": 5},
    "no container": {"containers": [["", "set", []]]},
    "keys of other types": {"containers": [["", "dict", [1.5]]]},
    "no root": {"containers": [["a", "dict", []]]},
    "a dtype that is a function": {"containers": [["", "dict", ["x"]]], "kinds": {"x": "dtype"}},
    "a kind that is none": {"containers": [["", "dict", ["x"]]], "kinds": {"x": "load"}},
    "deeper than allowed": {"containers": [[".".join("a" * n), "dict", ["a"]] for n in range(80)]},
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_of_hostile_metadata(tmp_path: Path, name: str) -> None:
    dcz.save_file({"w": np.ones(2)}, tmp_path / "a.dcz", metadata={"torch": STRUCTURES[name], "x": "torch.load"})
    with pytest.raises(DczError, match=r"b\.pt: metadata: "):
        convert(tmp_path / "a.dcz", tmp_path / "b.pt")
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize("deep", [False, True])
def test_lists_that_share_their_items(tmp_path: Path, deep: bool) -> None:
    """A file of a kilobyte whose lists name 2^60 entries, or themselves."""
    value: list = [torch.ones(1)]
    if deep:
        value.append(value)
    else:
        for _ in range(60):
            value = [value, value]
    torch.save({"w": value}, tmp_path / "a.pt")
    with pytest.raises(LimitError, match="a.pt: its containers have more entries than|a.pt: nested deeper than 64"):
        open_model(tmp_path / "a.pt")


@pytest.mark.parametrize("old", [False, True])
def test_several_checkpoints_in_one_file_are_refused(tmp_path: Path, old: bool) -> None:
    """torch.load gives one of them and says nothing of the other."""
    with open(tmp_path / "a.pt", "wb") as file:
        for value in (1, 2):
            torch.save({"w": torch.full((3,), value)}, file, _use_new_zipfile_serialization=not old)
    with pytest.raises(FormatError, match="a.pt: has .* bytes (before|after) its .*, as a file does that several"):
        open_model(tmp_path / "a.pt")


def test_an_archive_whose_members_grow(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": "x" * (1 << 24)}, 2))
        archive.writestr("archive/version", b"3\n")
    with pytest.raises(
        FormatError, match="a.pt: not a PyTorch checkpoint .its member 'archive/data.pkl' is compressed"
    ):
        open_model(tmp_path / "a.pt")


class Attack:
    """What a pickle could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old", [False, True])
def test_pickled_code_is_refused_and_explained(tmp_path: Path, old: bool) -> None:
    torch.save(
        {"w": torch.ones(3), "x": Attack(tmp_path / "ran")}, tmp_path / "a.pt", _use_new_zipfile_serialization=not old
    )
    with pytest.raises(
        UnsupportedError, match="refused: it asks for .*mkdir and so to run code .* save its weights: torch.save"
    ):
        open_model(tmp_path / "a.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "b.pt", _use_new_zipfile_serialization=not old)
    with pytest.raises(
        UnsupportedError, match="refused: it asks for torch.nn.modules.linear.Linear and so to run code"
    ):
        open_model(tmp_path / "b.pt")
    (tmp_path / "c.pt").write_bytes(pickle.dumps({"x": Attack(tmp_path / "ran")}))
    with pytest.raises(DczError):
        open_model(tmp_path / "c.pt")
    assert sorted(os.listdir(tmp_path)) == ["a.pt", "b.pt", "c.pt"]


def test_a_script_is_no_checkpoint(tmp_path: Path) -> None:
    data = tmp_path / "s.pt"
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("s/data.pkl", pickle.dumps(1, 2))
        archive.writestr("s/constants.pkl", pickle.dumps((), 2))
        archive.writestr("s/code/x.py", b"")
        archive.writestr("s/version", b"3\n")
    with pytest.raises(DczError, match="TorchScript|not a PyTorch checkpoint"):
        open_model(data)


def save(tensors: object) -> bytes:
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


with np.errstate(all="ignore"):
    WHOLE = save({"w": torch.arange(1000)})


ERRORS = {
    "nothing": (b"", TruncatedError, "the file is empty; finish the download"),
    "text": (b"this is no checkpoint", FormatError, "not a PyTorch checkpoint"),
    "half an archive": (WHOLE[:-100], TruncatedError, "the checkpoint ends early; finish the download"),
    "an empty archive": (b"PK\5\6" + bytes(18), DczError, "not a PyTorch checkpoint"),
    "one name twice": (save({"a.b": torch.ones(1), "a": {"b": torch.ones(2)}}), FormatError, "duplicate name 'a.b'"),
    "numbers of one name": (save({"a": {"1": 1, 1: 2}}), FormatError, "duplicate name 'a.1'"),
    "too large": (save({"w": torch.ones(1).expand(1 << 45)}), LimitError, "decoding needs 140737488355328 bytes"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(tmp_path: Path, name: str) -> None:
    data, error, message = ERRORS[name]
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(error, match=message):
        open_model(tmp_path / "a.pt")


def test_garbled_checkpoints(tmp_path: Path) -> None:
    """A byte changed anywhere in what is no tensor: an error of dcz, or none."""
    data = save({"w": torch.arange(40), "v": torch.ones(3)})
    damaged = 0
    for at in range(0, len(data), 3):
        changed = bytearray(data)
        changed[at] ^= 0x55
        (tmp_path / "b.pt").write_bytes(changed)
        try:
            with open_model(tmp_path / "b.pt") as model:
                for tensor in model.tensors():
                    model.read(tensor.name)
        except DczError:
            damaged += 1
    assert damaged


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "w.pt")
