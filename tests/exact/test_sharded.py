"""A model in several files is read as if it were one: by `dcz.open`, `load_file`, `verify` and what stands on them."""

from __future__ import annotations

import io
import json
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.container import loading
from dcz.errors import DczError, FormatError, TruncatedError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.command import Run, dcz_

__all__ = ["dcz_"]

TENSORS = {
    "a.weight": make_array(1, "F32", (300, 40), 0.1, 9),
    "b.weight": make_array(2, "BF16", (70, 30), 1.0, 5),
    "c.bias": make_array(3, "I64", (), 1.0, 5),
    "d.weight": make_array(4, "F32", (64, 64), 0.3, 300),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tied = {**TENSORS, "a.tied": TENSORS["a.weight"]}
    return Path(dcz.save_sharded(tied, tmp_path, shard_size=20_000, metadata={"step": 3}))


def test_it_is_a_mapping_with_the_surface_of_a_reader(model: Path) -> None:
    with dcz.open(model) as reader:
        assert isinstance(reader, dcz.ShardedReader) and len(reader.shards) == 3
        assert sorted(reader) == sorted([*TENSORS, "a.tied"]) and len(reader) == 5 and "c.bias" in reader
        assert dict(reader.metadata) == {"step": 3} and dict(reader.aliases) == {"a.weight": "a.tied"}
        assert reader.size == sum(os.path.getsize(shard) for shard in reader.shards)
        assert reader.source == str(model) and str(model) in repr(reader) and "<table" in reader._repr_html_()
        for name, array in TENSORS.items():
            assert_same_bits(reader[name], array)
            assert reader.info(name).shape == array.shape
        assert_same_bits(reader.get_slice("d.weight")[3:9, ::2], TENSORS["d.weight"][3:9, ::2])
        assert reader.get_csr("a.weight").nnz == np.count_nonzero(TENSORS["a.weight"].view("<u4"))
        clusters = reader.get_clusters("a.weight")
        assert clusters.mask.sum() == len(clusters.indices)
    public = {name for name in dir(dcz.Reader) if not name.startswith("_")}
    assert public <= {name for name in dir(dcz.ShardedReader) if not name.startswith("_")}


def test_a_folder_stands_for_its_index(model: Path, tmp_path: Path) -> None:
    assert_same_bits(dcz.load_file(model.parent)["b.weight"], TENSORS["b.weight"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(IsADirectoryError, match=r"no \.dcz\.index\.json and no \.dcz file"):
        dcz.open(tmp_path / "empty")


def test_loading_all_of_it(model: Path) -> None:
    calls: list[tuple[int, int]] = []
    out = {"b.weight": np.empty((70, 30), TENSORS["b.weight"].dtype)}
    found = dcz.load_file(model, out=out, threads=2, progress=lambda *call: calls.append(call))
    assert found["b.weight"] is out["b.weight"] and found["a.tied"] is found["a.weight"]
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)
    assert calls[-1][0] == calls[-1][1] == sum(array.nbytes for array in TENSORS.values())
    with pytest.raises(KeyError, match="no tensor named 'x'"):
        dcz.load_file(model, names=["x"])
    with pytest.raises(dcz.LimitError):
        dcz.load_file(model, max_bytes=1000)


def test_one_tensor_opens_one_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcz.container import sharded

    opened: list[str] = []
    original = sharded.Reader

    def counted(path: str, **options: object) -> dcz.Reader:
        opened.append(os.path.basename(path))
        return original(path, **options)

    monkeypatch.setattr(sharded, "Reader", counted)
    with dcz.open(model) as reader:
        assert reader["d.weight"].shape == (64, 64) and reader.info("d.weight") and len(opened) == 1


def test_more_shards_than_may_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcz.container import sharded

    monkeypatch.setattr(sharded, "_OPEN", 2)
    tensors = {f"t{i}": np.full(9, i, np.float32) for i in range(6)}
    index = dcz.save_sharded(tensors, tmp_path, shard_size=1)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with dcz.open(index) as reader:
        part = reader.get_slice("t0")
        for name, array in tensors.items():
            assert_same_bits(reader[name], array)
        if before:
            assert len(os.listdir("/proc/self/fd")) <= before + 3
        assert part[2] == 0  # its file has been let go by the reader, not by the slice


def test_it_is_pickled_by_its_name(model: Path) -> None:
    with dcz.open(model) as reader:
        again = pickle.loads(pickle.dumps(reader))
    assert_same_bits(again["b.weight"], TENSORS["b.weight"])
    with pytest.raises(DczError, match="the reader is closed"):
        reader["b.weight"]


def test_verify_covers_every_file_and_every_name(model: Path) -> None:
    found = dcz.verify(model)
    assert found.tensors == 4 and found.decoded == sum(array.nbytes for array in TENSORS.values())
    assert dcz.verify(model.parent) == found
    document = json.loads(model.read_text())
    dropped = {name: file for name, file in document["weight_map"].items() if name != "d.weight"}
    model.write_text(json.dumps({**document, "weight_map": {**dropped, "c.bias": document["weight_map"]["d.weight"]}}))
    with pytest.raises(FormatError, match="tensor 'c.bias' is in .* by the index"):
        dcz.verify(model)


def test_a_tensor_in_two_shards_is_named(model: Path) -> None:
    document = json.loads(model.read_text())
    first = model.parent / document["weight_map"]["b.weight"]
    with dcz.open(first) as reader:
        tensors = reader.load()
    other = document["weight_map"]["d.weight"]
    assert other != first.name
    dcz.save_file({**tensors, "d.weight": TENSORS["d.weight"]}, first)
    document["metadata"].pop("file_sizes")
    model.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=f"{first.name}: tensor 'd.weight' is in '{other}' by the index"):
        dcz.verify(model)


def test_codebooks_of_a_shard_are_counted_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound of a load is for all shards, not the size of each."""
    monkeypatch.setattr("dcz.limits.WORKING_BYTES", 0)
    assert len(dcz.load_file(model)) == 5


def test_a_broken_shard_is_named(model: Path) -> None:
    shard = sorted(model.parent.glob("*.dcz"))[1]
    data = bytearray(shard.read_bytes())
    shard.write_bytes(data[:-5])
    with pytest.raises(TruncatedError, match=shard.name):
        dcz.open(model)
    data[100] ^= 1
    shard.write_bytes(data)
    with dcz.open(model) as reader, pytest.raises(dcz.ChecksumError, match=shard.name):
        dict(reader)
    shard.unlink()
    with pytest.raises(FormatError, match=shard.name):
        dcz.open(model)


def test_what_takes_a_mapping_takes_it(model: Path, tmp_path: Path) -> None:
    with dcz.open(model) as reader:
        assert dcz.compare(reader).weights == dcz.compare(dcz.load_file(model)).weights
        recipe = {"density": 0.5}
        lazily, whole = (dcz.compress(model, recipe, keep_nonfinite=True) for model in (reader, dict(reader)))
        for name in whole:
            assert_same_bits(np.asarray(lazily[name]), np.asarray(whole[name]))
        dcz.save_file(reader, tmp_path / "one.dcz")
    for name, array in TENSORS.items():
        assert_same_bits(dcz.load_file(tmp_path / "one.dcz")[name], array)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard_size": 0}, "shard_size: expected a positive number"),
        ({"shard_size": "much"}, "shard size"),
        ({"name": "../m"}, "beginning of a file name"),
    ],
)
def test_options_that_make_no_files(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.save_sharded(TENSORS, tmp_path, **options)
    assert os.listdir(tmp_path) == []


def test_a_failed_save_leaves_the_folder_as_it_was(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    with pytest.raises(DczError):
        dcz.save_sharded({"a": TENSORS["a.weight"], "b": np.array(["text"])}, model.parent)
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_the_command_takes_an_index_and_its_folder(dcz_: Callable[..., Run], model: Path, verb: str) -> None:
    for file in (model, model.parent):
        assert dcz_(verb, str(file)).code == 0


def test_tensors_are_copied_from_it_as_they_are_stored(model: Path, tmp_path: Path) -> None:
    """Tensors of two shards may have the same number, and are not the same."""
    like = {"p": np.arange(1, 101, dtype="<f8"), "q": np.arange(2, 102, dtype="<f8")}
    (tmp_path / "like").mkdir()
    index = dcz.save_sharded(like, tmp_path / "like", shard_size=800)
    for path, tensors in ((model, {**TENSORS, "a.tied": TENSORS["a.weight"]}), (index, like)):
        with dcz.open(path) as reader, dcz.Writer(tmp_path / "copy.dcz") as writer:
            for name in reader:
                writer.copy(reader, name)
        for name, array in dcz.load_file(tmp_path / "copy.dcz").items():
            assert_same_bits(array, tensors[name])


def test_merge_compare_and_plan_take_it(model: Path, dcz_: Callable[..., Run]) -> None:
    document = json.loads(model.read_text())
    document["weight_map"] = dict(sorted(document["weight_map"].items(), reverse=True))  # a.weight before a.tied
    model.write_text(json.dumps(document))
    out = model.parent / "one.dcz"
    for source in (model, model.parent):
        assert dcz_("merge", source, "-o", out, "--force").code == 0
        with dcz.open(out) as reader:
            assert len(reader.aliases) == 1
            assert sorted(reader) == sorted([*TENSORS, "a.tied"]) and reader.metadata == {"step": 3}
            for name, array in TENSORS.items():
                assert_same_bits(reader[name], array)
        out.unlink()
        assert dcz_("compare", source).code == 0
        assert "has NaN or infinity" in dcz_("plan", source, "--target-ratio", "2").err  # it was read
    assert dcz.compare(model.parent).source == str(model.parent)


def test_merge_loses_no_tensor_that_the_index_does_not_name(model: Path, dcz_: Callable[..., Run]) -> None:
    document = json.loads(model.read_text())
    del document["weight_map"]["c.bias"]
    model.write_text(json.dumps(document))
    run = dcz_("merge", model, "-o", model.parent / "one.dcz")
    assert run.code == 1 and "tensor 'c.bias' is not in the index" in run.err
    assert not (model.parent / "one.dcz").exists()


def test_its_index_is_not_called_something_to_pack(model: Path) -> None:
    for file in (model.read_bytes(), io.BytesIO(model.read_bytes())):
        with pytest.raises(FormatError, match="index of a sharded model; open it by its path"):
            dcz.load_file(file)


def test_metadata_of_tensors_and_portable_files(tmp_path: Path) -> None:
    arrays = {"a": np.arange(90.0), "b": np.ones(90)}
    about = {"b": {"scale": 0.5}}
    index = dcz.save_sharded(arrays, tmp_path, shard_size=800, tensor_metadata=about, portable=True)
    with dcz.open(index) as reader:
        assert reader.info("b").metadata == {"scale": 0.5} and reader.info("a").metadata == {}
        assert len(reader.shards) == 2
    alone = dcz.save({"b": arrays["b"]}, tensor_metadata=about, portable=True)
    assert (tmp_path / "model-00002-of-00002.dcz").read_bytes() == alone
    with pytest.raises(DczError, match="tensor_metadata: 'c' is not among the tensors"):
        dcz.save_sharded(arrays, tmp_path, tensor_metadata={"c": {}})


def test_threads_decode_several_shards_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard of one chunk has nothing for a second thread; two of them have."""
    arrays = {name: np.full(1 << 18, value, np.float32) for value, name in enumerate(("a", "b"), 1)}
    index = dcz.save_sharded(arrays, tmp_path, shard_size=1 << 20)
    both, decode = threading.Barrier(2, timeout=20), loading.run_task

    def met(store: object, task: object) -> None:
        both.wait()
        decode(store, task)

    monkeypatch.setattr(loading, "run_task", met)
    calls: list[tuple[int, int]] = []
    loaded = dcz.load_file(index, threads=2, progress=lambda *call: calls.append(call))
    assert calls == [(1 << 20, 2 << 20), (2 << 20, 2 << 20)]
    for name, array in arrays.items():
        assert_same_bits(loaded[name], array)


def test_more_shards_than_are_loaded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.container.sharded._TOGETHER", 3)
    monkeypatch.setattr("dcz.container.sharded._OPEN", 2)
    arrays = {f"w{n}": np.full(100, n, np.float32) for n in range(8)}
    index = dcz.save_sharded(arrays, tmp_path, shard_size=400)
    out = {"w5": np.empty(100, np.float32)}
    loaded = dcz.load_file(index, threads=2, out=out)
    assert loaded["w5"] is out["w5"]
    for name, array in arrays.items():
        assert_same_bits(loaded[name], array)
    damaged = tmp_path / "model-00007-of-00008.dcz"
    data = bytearray(damaged.read_bytes())
    data[20] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(DczError, match="model-00007-of-00008.dcz"):
        dcz.load_file(index, threads=2)
