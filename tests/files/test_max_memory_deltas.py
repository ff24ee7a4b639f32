"""Differences of tensors larger than the memory there is: made and applied block by block, to the same bytes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.delta import DeltaModel, DeltaTarget
from dcz.models import tensors_of
from support.limited import large_pair, limited, needs_proc

BOUND = ("--max-memory", "100MB", "--threads", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return large_pair(tmp_path_factory.mktemp("large"))


def _made(base, source, file, bound, transform="auto"):
    with tensors_of(base) as tensors, open_model(source) as model:
        transfer(model, DeltaTarget(file, tensors, transform=transform), max_memory=bound)
    return file.read_bytes()


@needs_proc
def test_a_base_and_its_differences_keep_to_their_memory(folder):
    base, new, delta = folder / "model.dcz", folder / "changed.safetensors", folder / "delta.dcz"
    whole = limited(folder, "pack", new, delta, "--base", base)
    assert whole.returncode != 0 and "memory" in whole.stderr.lower()
    done = limited(folder, "pack", new, delta, "--base", base, *BOUND)
    assert done.returncode == 0, done.stderr[-2000:]
    with dcz.open(delta) as reader:
        assert reader.transform("w") == "step"
        assert reader.patch("w").indices.tolist() == [0, 7_000_000, 6 * 4 * 2**20 - 1]
    whole = limited(folder, "apply", base, delta, folder / "again.safetensors")
    assert whole.returncode != 0 and "memory" in whole.stderr.lower()
    done = limited(folder, "apply", base, delta, folder / "again.safetensors", *BOUND)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "again.safetensors").read_bytes() == new.read_bytes()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two models that differ in all ways: few words, many, none, shape, name, beyond recognition; all widths."""
    folder = tmp_path_factory.mktemp("pair")
    rng, shape = np.random.default_rng(2), (3, (1 << 20) // 2 + 77)
    noise = rng.standard_normal(shape).astype("f4")
    old = {
        "few": noise, "many": noise * 2, "half": noise.astype(ml_dtypes.bfloat16), "complex": (noise[:1] + 1j),
        "integers": rng.integers(0, 9, shape), "truth": noise > 0, "same": np.ones(shape, "f4"), "old name": noise * 3,
        "zeros": np.zeros(shape, "f4"), "shape": noise * 5, "plain": noise * 7,
        "packed": rng.integers(0, 16, (3, 1 << 19)).astype("u1").view(ml_dtypes.float4_e2m1fn),
    }  # fmt: skip
    new = {name: array.copy() for name, array in old.items()}
    new["few"].reshape(-1)[rng.integers(0, noise.size, 3000)] *= 1.001
    new["many"] += rng.standard_normal(shape).astype("f4") * 1e-3
    new["half"] = (noise + np.where(rng.random(shape) < 0.01, 0.01, 0)).astype(ml_dtypes.bfloat16)
    new["complex"].reshape(-1)[[0, -1]] = 3
    new["integers"] += rng.integers(0, 2, shape)
    new["truth"][1, 5] ^= True
    new["new name"] = new.pop("old name")
    new["new name"][0, :9] = 0
    new["zeros"][...] = rng.integers(0, 4, shape)
    new["shape"] = new["shape"].reshape(-1)
    new["packed"][0, :5] = 1
    new["plain"][...] = 2
    for stem, tensors in (("old", old), ("new", new)):
        dcz.save_file(tensors, folder / f"{stem}.dcz")
        with open_model(folder / f"{stem}.dcz") as model:
            transfer(model, open_target(folder / f"{stem}.safetensors"))
    return folder


def _in_blocks(monkeypatch, kind):
    """Let even small tensors be read in the smallest blocks."""
    monkeypatch.setattr(kind, "use", kind.use._replace(whole=10**9, fixed=0))


@pytest.mark.parametrize("base, transform", [("old.safetensors", "auto"), ("old.dcz", "xor")])
def test_differences_in_blocks_are_those_of_whole_tensors(pair, tmp_path, monkeypatch, base, transform):
    whole = _made(pair / base, pair / "new.dcz", tmp_path / "whole.dcz", 10**11, transform)
    with dcz.open(tmp_path / "whole.dcz") as reader:
        assert {reader.transform(name) for name in reader} == (
            {"whole", "copy", "step", "xor"} if transform == "auto" else {"copy", "xor"}
        )
        assert reader.base_name("new name") == "old name"
    _in_blocks(monkeypatch, DeltaTarget)
    assert _made(pair / base, pair / "new.safetensors", tmp_path / "blocks.dcz", 10**8, transform) == whole


@pytest.mark.parametrize("base, ending", [("old.safetensors", "dcz"), ("old.dcz", "safetensors")])
def test_results_in_blocks_are_those_of_whole_tensors(pair, tmp_path, monkeypatch, base, ending):
    delta = tmp_path / "delta.dcz"
    _made(pair / "old.dcz", pair / "new.dcz", delta, None)
    _in_blocks(monkeypatch, DeltaModel)
    with tensors_of(pair / base) as tensors, DeltaModel(delta, tensors) as model:
        transfer(model, open_target(tmp_path / f"new.{ending}"), max_memory=10**8)
    assert (tmp_path / f"new.{ending}").read_bytes() == (pair / f"new.{ending}").read_bytes()


def test_another_base_is_refused_in_blocks_too(pair, tmp_path, monkeypatch):
    delta = tmp_path / "delta.dcz"
    _made(pair / "old.dcz", pair / "new.dcz", delta, None)
    _in_blocks(monkeypatch, DeltaModel)
    for name in ("same", "few"):
        with dcz.open(pair / "old.dcz") as reader:
            wrong = {each: reader[each] for each in reader}
        wrong[name][0, 0] = 7
        dcz.save_file(wrong, tmp_path / "wrong.dcz")
        with tensors_of(tmp_path / "wrong.dcz") as tensors, DeltaModel(delta, tensors) as model:
            with pytest.raises(dcz.BaseError, match=f"tensor '{name}'.*: the base's words have the CRC-32C"):
                transfer(model, open_target(tmp_path / "never.dcz"), max_memory=10**8)
    assert not (tmp_path / "never.dcz").exists()


def test_what_cannot_be_bounded_is_refused(tmp_path):
    array = np.zeros(1 << 21, "f4")
    dcz.save_file({"w": array + 1}, tmp_path / "new.dcz")
    np.savez(tmp_path / "old.npz", w=array)
    dcz.save_file({"w": array}, tmp_path / "old.dcz")
    needs = "max memory: 10000000 bytes are too few for tensor 'w' of 8388608 bytes, read whole, .*; allow "
    for base, transform in (("old.npz", "auto"), ("old.dcz", "replace")):
        with pytest.raises(dcz.DczError, match=needs + "51MB"):
            _made(tmp_path / base, tmp_path / "new.dcz", tmp_path / "delta.dcz", 10**7, transform)
        _made(tmp_path / base, tmp_path / "new.dcz", tmp_path / "delta.dcz", 51 * 10**6, transform)
    with tensors_of(tmp_path / "old.npz") as tensors, DeltaModel(tmp_path / "delta.dcz", tensors) as model:
        with pytest.raises(dcz.DczError, match="max memory: "):
            transfer(model, open_target(tmp_path / "again.dcz"), max_memory=10**7)


def test_the_writer_compares_arrays_in_blocks(tmp_path):
    """With an array as base, and with a mapping of arrays."""
    rng = np.random.default_rng(3)
    old = rng.standard_normal((2, (1 << 20) + 5)).astype("f4")
    new = old.copy()
    new[:, ::99] += 1
    flat = new.reshape(-1).view("u1")
    words = dcz.tensor.in_blocks(lambda a, b: flat[4 * a : 4 * b].copy(), "F32", new.shape, 1 << 20)
    found = []
    for transform in ("auto", "replace"):
        for base, own, value in ((True, {"base": old}, new), (True, {"base": old}, words), ({"w": old}, {}, words)):
            with dcz.Writer(tmp_path / "delta.dcz", base=base, transform=transform) as writer:
                writer.add("w", value, **own)
            found.append((tmp_path / "delta.dcz").read_bytes())
    assert len(set(found[:3])) == len(set(found[3:])) == 1
