"""Comparing tensors larger than the memory there is: under a limit of the system, to the same results."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest

import dcz
from dcz.convert import difference, open_model, open_target, transfer
from dcz.convert.difference import differences
from dcz.report import comparison
from support.limited import large_pair, limited, needs_proc

BOUND = "100MB"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return large_pair(tmp_path_factory.mktemp("large"))


@needs_proc
def test_diff_keeps_to_its_memory(folder):
    files = folder / "model.dcz", folder / "changed.safetensors"
    whole = limited(folder, "diff", *files, "--json")
    assert whole.returncode == 2 and "memory" in whole.stderr.lower()
    done = limited(folder, "diff", *files, "--json", "--max-memory", BOUND)
    assert done.returncode == 1, done.stderr[-2000:]
    with open_model(files[0]) as a, open_model(files[1]) as b:
        (expected,) = differences(a, b, max_memory=10**10)
    (found,) = json.loads(done.stdout)["tensors"]
    assert found["elements"] == expected.elements == 3
    assert (found["max_error"], found["relative_error"]) == (expected.max_error, expected.relative_error)
    same = limited(folder, "diff", files[0], folder / "model.safetensors", "--max-memory", BOUND)
    assert (same.returncode, same.stdout) == (0, "the same: 1 tensor, bit for bit\n")


@needs_proc
def test_compare_keeps_to_its_memory(folder):
    source = folder / "model.safetensors"
    whole = limited(folder, "compare", source, "--json")
    assert whole.returncode != 0 and "memory" in whole.stderr.lower()
    done = limited(folder, "compare", source, "--json", "--max-memory", BOUND)
    assert done.returncode == 0, done.stderr[-2000:]
    again = limited(folder, "compare", source, "--json", limit=10**10)
    assert again.returncode == 0, again.stderr[-2000:]
    assert done.stdout == again.stdout


def _tensors():
    """All kinds of layouts and widths of words, a little longer than a block."""
    rng, shape = np.random.default_rng(1), (3, (1 << 20) // 2 + 77)
    sparse = np.where(rng.random(shape) < 0.1, rng.integers(1, 400, shape), 0)
    return {
        "sparse": sparse.astype("f4"),
        "noise": rng.standard_normal(shape).astype(ml_dtypes.bfloat16),
        "complex": (rng.standard_normal((1, 1 << 20)) + 1j).astype("c8"),
        "integers": rng.integers(0, 9, shape),
        "clusters": rng.integers(0, 3000, shape).astype("f4"),
        "packed": rng.integers(0, 16, (3, 1 << 19)).astype("u1").view(ml_dtypes.float4_e2m1fn),
        "same": np.ones(shape, "f4"),
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    a = _tensors()
    b = {name: array.copy() for name, array in a.items()}
    for name in b.keys() - {"same"}:
        b[name].reshape(-1)[[5, -1, 1 << 19]] = 1
    b["sparse"][0, 9], b["sparse"][1, 9] = np.nan, np.inf
    b["clusters"] = b["clusters"].astype("f8")
    dcz.save_file(b, folder / "b.dcz")
    dcz.save_file(a, folder / "a.dcz")
    with open_model(folder / "a.dcz") as model:
        transfer(model, open_target(folder / "a.safetensors"))
    return folder


def _in_blocks(monkeypatch, module, name):
    """Let even small tensors be read in the smallest blocks."""
    use = getattr(module, name)
    monkeypatch.setattr(module, name, use._replace(whole=10**9, fixed=0))


def test_differences_in_blocks_are_those_of_whole_tensors(pair, monkeypatch):
    def found(bound):
        with open_model(pair / "a.safetensors") as a, open_model(pair / "b.dcz") as b:
            return repr(list(differences(a, b, max_memory=bound)))

    whole = found(10**10)
    _in_blocks(monkeypatch, difference, "_COMPARING")
    assert found(110_000_000) == whole


def test_sizes_in_blocks_are_those_of_whole_tensors(pair, monkeypatch):
    whole = [repr(each) for each in dcz.compare(pair / "a.safetensors").tensors]
    _in_blocks(monkeypatch, comparison, "MEASURING")
    assert [repr(each) for each in dcz.compare(pair / "a.dcz", max_memory=50_000_000).tensors] == whole
    with dcz.open(pair / "a.dcz") as reader:
        assert [repr(each) for each in dcz.compare(reader, max_memory=50_000_000).tensors] == whole


def test_what_cannot_be_bounded_is_refused(pair, tmp_path):
    np.savez(tmp_path / "m.npz", w=np.zeros(1 << 20))
    needs = "max memory: 1000000 bytes are too few for tensor 'w' of 8388608 bytes, read whole, .*; allow 3[34]MB"
    with open_model(tmp_path / "m.npz") as a, open_model(tmp_path / "m.npz") as b:
        with pytest.raises(dcz.DczError, match=needs):
            list(differences(a, b, max_memory=10**6))
        assert list(differences(a, b, max_memory=34 * 10**6))[0].status == "same"
    with pytest.raises(dcz.DczError, match=needs):
        dcz.compare(tmp_path / "m.npz", max_memory=10**6)
    with pytest.raises(dcz.DczError, match="read in blocks; allow"):
        dcz.compare(pair / "a.dcz", max_memory=10**6)
    with pytest.raises(dcz.DczError, match="max memory: is for files"):
        dcz.compare({"w": np.zeros(3)}, max_memory=10**9)
