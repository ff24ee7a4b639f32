"""Model folders of the hub's layout, packed and unpacked by the command line."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
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
LEFT_OUT = "".join(
    f"warning: left out: {name}: weights of another format\n" for name in ("onnx/model.onnx", "pytorch_model.bin")
)
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
    assert (packed.code, packed.err) == (0, LEFT_OUT)
    assert packed.out.startswith("packed/model.dcz: 5 tensors, ") and f"{len(COPIED)} other files copied" in packed.out
    assert names("packed") == sorted([*COPIED, "model.dcz"])
    for name in COPIED:
        assert Path("packed", name).read_bytes() == FILES[name]
    assert_holds(dcz.load_file("packed/model.dcz"))
    back = dcz_("unpack", "packed", "-o", "back/")
    assert (back.code, back.err) == (0, "")
    assert names("back") == sorted([*COPIED, "model.safetensors"])
    assert_holds(load_file("back/model.safetensors"))


def test_nothing_else_to_copy(folder: Path, dcz_: Callable) -> None:
    os.mkdir("bare")
    save_file(TENSORS, "bare/model.safetensors")
    run = dcz_("pack", "bare", "packed")
    assert run.code == 0 and "copied" not in run.out


@pytest.mark.parametrize("command", ["pack tiny full/", "unpack packed full"])
def test_an_error_names_the_place_that_was_asked_for(folder: Path, dcz_: Callable, command: str) -> None:
    """Not the temporary folder, which is gone."""
    assert dcz_("pack", "tiny", "packed", "-q").code == 0
    before, limits = names("."), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        run = dcz_(*command.split(), "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    errors = [line for line in run.err.splitlines() if "left out" not in line]
    assert run.code == 1 and len(errors) == 1
    assert errors[0].startswith("dcz: full/") and errors[0].endswith(": File too large")
    assert names(".") == before and not list(folder.glob(".*"))


def test_shards(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "tiny", "packed", "--shard-size", "30KB", "--json")
    assert (run.code, run.err) == (0, LEFT_OUT)
    document = json.loads(run.out)
    shards = [f"model-{i:05d}-of-00003.dcz" for i in (1, 2, 3)]
    assert document["files"] == [*shards, "model.dcz.index.json"] and document["weights"] == "model.dcz.index.json"
    assert document["copied"] == COPIED and list(document["left_out"]) == ["onnx/model.onnx", "pytorch_model.bin"]
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
    """A snapshot there is a folder of links to blobs beside it."""
    os.makedirs("models--tiny/blobs")
    os.makedirs("models--tiny/snapshots/0a1b")
    for name in ("config.json", "model.safetensors"):
        Path(f"models--tiny/blobs/{name}").write_bytes(Path("tiny", name).read_bytes())
        os.symlink(f"../../blobs/{name}", f"models--tiny/snapshots/0a1b/{name}")
    os.symlink("../../../tiny", "models--tiny/snapshots/0a1b/elsewhere")
    done = dcz_("pack", "models--tiny/snapshots/0a1b", "packed")
    assert (done.code, done.err) == (0, "warning: left out: elsewhere: a link to a folder, which is not followed\n")
    assert names("packed") == ["config.json", "model.dcz"] and not Path("packed/config.json").is_symlink()


def test_an_existing_empty_folder(folder: Path, dcz_: Callable) -> None:
    os.mkdir("packed")
    assert dcz_("pack", "tiny", "packed").code == 0
    assert_holds(dcz.load_file("packed/model.dcz"))


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict | None]:
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}, file.metadata()


def assert_same_folder(found: str, expected: str) -> None:
    """Every safetensors file has the same tensors and metadata, every other file the same bytes."""
    assert names(found) == names(expected)
    for name in names(expected):
        one, other = Path(found, name), Path(expected, name)
        if name.endswith(".safetensors"):
            (arrays, metadata), (others, same) = read(one), read(other)
            assert metadata == same and list(arrays) == list(others)
            for each, array in others.items():
                assert_same_bits(arrays[each], array)
        elif name.endswith(".index.json"):
            assert json.loads(one.read_text()) == json.loads(other.read_text())
        else:
            assert one.read_bytes() == other.read_bytes()


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Many weights in one folder, as sentence-transformers, PEFT and diffusers write them, and shards."""
    monkeypatch.chdir(tmp_path)
    stems = ("adapter_model", "2_Dense/model", "unet/diffusion_pytorch_model", "unet/diffusion_pytorch_model.fp16")
    for number, stem in enumerate(stems):
        Path("hub", stem).parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"w{i}": make_array(10 * number + i, "F32", (30, 20), 0.2, 30) for i in range(3)}
        save_file(tensors, f"hub/{stem}.safetensors", metadata={"format": "pt", "of": stem})
    os.mkdir("hub/text")
    files = {}
    for i, (name, array) in enumerate(TENSORS.items()):
        files[name] = f"model-{i % 2 + 1:05d}-of-00002.safetensors"
    for file in set(files.values()):
        save_file({n: TENSORS[n] for n in TENSORS if files[n] == file}, f"hub/text/{file}", metadata={"format": "pt"})
    metadata = {"total_size": 64000, "total_parameters": 16000, "tied": "h.0.weight"}
    document = {"metadata": metadata, "weight_map": files}
    Path("hub/text/model.safetensors.index.json").write_text(json.dumps(document))
    others = {
        "model_index.json": b"{}",
        "unet/config.json": b"{}",
        ".gitattributes": b"*.bin filter=lfs",
        "a.zip": b"PK",
    }
    for name, data in {**others, "training_args.bin": b"PK\3\4 of a run", "libs/other.bin": b"not PyTorch's"}.items():
        Path("hub", name).parent.mkdir(exist_ok=True)
        Path("hub", name).write_bytes(data)
    return tmp_path


