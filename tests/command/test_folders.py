"""Model folders of the hub's layout, packed and unpacked by the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from support.arrays import make_array
from support.bits import assert_same_bits

TENSORS = {f"h.{i}.weight": make_array(i, "F32", (64, 50), 0.2, 30) for i in range(5)}
FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b'{"vocab": {}}',
    "tokenizer.model": b"\x0a\x00sentencepiece",
    "merges.txt": b"a b\n",
    "README.md": b"# tiny",
    "1_Pooling/config.json": b"{}",
    "onnx/model.onnx": b"other weights",
    "pytorch_model.bin": b"the same weights, pickled",
    ".git/config": b"hidden",
}
COPIED = sorted(name for name in FILES if name not in ("onnx/model.onnx", "pytorch_model.bin", ".git/config"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, data in FILES.items():
        path = tmp_path / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    save_file(TENSORS, "tiny/model.safetensors", metadata={"format": "pt"})
    return tmp_path


def names(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def assert_holds(found: dict[str, np.ndarray]) -> None:
    assert sorted(found) == sorted(TENSORS)
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)


def test_there_and_back(folder: Path, dcz_: Callable) -> None:
    packed = dcz_("pack", "tiny", "packed")
    assert (packed.code, packed.err) == (0, "")
    assert packed.out.startswith("packed/model.dcz: 5 tensors, ") and f"{len(COPIED)} other files copied" in packed.out
    assert "left out, as weights of other formats: onnx/model.onnx, pytorch_model.bin" in packed.out
    assert names("packed") == sorted([*COPIED, "model.dcz"])
    for name in COPIED:
        assert Path("packed", name).read_bytes() == FILES[name]
    assert_holds(dcz.load_file("packed/model.dcz"))
    back = dcz_("unpack", "packed", "-o", "back/")
    assert (back.code, back.err) == (0, "")
    assert names("back") == sorted([*COPIED, "model.safetensors"])
    assert_holds(load_file("back/model.safetensors"))


def test_shards(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "tiny", "packed", "--shard-size", "30KB", "--json")
    assert (run.code, run.err) == (0, "")
    document = json.loads(run.out)
    shards = [f"model-{i:05d}-of-00003.dcz" for i in (1, 2, 3)]
    assert document["files"] == [*shards, "model.dcz.index.json"] and document["weights"] == "model.dcz.index.json"
    assert document["copied"] == COPIED and document["left_out"] == ["onnx/model.onnx", "pytorch_model.bin"]
    assert document["file_bytes"] == sum(os.path.getsize(f"packed/{name}") for name in document["files"])
    assert names("packed") == sorted([*COPIED, *document["files"]])
    assert_holds(dcz.load_file("packed/model.dcz.index.json"))
    assert dcz_("unpack", "packed/model.dcz.index.json", "-o", "one.npz", "-q").code == 0
    assert_holds(dict(np.load("one.npz")))
    assert dcz_("unpack", "packed", "-o", "back", "--shard-size", "30KB").code == 0
    assert "model-00003-of-00003.safetensors" in names("back")
    again = dcz_("pack", "back", "again.dcz")
    assert again.code == 0
    assert_holds(dcz.load_file("again.dcz"))


def test_force_leaves_no_stale_index(folder: Path, dcz_: Callable) -> None:
    assert dcz_("pack", "tiny", "packed", "--shard-size", "30KB").code == 0
    Path("packed/mine.txt").write_text("kept")
    assert dcz_("pack", "tiny", "packed").code == 1
    assert dcz_("pack", "tiny", "packed", "--force").code == 0
    assert "model.dcz.index.json" not in names("packed") and Path("packed/mine.txt").read_text() == "kept"
    assert_holds(dcz.load_file("packed/model.dcz"))


def test_linked_files_of_the_hubs_cache(folder: Path, dcz_: Callable) -> None:
    """A snapshot there is a folder of links to blobs."""
    os.mkdir("snapshot")
    for name in ("config.json", "model.safetensors"):
        os.symlink(f"../tiny/{name}", f"snapshot/{name}")
    os.symlink("../tiny", "snapshot/elsewhere")
    assert dcz_("pack", "snapshot", "packed").code == 0
    assert names("packed") == ["config.json", "model.dcz"] and not Path("packed/config.json").is_symlink()


def test_an_existing_empty_folder(folder: Path, dcz_: Callable) -> None:
    os.mkdir("packed")
    assert dcz_("pack", "tiny", "packed").code == 0
    assert_holds(dcz.load_file("packed/model.dcz"))


def several(folder: Path) -> None:
    for name in ("a", "b"):
        save_file(TENSORS, f"{name}.safetensors")
    os.makedirs("many")
    for name in ("a", "b"):
        os.rename(f"{name}.safetensors", f"many/{name}.safetensors")
    os.makedirs("none/sub")
    Path("none/config.json").write_text("{}")
    os.makedirs("broken")
    Path("broken/model.safetensors").write_bytes(Path("tiny/model.safetensors").read_bytes()[:-9])
    os.makedirs("old")
    Path("old/model.dcz").write_text("what was there")


ERRORS = {
    "no weights": (("pack", "none", "new"), "none: no weights in it; looked for *.dcz, *.safetensors"),
    "several": (("pack", "many", "new"), "2 files could be the model's weights (a.safetensors, b.safetensors)"),
    "half a download": (("pack", "broken", "new"), "9 bytes short"),
    "what is there": (("pack", "tiny", "old"), "old: already exists; use --force to replace its files"),
    "itself": (("pack", "tiny", "tiny", "--force"), "source and target are the same folder"),
    "inside itself": (("pack", "tiny", "tiny/new"), "lies in the folder that is converted; name one beside it"),
    "a file": (("pack", "tiny", "many/a.safetensors"), "already exists"),
    "no folder around it": (("pack", "tiny", "no/new"), "does not exist; create it first"),
    "a size that is none": (("pack", "tiny", "new", "--shard-size", "x"), "'x' is not a size"),
    "shards of one file": (("pack", "tiny", "new.dcz", "--shard-size", "1MB"), "a shard size is for several files"),
    "a folder from a file": (("pack", "tiny/model.safetensors", "new"), "the name of a packed file ends in .dcz"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(folder: Path, dcz_: Callable, name: str) -> None:
    several(folder)
    before = names(".")
    arguments, message = ERRORS[name]
    run = dcz_(*arguments)
    assert (
        run.code == 1
        and run.out == ""
        and run.err.count("\n") == 1
        and message in run.err.replace(str(folder) + "/", "")
    )
    assert names(".") == before
