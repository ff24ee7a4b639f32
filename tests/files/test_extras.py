"""A library that is missing: which extra to install, and nothing half-written."""

from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import UnsupportedError

# Formats, the library each needs, and the extra it is in.
READ = {
    ".pt": ("torch", "torch"), ".pth": ("torch", "torch"), ".bin": ("torch", "torch"), ".ckpt": ("torch", "torch"),
    ".h5": ("h5py", "hdf5"), ".hdf5": ("h5py", "hdf5"), ".keras": ("h5py", "hdf5"), ".onnx": ("onnx", "onnx"),
    ".mlmodel": ("coremltools", "coreml"), ".tflite": ("tflite", "tflite"),
}  # fmt: skip
WRITE = {".pt": ("torch", "torch"), ".h5": ("h5py", "hdf5"), ".keras": ("h5py", "hdf5")}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch):
    original = builtins.__import__

    def hide(library: str) -> None:
        def refuse(name: str, *arguments: object, **options: object) -> object:
            if name.partition(".")[0] == library:
                raise ModuleNotFoundError(f"No module named {name!r}")
            return original(name, *arguments, **options)

        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.setattr(builtins, "__import__", refuse)

    return hide


@pytest.mark.parametrize("extension", READ)
def test_reading(tmp_path: Path, without, extension: str) -> None:
    library, extra = READ[extension]
    without(library)
    (tmp_path / f"w{extension}").write_bytes(b"\x08\x07")
    with pytest.raises(UnsupportedError, match=rf"w{extension} needs {library}, .*: pip install 'dcz\[{extra}\]'"):
        open_model(tmp_path / f"w{extension}")


@pytest.mark.parametrize("extension", WRITE)
def test_writing(tmp_path: Path, without, extension: str) -> None:
    library, extra = WRITE[extension]
    without(library)
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz")
    with open_model(tmp_path / "a.dcz") as model, pytest.raises(UnsupportedError, match=rf"'dcz\[{extra}\]'"):
        transfer(model, open_target(tmp_path / f"b{extension}"))
    assert os.listdir(tmp_path) == ["a.dcz"]
