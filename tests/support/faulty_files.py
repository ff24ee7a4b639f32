"""A folder of small models, whole, damaged and missing, for the faults of every command."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import dcz

FIRST = np.random.Generator(np.random.PCG64(1)).standard_normal((50, 60)).astype("<f4")
SECOND = FIRST + np.float32(0.5)
THIRD = SECOND * np.float32(2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files. No test may change them."""
    folder = tmp_path_factory.mktemp("faults")
    for name, array in (("a", FIRST), ("b", SECOND), ("c", THIRD)):
        np.savez(folder / f"{name}.npz", w=array)
        dcz.save_file({"w": array}, folder / f"{name}.dcz")
    np.savez(folder / "many.npz", **{f"model.layers.{i}.mlp.weight": FIRST + i for i in range(9)})
    for new, old in (("b", "a"), ("c", "b")):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", ["dcz", "pack", f"{new}.npz", f"{old}{new}.dcz", "--base", f"{old}.npz", "-q"])
            from dcz.cli.app import _run

            assert _run() == 0
    whole = (folder / "a.dcz").read_bytes()
    (folder / "flipped.dcz").write_bytes(whole[:80] + bytes([whole[80] ^ 1]) + whole[81:])
    (folder / "short.dcz").write_bytes(whole[:-10])
    (folder / "empty.dcz").touch()
    (folder / "folder").mkdir()
    for name in ("text.dcz", "text.npz", "text.onnx", "old.dcz", "old.npz"):
        (folder / name).write_text("this is no model")
    (folder / "odd.toml").write_text("n_bitz = 4\n")
    (folder / "gone.dcz.index.json").write_text('{"metadata": {}, "weight_map": {"w": "x.dcz"}}')
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
