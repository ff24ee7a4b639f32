"""Models in several files: the hub's layout read and written, whole or not at all, and every way an index can lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from dcz.convert import open_model, open_target, parse_size, transfer
from dcz.errors import DczError, FormatError, LimitError, TruncatedError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.converting import convert

TENSORS = {
    f"layer.{i}.{code}": make_array(i, code, (40, 10 + i), 0.3, 20) for i in range(4) for code in ("F32", "F16", "U8")
}


def hub(folder: Path, tensors: dict[str, np.ndarray] = TENSORS, parts: int = 3) -> Path:
    """A sharded safetensors checkpoint as the hub has it, by the library."""
    names = sorted(tensors)
    weight_map = {}
    for part in range(parts):
        file = f"model-{part + 1:05d}-of-{parts:05d}.safetensors"
        mine = names[part::parts]
        save_file({name: tensors[name] for name in mine}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(mine, file)
    total = sum(array.nbytes for array in tensors.values())
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    return path


def assert_holds(found: dict[str, np.ndarray], tensors: dict[str, np.ndarray] = TENSORS) -> None:
    assert sorted(found) == sorted(tensors)
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_sharded_safetensors_to_one_file(tmp_path: Path) -> None:
    packed = convert(hub(tmp_path), tmp_path / "m.dcz")
    assert_holds(dcz.load_file(packed))
    with dcz.open(packed) as reader:
        assert dict(reader.metadata) == {"format": "pt"}


@pytest.mark.parametrize("size", [1, 3000, 10**9])
def test_to_shards_and_back(tmp_path: Path, size: int) -> None:
    packed = convert(hub(tmp_path), tmp_path / "packed.dcz.index.json", shard_size=size)
    document = json.loads(packed.read_text())
    files = sorted(set(document["weight_map"].values()))
    assert document["metadata"]["total_size"] == sum(array.nbytes for array in TENSORS.values())
    assert document["metadata"]["file_sizes"] == {file: os.path.getsize(tmp_path / file) for file in files}
    count = {1: len(TENSORS), 10**9: 1}.get(size, len(files))
    assert files == [f"packed-{i + 1:05d}-of-{count:05d}.dcz" for i in range(count)]
    for file in files:
        held = [n for n, where in document["weight_map"].items() if where == file]
        assert sorted(dcz.load_file(tmp_path / file)) == sorted(held)
        assert len(held) == 1 or sum(TENSORS[n].nbytes for n in held) <= size
    assert_holds(dcz.load_file(packed))
    back = convert(packed, tmp_path / "back.safetensors.index.json", shard_size=5000)
    found = {}
    for file in set(json.loads(back.read_text())["weight_map"].values()):
        found |= load_file(tmp_path / file)
    assert_holds(found)
    assert_holds(load_file(convert(packed, tmp_path / "one.safetensors")))


def test_loading_parts_of_it(tmp_path: Path) -> None:
    packed = convert(hub(tmp_path), tmp_path / "m.dcz.index.json", shard_size=3000)
    names = ["layer.3.U8", "layer.0.F32"]
    out = {"layer.0.F32": np.empty((40, 10), np.float32)}
    calls: list[tuple[int, int]] = []
    found = dcz.load_file(packed, names=iter(names), out=out, progress=lambda *call: calls.append(call))
    assert list(found) == names and found["layer.0.F32"] is out["layer.0.F32"]
    for name in names:
        assert_same_bits(found[name], TENSORS[name])
    total = sum(TENSORS[name].nbytes for name in names)
    assert calls[-1] == (total, total) and all(call[1] == total for call in calls)
    with pytest.raises(KeyError, match="other"):
        dcz.load_file(packed, names=["other"])
    with pytest.raises(DczError, match="out: 'layer.0.F32' is not among the tensors to load"):
        dcz.load_file(packed, names=["layer.1.U8"], out=out)
    with pytest.raises(LimitError, match=f"decoding needs {total} bytes; the limit is {total - 1}"):
        dcz.load_file(packed, names=names, max_bytes=total - 1)
    assert len(dcz.load_file(packed, names=names, max_bytes=total)) == 2


def test_second_names_stay_with_their_tensor(tmp_path: Path) -> None:
    array, other = TENSORS["layer.0.F32"], TENSORS["layer.1.F32"]
    dcz.save_file({"a": array, "b": other, "z": array}, tmp_path / "a.dcz")
    packed = convert(tmp_path / "a.dcz", tmp_path / "m.dcz.index.json", shard_size=1)
    weight_map = json.loads(packed.read_text())["weight_map"]
    assert weight_map["z"] == weight_map["a"] != weight_map["b"]
    found = dcz.load_file(packed)
    assert found["z"] is found["a"]
    assert_holds(found, {"a": array, "b": other, "z": array})
    with open_model(packed) as model:
        assert dict(model.aliases) == {"z": "a"}
    back = convert(packed, tmp_path / "m.safetensors.index.json", shard_size=array.nbytes)
    document = json.loads(back.read_text())
    assert document["metadata"]["total_size"] == array.nbytes + other.nbytes and document["metadata"]["z"] == "a"
    assert sorted(document["weight_map"]) == ["a", "b"]
    with open_model(back) as model:
        assert dict(model.aliases) == {"z": "a"}


def test_what_the_index_says_of_the_model_survives(tmp_path: Path) -> None:
    """The hub writes second names and counts of parameters there."""
    path = hub(tmp_path)
    document = json.loads(path.read_text())
    document["metadata"] |= {"shared_2": "layer.0.F32", "total_parameters": 4711, "note": {"by": ["us"]}}
    path.write_text(json.dumps(document))
    packed = convert(path, tmp_path / "m.dcz")
    with dcz.open(packed) as reader:
        assert dict(reader.aliases) == {"shared_2": "layer.0.F32"}
        assert reader.metadata["index"] == {"total_parameters": 4711, "note": {"by": ["us"]}}
    shards = convert(packed, tmp_path / "n.dcz.index.json", shard_size=3000)
    back = convert(shards, tmp_path / "back.safetensors.index.json", shard_size=3000)
    found = json.loads(back.read_text())["metadata"]
    assert {key: found[key] for key in document["metadata"]} == document["metadata"]


def test_tensors_that_the_index_does_not_name(tmp_path: Path) -> None:
    """Neither lost in silence nor taken: named, and refused where nothing may be left out."""
    path = hub(tmp_path)
    stray = tmp_path / "model-00002-of-00003.safetensors"
    held = load_file(stray)
    save_file(held | {"stray": np.ones(3), "layer.0.F16": np.ones(3)}, stray)
    assert json.loads(path.read_text())["weight_map"]["layer.0.F16"] != stray.name
    with open_model(path) as model:
        assert model.left_out == {
            f"{stray.name}: stray": "a tensor that the index does not name",
            f"{stray.name}: layer.0.F16": "the index says that this tensor is in model-00001-of-00003.safetensors",
        }
        moved = transfer(model, open_target(tmp_path / "m.dcz"))
        assert moved.left_out == model.left_out
        with pytest.raises(DczError, match="strict: .* and 1 more would be left out"):
            transfer(model, open_target(tmp_path / "n.dcz"), strict=True)
    assert_holds(dcz.load_file(tmp_path / "m.dcz"))
    assert not (tmp_path / "n.dcz").exists()


def test_nothing_of_before_stays_beside_a_new_index(tmp_path: Path) -> None:
    path = hub(tmp_path)
    first = convert(path, tmp_path / "m.dcz.index.json", shard_size=1)
    assert (tmp_path / f"m-00001-of-{len(TENSORS):05d}.dcz").exists()
    for name in ("m.dcz", "m-2.dcz", "mm-00001-of-00009.dcz", "m-00001-of-00009.dcz.txt"):
        (tmp_path / name).write_bytes(b"here before")
    convert(path, first, shard_size=10**9)
    found = sorted(each.name for each in tmp_path.iterdir() if "m-" in each.name or each.name.startswith("m."))
    assert found == [
        "m-00001-of-00001.dcz", "m-00001-of-00009.dcz.txt", "m-2.dcz", "m.dcz.index.json", "mm-00001-of-00009.dcz"
    ]  # fmt: skip


def test_the_file_that_is_read_stays(tmp_path: Path) -> None:
    """A model cut into shards beside itself."""
    source = convert(hub(tmp_path), tmp_path / "m.dcz")
    with open_model(source) as model:
        transfer(model, open_target(tmp_path / "m.dcz.index.json", shard_size=3000, source=source))
    assert_holds(dcz.load_file(source))


def test_shards_of_another_number_are_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m-00001-of-00009.dcz").write_bytes(b"here before")
    with open_model(hub(tmp_path)) as model, pytest.raises(DczError, match="m-00001-of-00009.dcz: already exists; use"):
        transfer(model, open_target(tmp_path / "m.dcz.index.json", replace=False))
    assert (tmp_path / "m-00001-of-00009.dcz").read_bytes() == b"here before"


def test_no_tensors(tmp_path: Path) -> None:
    dcz.save_file({}, tmp_path / "a.dcz")
    packed = convert(tmp_path / "a.dcz", tmp_path / "m.dcz.index.json")
    assert dcz.load_file(packed) == {}


@pytest.mark.parametrize("file", ["../m.dcz", "/m.dcz", "sub/m.dcz", "..", "", "a\\m.dcz", "C:m.dcz", "m\0.dcz"])
@pytest.mark.parametrize("extension", [".dcz", ".safetensors"])
def test_names_that_escape(tmp_path: Path, file: str, extension: str) -> None:
    path = tmp_path / f"m{extension}.index.json"
    path.write_text(json.dumps({"weight_map": {"w": file}}))
    for read in (open_model, dcz.load_file) if extension == ".dcz" else (open_model,):
        with pytest.raises(FormatError, match="is not the plain name of a file beside the index"):
            read(path)


def test_files_that_are_absent(tmp_path: Path) -> None:
    path = hub(tmp_path)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(FormatError, match="'model-00002-of-00003.safetensors' is missing, of 3 files; finish the down"):
        open_model(path)
    (tmp_path / "model-00003-of-00003.safetensors").unlink()
    with pytest.raises(FormatError, match="'model-00002-of-00003.safetensors' and 1 more are missing, of 3 files"):
        open_model(path)


def test_half_downloaded_files(tmp_path: Path) -> None:
    """Which one, and how many bytes short."""
    path = hub(tmp_path)
    packed = convert(path, tmp_path / "m.dcz.index.json", shard_size=3000)
    for index, part in ((path, "model-00002-of-00003.safetensors"), (packed, "m-00002-of-")):
        (file,) = (file for file in tmp_path.iterdir() if file.name.startswith(part))
        os.truncate(file, os.path.getsize(file) - 77)
        with pytest.raises(TruncatedError, match=f"{part}.*: 77 bytes short .*finish the download"):
            open_model(index)
    with pytest.raises(TruncatedError, match="m-00002-of-.*: 77 bytes short"):
        dcz.load_file(packed)
    with open(file, "ab") as longer:
        longer.write(bytes(80))
    with pytest.raises(FormatError, match="they do not belong together"):
        dcz.load_file(packed)


def test_an_index_of_other_files(tmp_path: Path) -> None:
    dcz.save_file({"a": np.zeros(3)}, tmp_path / "m-1.dcz")
    path = tmp_path / "m.dcz.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "m-1.dcz", "b": "m-1.dcz", "c": "m-1.dcz"}}))
    for read in (open_model, dcz.load_file):
        with pytest.raises(
            FormatError, match="m-1.dcz has no tensor 'b' and 1 more; index and files do not belong tog"
        ):
            read(path)


def test_the_index_decides_what_there_is(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3), "left out": np.ones(3)}, tmp_path / "1.safetensors")
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "1.safetensors"}}))
    with open_model(path) as model:
        assert [tensor.name for tensor in model.tensors()] == ["a"] and len(model.left_out) == 1
    array = np.arange(4)
    dcz.save_file({"a": array, "b": array}, tmp_path / "1.dcz")
    (tmp_path / "m.dcz.index.json").write_text(json.dumps({"weight_map": {"b": "1.dcz"}}))
    with pytest.raises(FormatError, match="'b' is another name of 'a', which it leaves out"):
        open_model(tmp_path / "m.dcz.index.json")


BAD = {
    "no JSON": ("{", "not valid JSON"),
    "a list": ("[]", "expected an object with a weight_map"),
    "braces": ("[" * 100_000, "not valid JSON"),
    "no map": ("{}", "weight_map: expected an object of file names, found None"),
    "a map of numbers": ('{"weight_map": {"a": 1}}', "weight_map: expected an object of file names"),
    "a name twice": ('{"weight_map": {"a": "x", "a": "y"}}', "duplicate key"),
    "metadata of text": ('{"weight_map": {}, "metadata": "x"}', "metadata: expected an object"),
    "sizes of text": (
        '{"weight_map": {}, "metadata": {"file_sizes": {"a": "1"}}}',
        "file_sizes: expected an object of sizes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_index(tmp_path: Path, name: str) -> None:
    text, message = BAD[name]
    path = tmp_path / "m.dcz.index.json"
    path.write_text(text)
    for read in (open_model, dcz.load_file):
        with pytest.raises(FormatError, match=message):
            read(path)


def test_an_index_beyond_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub(tmp_path)
    monkeypatch.setattr("dcz.limits.MAX_SHARD_INDEX_BYTES", 100)
    with pytest.raises(LimitError, match="bytes; the limit of an index of shards is"):
        open_model(path)


def test_a_source_that_breaks_midway(tmp_path: Path) -> None:
    data = bytearray(dcz.save(TENSORS, profile="raw"))
    data[-len(data) // 4] ^= 1
    (tmp_path / "a.dcz").write_bytes(data)
    with open_model(tmp_path / "a.dcz") as model, pytest.raises(DczError):
        transfer(model, open_target(tmp_path / "m.dcz.index.json", shard_size=1))
    assert os.listdir(tmp_path) == ["a.dcz"]


def test_files_that_are_there(tmp_path: Path) -> None:
    packed = convert(hub(tmp_path), tmp_path / "m.dcz.index.json", shard_size=3000)
    packed.unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with open_model(tmp_path / "model.safetensors.index.json") as model:
        with pytest.raises(DczError, match="m-00001-of-.*: already exists; use --force to replace it"):
            transfer(model, open_target(packed, shard_size=3000, replace=False))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_shard_size_for_one_file(tmp_path: Path) -> None:
    with pytest.raises(
        DczError, match="a shard size is for several files; name their index, such as model.dcz.index.json"
    ):
        open_target(tmp_path / "m.dcz", shard_size=3)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("500MB", 500_000_000), ("2.5 gb", 2_500_000_000), ("1KiB", 1024)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "GB", "-1GB", "5XB", "1e9", "nan", "0.0001KB", "5GB!"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(DczError, match="is not a size; write a number with a unit"):
        parse_size(text)
