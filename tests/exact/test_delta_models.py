"""Deltas of whole models: their names, chains, bases and shards."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.errors import BaseError, DczError, UnsupportedError
from support.arrays import make_array
from support.pairs import TRANSFORMS, changed, copied, delta, same


def checkpoint(seed: int = 0) -> dict[str, np.ndarray]:
    """A small model with everything that changes in one."""
    return {
        "block.a": make_array(seed, "BF16", (300, 700), 1.0, 5000, "float"),
        "block.b": make_array(seed + 1, "F32", (64, 64), 0.1, 16, "float"),
        "head": make_array(seed + 2, "BF16", (100, 30), 1.0, 900, "float"),
        "bias": make_array(seed + 3, "F32", (70,), 1.0, 70, "float"),
        "count": np.array(7),
        "gone": np.ones(5, "float32"),
        "empty": np.zeros((0, 4), "float16"),
    }


def next_checkpoint(base: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Changed, renamed, reshaped, new, tied, untouched."""
    moved = changed(base["head"], 5, 0.02, "near")
    return {
        "block.a": changed(base["block.a"], 1, 0.01, "near"),
        "block.b": changed(base["block.b"].reshape(4096), 2, 0.1, "far"),
        "lm_head": moved,
        "bias": base["bias"],
        "count": np.array(8),
        "new": np.arange(6, dtype="int16"),
        "tied": moved,
        "empty": np.zeros((4, 0), "float16"),
    }


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_whole_model(transform: str, threads: int) -> None:
    base = checkpoint()
    new = next_checkpoint(base)
    out = io.BytesIO()
    saved = dcz.save_delta(new, out, base=base, transform=transform, threads=threads)
    file = out.getvalue()
    assert saved.removed == ("gone",) and saved.copied == 1
    loaded = dcz.load_file(file, base=base, threads=threads)
    assert same(loaded, new) and loaded["tied"] is loaded["lm_head"]
    with dcz.open(file, base=base) as reader:
        assert reader.base_name("lm_head") == "head" and reader.transform("bias") == "copy"
        assert reader.get_slice("bias")[3:5].tobytes() == new["bias"][3:5].tobytes()
        assert reader.get_slice("bias")[::-2].tobytes() == new["bias"][::-2].tobytes()
        assert len(reader.patch("bias").indices) == 0
    model = copied(base)
    head = model["head"]
    dcz.apply_delta(model, file, threads=threads)
    assert same(model, new)
    assert model["tied"] is model["lm_head"] is head


def test_only_some_names() -> None:
    base = checkpoint()
    new = next_checkpoint(base)
    model = copied(base)
    dcz.apply_delta(model, delta(new, base), names=["block.a"])
    assert model.keys() == base.keys()
    assert model["block.a"].tobytes() == new["block.a"].tobytes()
    assert model["count"] == 7
    with pytest.raises(KeyError, match="nowhere"):
        dcz.apply_delta(model, delta(new, base), names=["nowhere"])


def test_renames_that_are_given() -> None:
    base = {"a": np.arange(9.0), "b": np.arange(9.0) + 1}
    new = {"x": base["b"] * 2}
    file = delta(new, base, renames={"x": "a"}, transform="step")
    with dcz.open(file, base=base) as reader:
        assert reader.base_name("x") == "a" and reader["x"].tolist() == new["x"].tolist()
    with pytest.raises(DczError, match="'x' from 'nowhere': the base has no such tensor"):
        delta(new, base, renames={"x": "nowhere"})


def test_two_tensors_of_one() -> None:
    """Untied: both are made of the one that the base has."""
    base = {"embed": np.arange(5000.0)}
    new = {"embed": base["embed"].copy(), "head": base["embed"].copy()}
    new["embed"][7] = new["head"][9] = 1.5
    file = delta(new, base, renames={"head": "embed"})
    model = copied(base)
    dcz.apply_delta(model, file)
    assert same(model, new)