def test_every_file_keeps_its_name_and_comes_back(pipeline: Path, dcz_: Callable) -> None:
    packed = dcz_("pack", "hub", "packed", "--strict")
    assert (packed.code, packed.err) == (0, "")
    made = [name for name in names("packed") if ".dcz" in name]
    stems = ["2_Dense/model", "adapter_model", "text/model-00001-of-00002", "text/model-00002-of-00002"]
    stems += ["unet/diffusion_pytorch_model", "unet/diffusion_pytorch_model.fp16"]
    assert made == sorted([*(f"{stem}.dcz" for stem in stems), "text/model.dcz.index.json"])
    found = dcz.load_file("packed/text/model.dcz.index.json")
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)
    back = dcz_("unpack", "packed", "-o", "back", "--strict")
    assert (back.code, back.err) == (0, "")
    assert_same_folder("back", "hub")


def test_nothing_may_be_left_out_by_strict(folder: Path, dcz_: Callable) -> None:
    before = names(".")
    done = dcz_("pack", "tiny", "packed", "--strict")
    assert done.code == 1 and "strict: onnx/model.onnx and 1 more would be left out: weights of another" in done.err
    assert names(".") == before


def test_links_out_of_the_folder_are_not_copied(folder: Path, dcz_: Callable) -> None:
    Path("secret").write_text("a password")
    os.symlink("../secret", "tiny/added_tokens.json")
    os.symlink("tokenizer.json", "tiny/inside.json")
    os.symlink("nowhere", "tiny/broken.json")
    os.mkfifo("tiny/pipe")
    done = dcz_("pack", "tiny", "packed")
    assert done.code == 0
    assert "left out: added_tokens.json: a link out of the folder, which is not followed; copy the file" in done.err
    assert "left out: broken.json: a link to nothing" in done.err and "pipe: not a regular file" in done.err
    assert names("packed") == sorted([*COPIED, "inside.json", "model.dcz"])
    assert Path("packed/inside.json").read_bytes() == FILES["tokenizer.json"]


