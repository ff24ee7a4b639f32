"""pack --base, apply, fold, verify --base and inspect of files of differences."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from support.arrays import make_array
from support.pairs import changed, same

OLD = {
    "layer.weight": make_array(1, "F32", (300, 200), 1.0, 5000, "float"),
    "layer.bias": make_array(2, "F32", (200,), 1.0, 200, "float"),
    "head": make_array(3, "F16", (50, 70), 1.0, 900, "float"),
}
NEW = {
    "layer.weight": changed(OLD["layer.weight"], 1, 0.02, "near"),
    "layer.bias": OLD["layer.bias"],
    "lm_head": changed(OLD["head"], 3, 0.1, "near"),
}
THIRD = {name: changed(array, 7, 0.05, "near") for name, array in NEW.items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three checkpoints, and the place to be."""
    monkeypatch.chdir(tmp_path)
    for name, tensors in (("old", OLD), ("new", NEW), ("third", THIRD)):
        save_file(tensors, f"{name}.safetensors", metadata={"step": name})
    return tmp_path


def test_there_and_back(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "new.safetensors", "step.dcz", "--base", "old.safetensors")
    assert (run.code, run.err) == (0, "") and run.out.startswith("step.dcz: 3 tensors, ")
    assert os.path.getsize("step.dcz") < 0.05 * os.path.getsize("new.safetensors")
    for name in ("back.safetensors", "back.npz", "back.dcz"):
        run = dcz_("apply", "old.safetensors", "step.dcz", "-o", name)
        assert (run.code, run.err) == (0, "") and run.out.startswith(f"{name}: 3 tensors, ")
        run = dcz_("diff", "new.safetensors", name)
        assert run.code == 0, run.out
    assert same(load_file("back.safetensors"), NEW)
    dcz_("pack", "old.safetensors", "old.dcz")
    assert dcz_("apply", "old.dcz", "step.dcz", "-o", "again.safetensors").code == 0
    assert (folder / "again.safetensors").read_bytes() == (folder / "back.safetensors").read_bytes()
    assert json.loads(dcz_("apply", "old.dcz", "step.dcz", "-o", "x.npz", "--json").out)["tensors"] == 3


def test_which_base_is_wanted(folder: Path, dcz_: Callable) -> None:
    digest = hashlib.sha256((folder / "old.safetensors").read_bytes()).hexdigest()
    dcz_("pack", "new.safetensors", "step.dcz", "--base", "old.safetensors")
    wanted = f"old.safetensors, SHA-256 {digest}"
    for command in (
        ("apply", "step.dcz", "-o", "back.npz"),
        ("apply", "gone.safetensors", "step.dcz", "-o", "back.npz"),
        ("apply", "third.safetensors", "step.dcz", "-o", "back.npz"),
        ("unpack", "step.dcz", "-o", "back.npz"),
        ("verify", "step.dcz", "--base", "gone.npz"),
    ):
        run = dcz_(*command)
        assert run.code == (2 if command[1] == "step.dcz" and command[0] == "apply" else 1)
        assert run.out == "" and run.err.count("\n") == 1
        assert wanted in run.err or "another base" in run.err, run.err
        assert not os.path.exists("back.npz")
    run = dcz_("pack", "new.safetensors", "other.dcz", "--base", "gone.safetensors")
    assert (run.code, run.err) == (1, "dcz: gone.safetensors: the base is not there\n")


def test_wrong_use(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "new.safetensors", "step.dcz", "--base", "old.safetensors")
    assert dcz_("apply", "old.safetensors", "step.dcz").code == 2
    assert dcz_("pack", "new.safetensors", "x.dcz", "--transform", "xor").code == 2
    assert dcz_("pack", "new.safetensors", "x.dcz", "--base", "old.safetensors", "--transform", "fast").code == 2
    run = dcz_("apply", "old.safetensors", "step.dcz", "-o", "new.safetensors")
    assert run.code == 1 and "already exists" in run.err
    dcz_("pack", "new.safetensors", "whole.dcz")
    run = dcz_("apply", "old.safetensors", "whole.dcz", "-o", "x.npz")
    assert run.code == 1 and "is a whole model" in run.err
    assert dcz_("inspect", "whole.dcz", "--base", "old.safetensors").code == 1


def test_verify(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "new.safetensors", "step.dcz", "--base", "old.safetensors")
    assert dcz_("verify", "step.dcz").code == 0
    run = dcz_("verify", "step.dcz", "--base", "old.safetensors")
    assert (run.code, run.err) == (0, "")
    run = dcz_("verify", "step.dcz", "--base", "new.safetensors")
    assert run.code == 1


def test_inspect(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "new.safetensors", "step.dcz", "--base", "old.safetensors")
    found = json.loads(dcz_("inspect", "step.dcz", "--base", "old.safetensors", "--json").out)
    tensors = {each["name"]: each for each in found["tensors"]}
    weight = tensors["layer.weight"]
    assert weight["changed"] == np.count_nonzero(OLD["layer.weight"] != NEW["layer.weight"])
    assert weight["one_step"] > 0.9 and weight["transform"] == "step"
    assert tensors["layer.bias"]["transform"] == "copy" and tensors["layer.bias"]["stored"] == 0
    assert tensors["lm_head"]["base_name"] == "head"
    assert abs(found["full_bytes"] - len(dcz.save(NEW, metadata={}))) < 200
    run = dcz_("inspect", "step.dcz")
    assert run.code == 0 and "layer.weight" in run.out and "the base: old.safetensors, SHA-256" in run.out


def test_fold(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "new.safetensors", "one.dcz", "--base", "old.safetensors")
    dcz_("pack", "third.safetensors", "two.dcz", "--base", "new.safetensors")
    run = dcz_("fold", "one.dcz", "two.dcz", "-o", "both.dcz")
    assert (run.code, run.err) == (0, ""), run.err
    assert dcz_("apply", "old.safetensors", "both.dcz", "-o", "back.safetensors").code == 0
    assert same(load_file("back.safetensors"), THIRD)
    assert dcz.open("both.dcz").metadata["base"]["name"] == "old.safetensors"
    run = dcz_("fold", "two.dcz", "one.dcz", "-o", "wrong.dcz")
    assert run.code == 1 and "in order" in run.err and not os.path.exists("wrong.dcz")


def test_shards(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "new.safetensors", "step.dcz.index.json", "--base", "old.safetensors", "--shard-size", "100KB")
    assert (run.code, run.err) == (0, ""), run.err
    assert len(list(folder.glob("step-*.dcz"))) > 1
    run = dcz_("apply", "old.safetensors", "step.dcz.index.json", "-o", "back.safetensors")
    assert (run.code, run.err) == (0, ""), run.err
    assert same(load_file("back.safetensors"), NEW)
    assert same(dcz.load_file("step.dcz.index.json", base=OLD), NEW)
    model = {name: array.copy() for name, array in OLD.items()}
    dcz.apply_delta(model, "step.dcz.index.json")
    assert same(model, NEW)