def test_a_chain_by_its_record() -> None:
    models = [checkpoint()]
    for seed in range(3):
        models.append({name: changed(array, seed, 0.01, "near") for name, array in models[-1].items()})
    files = [delta(new, base) for base, new in zip(models, models[1:])]
    model = copied(models[0])
    state = dcz.apply_delta(model, files[0])
    with pytest.raises(BaseError, match="in order"):
        dcz.apply_delta(model, files[2], verify="recorded", state=state)
    with pytest.raises(DczError, match="state="):
        dcz.apply_delta(model, files[1], verify="recorded")
    for file in files[1:]:
        state = dcz.apply_delta(model, file, verify="recorded", state=state)
    assert same(model, models[3])
    out = io.BytesIO()
    dcz.fold(files[0], files[1], out)
    both = io.BytesIO()
    dcz.fold(out.getvalue(), files[2], both)
    assert same(dcz.load_file(both.getvalue(), base=models[0]), models[3])
    with pytest.raises(BaseError, match="in order"):
        dcz.fold(files[0], files[2], io.BytesIO())


def test_a_chain_by_its_record_where_a_tied_name_becomes_a_tensor() -> None:
    """The first name goes, the second stays: the record knows it too."""
    array = np.arange(3000.0)
    models = [{"w": array}, {"new": array + 1}, {"tied": array + 1}]
    models[1]["tied"] = models[1]["new"]
    model = copied(models[0])
    state = dcz.apply_delta(model, delta(models[1], models[0]))
    assert model["tied"] is model["new"]
    dcz.apply_delta(model, delta(models[2], models[1]), verify="recorded", state=state)
    assert same(model, models[2])


def test_replacing_needs_no_base_and_can_be_done_twice() -> None:
    base = {"w": make_array(1, "F32", (3000,), 1.0, 900, "float")}
    new = {"w": base["w"].copy()}
    new["w"][5::700] = 0
    file = delta(new, base, transform="replace")
    indices, values, _ = dcz.open(file).patch("w")
    assert indices.tolist() == list(range(5, 3000, 700)) and not values.any()
    with pytest.raises(UnsupportedError, match="is replaced"):
        dcz.invert(file, io.BytesIO())


def test_rebase() -> None:
    one, two = checkpoint(), checkpoint(50)
    new = next_checkpoint(one)
    out = io.BytesIO()
    dcz.rebase(delta(new, one, metadata={"step": 3}), out, base=one, onto=two)
    assert same(dcz.load_file(out.getvalue(), base=two), new)
    assert dcz.open(out.getvalue()).metadata["step"] == 3


def test_bases_of_every_kind(tmp_path) -> None:
    from safetensors.numpy import save_file

    base, new = {"w": np.float32(np.arange(70_000))}, {"w": np.float32(np.arange(70_000)) + 1}
    dcz.save_file(base, tmp_path / "old.dcz")
    save_file(base, tmp_path / "old.safetensors")
    save_file(new, tmp_path / "new.safetensors")
    for old in (tmp_path / "old.dcz", tmp_path / "old.safetensors", base, dcz.open(tmp_path / "old.dcz")):
        dcz.save_delta(tmp_path / "new.safetensors", tmp_path / "step.dcz", base=old)
        with dcz.open(tmp_path / "step.dcz", base=dcz.open(tmp_path / "old.dcz")) as reader:
            assert reader.get_slice("w")[66_000:66_003].tolist() == [66_001, 66_002, 66_003]
        assert same(dcz.load_file(tmp_path / "step.dcz", base=dcz.open(tmp_path / "old.dcz")), new)


def test_streaming_against_a_base() -> None:
    """Tensors come one by one: from the writer's base, with one of their own, under another name, without any."""
    base = {"a": np.arange(3000.0), "b": np.ones(50, "float32")}
    new = {"a": base["a"] + (base["a"] == 9), "x": base["b"] * 1, "own": np.arange(3000) + 1, "new": np.zeros(3)}
    with dcz.Writer(file := io.BytesIO(), base=base, transform="step") as writer:
        writer.add("a", new["a"])
        writer.add("x", new["x"], base_name="b")
        writer.add("own", new["own"], base=np.arange(3000), base_name="mine")
        writer.add("new", new["new"])
    with dcz.open(file.getvalue(), base={**base, "mine": np.arange(3000)}) as reader:
        assert same(dict(reader), new)
        assert [reader.transform(name) for name in new] == ["step", "copy", "step", "whole"]