def test_pytorch_checkpoints_become_what_transformers_loads(pipeline: Path, dcz_: Callable) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
    tensors = {name: torch.from_numpy(array) for name, array in TENSORS.items()}
    os.makedirs("old/text")
    torch.save(tensors, "old/pytorch_model.bin")
    torch.save({"lora": torch.ones(3)}, "old/adapter_model.bin")
    files = {name: f"pytorch_model-{i % 2 + 1:05d}-of-00002.bin" for i, name in enumerate(TENSORS)}
    for file in set(files.values()):
        torch.save({n: tensors[n] for n in files if files[n] == file}, f"old/text/{file}")
    Path("old/text/pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    assert dcz_("pack", "old", "packed", "--strict").code == 0
    assert dcz_("unpack", "packed", "-o", "back", "--strict").code == 0
    shards = ["text/model-00001-of-00002.safetensors", "text/model-00002-of-00002.safetensors"]
    assert names("back") == sorted(
        ["adapter_model.safetensors", "model.safetensors", *shards, "text/model.safetensors.index.json"]
    )
    found, metadata = read("back/model.safetensors")
    assert_holds(found)
    assert metadata["format"] == "pt" and read(Path("back", shards[0]))[1]["format"] == "pt"


@pytest.mark.parametrize("groups", [{}, {"group_0": {"weights": {"num_bits": 8}}}])
def test_the_configuration_of_weights_that_are_dense_now(folder: Path, dcz_: Callable, groups: dict) -> None:
    dense = np.eye(9, dtype=np.float32)
    save_file(
        {
            "w.shape": np.array([9, 9]), "w.compressed": np.ones(9, np.float32), "w.row_offsets": np.arange(9),
            "w.bitmask": np.packbits(dense.astype(bool), axis=1, bitorder="little"),
        },
        "tiny/model.safetensors",
    )  # fmt: skip
    inner = {"quant_method": "compressed-tensors", "sparsity_config": {"format": "sparse-bitmask"}}
    config = {"model_type": "tiny", "quantization_config": inner | ({"config_groups": groups} if groups else {})}
    Path("tiny/config.json").write_text(json.dumps(config))
    done = dcz_("pack", "tiny", "packed")
    assert done.code == 0 and "packed/config.json: changed, as the weights are plain tensors now" in done.out
    found = json.loads(Path("packed/config.json").read_text())
    assert "sparsity_config" not in found.get("quantization_config", {}) and found["model_type"] == "tiny"
    assert ("quantization_config" in found) == bool(groups)
    assert_same_bits(dcz.load_file("packed/model.dcz")["w.weight"], dense)


def test_several_files_of_one_name(folder: Path, dcz_: Callable) -> None:
    Path("tiny/pytorch_model.bin").unlink()
    dcz.save_file({"other": np.zeros(3)}, "tiny/model.dcz")
    done = dcz_("pack", "tiny", "packed")
    assert "left out: model.safetensors: model.dcz is converted to a file of this name" in done.err
    assert list(dcz.load_file("packed/model.dcz")) == ["other"]


def test_force_leaves_nothing_stale_below(pipeline: Path, dcz_: Callable) -> None:
    assert dcz_("pack", "hub", "packed").code == 0
    assert dcz_("pack", "hub", "packed", "--force", "--shard-size", "10MB").code == 0
    below = [name for name in names("packed") if name.startswith("text/")]
    assert below == ["text/model.dcz"]
    found = dcz.load_file("packed/text/model.dcz")
    assert_same_bits(found.pop("tied"), TENSORS["h.0.weight"])
    assert_holds(found)


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
    "several": (("pack", "many", "new.dcz"), "2 files could be the model's weights (a.safetensors, b.safetensors)"),
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
        run.code == (2 if name in ("a size that is none", "shards of one file", "a folder from a file") else 1)
        and run.out == ""
        and run.err.count("\n") == 1
        and message in run.err.replace(str(folder) + "/", "")
    )
    assert names(".") == before