@pytest.fixture
def shards(tmp_path):
    """A base, what became of it, and the index of two files of differences."""
    import json

    base = {"a": np.arange(3000.0), "b": np.zeros((40, 50), "float32"), "c": np.ones(9)}
    new = {"a": base["a"] + (base["a"] == 9), "b": base["b"] + np.eye(40, 50, dtype="float32"), "c": base["c"]}
    for file, names in (("1.dcz", "ac"), ("2.dcz", "b")):
        part = {name: new[name] for name in names}
        dcz.save_delta(part, tmp_path / file, base={name: base[name] for name in names}, transform="step")
    where = {"a": "1.dcz", "c": "1.dcz", "b": "2.dcz"}
    (tmp_path / "m.dcz.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return base, new, tmp_path / "m.dcz.index.json"


def test_shards(shards) -> None:
    base, new, index = shards
    with dcz.open(index, base=base) as reader:
        assert same(dict(reader), new)
        assert reader.transform("c") == "copy" and reader.base_name("a") == "a"
        assert reader.patch("a").indices.tolist() == [9]
        assert reader.get_slice("b")[3, 1:5].tolist() == [0, 0, 1, 0]
    assert dcz.verify(index, base=base).tensors == 3
    model = copied(base)
    assert dcz.apply_delta(model, index, names=["b"]).tensors == 1
    assert model["a"].tobytes() == base["a"].tobytes() and model["b"].tobytes() == new["b"].tobytes()
    model = copied(base)
    dcz.apply_delta(model, index)
    assert same(model, new)
    dcz.undo_delta(model, index)
    assert same(model, base)


def test_shards_are_applied_together_or_not_at_all(shards) -> None:
    base, _, index = shards
    model = copied(base)
    model["b"][0, 0] = 5
    before = copied(model)
    with pytest.raises(BaseError, match="tensor 'b', chunk 0"):
        dcz.apply_delta(model, index)
    assert same(model, before)


def test_sparse_views_are_of_the_result() -> None:
    """What is stored are the changes: a view of those would be wrong."""
    pytest.importorskip("scipy", reason="needs SciPy")
    base = {"w": np.zeros((300, 40), "float32")}
    base["w"][::7] = 3
    new = {"w": base["w"].copy()}
    new["w"][0, 0] = 0
    with dcz.open(delta(new, base, transform="step"), base=base) as reader:
        assert (reader.get_csr("w").toarray() == new["w"]).all()
        assert reader.get_clusters("w").codebook.tolist() == [3]


def test_readers_travel(tmp_path) -> None:
    """To other processes, with their base."""
    import pickle

    base = {"w": np.arange(3000.0)}
    new = {"w": base["w"] + (base["w"] == 9)}
    (tmp_path / "step.dcz").write_bytes(delta(new, base))
    with dcz.open(tmp_path / "step.dcz", base=base) as reader, pickle.loads(pickle.dumps(reader)) as other:
        assert same(dict(other), new)


def test_folding_keeps_extensions_and_is_bounded() -> None:
    models = [{"w": np.full(1 << 20, value, "float32")} for value in (0, 1, 2)]
    files = []
    for number, (old, new) in enumerate(zip(models, models[1:])):
        file = io.BytesIO()
        with dcz.Writer(file, base=old, extensions={"x": {"step": number}}) as writer:
            writer.add("w", new["w"])
        files.append(file.getvalue())
    out = io.BytesIO()
    dcz.fold(*files, out)
    with dcz.open(out.getvalue()) as reader:
        assert reader.extensions == {"x": {"step": 1}}
    for work in (
        lambda: dcz.fold(*files, io.BytesIO(), max_bytes=1000),
        lambda: dcz.invert(files[0], io.BytesIO(), max_bytes=1000),
    ):
        with pytest.raises(dcz.LimitError, match="the limit is 1000"):
            work()
