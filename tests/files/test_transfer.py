"""From one format to another: one tensor in memory at a time, published whole or not at all, by extension."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import READABLE, WRITABLE, open_model, open_target, transfer
from dcz.errors import DczError, FormatError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits

TENSORS = {"b": make_array(1, "F32", (30, 4), 0.3), "a": make_array(2, "I16", (9,)), "c": np.float32(3)}


@pytest.mark.parametrize("source", [".dcz", ".npz", ".safetensors"])
@pytest.mark.parametrize("target", [".dcz", ".npz", ".safetensors", ".NPZ", ".SafeTensors"])
def test_every_pair(tmp_path: Path, source: str, target: str) -> None:
    dcz.save_file(TENSORS, tmp_path / "first.dcz")
    for before, after in (
        (tmp_path / "first.dcz", tmp_path / f"a{source}"),
        (tmp_path / f"a{source}", tmp_path / f"b{target}"),
    ):
        calls: list[tuple[int, int]] = []
        with open_model(before) as model:
            moved = transfer(model, open_target(after), progress=lambda *call: calls.append(call))
        assert moved.tensors == 3 and calls[-1] == (moved.nbytes, moved.nbytes) and len(calls) == 3
    with open_model(tmp_path / f"b{target}") as model:
        for tensor in model.tensors():
            assert_same_bits(np.asarray(model.read(tensor.name)), TENSORS[tensor.name])
    assert sorted(os.listdir(tmp_path)) == sorted({"first.dcz", f"a{source}", f"b{target}"})


def test_metadata_and_second_names_survive_packing_again(tmp_path: Path) -> None:
    array = np.arange(9.0)
    dcz.save_file({"a": array, "tied": array}, tmp_path / "a.dcz", metadata={"k": [1, b"x"]})
    with open_model(tmp_path / "a.dcz") as model:
        transfer(model, open_target(tmp_path / "b.dcz", profile="raw", threads=1))
    with dcz.open(tmp_path / "b.dcz") as reader:
        assert dict(reader.aliases) == {"tied": "a"} and dict(reader.metadata) == {"k": [1, b"x"]}
        assert reader.info("a").layout.values == "bytes"


@pytest.mark.parametrize("name", ["w", "w.xyz", "w.json", "w.", ".npz.bak", ".npz"])
def test_extensions_that_are_not_known(name: str) -> None:
    with pytest.raises(
        UnsupportedError, match=f"reading a file with the extension .* expected one of {', '.join(READABLE)}"
    ):
        open_model(name)
    with pytest.raises(
        UnsupportedError, match=f"writing a file with the extension .* expected one of {', '.join(WRITABLE)}"
    ):
        open_target(name)


def test_formats_that_are_only_read() -> None:
    assert set(READABLE) - set(WRITABLE) == {".ckpt", ".mlmodel", ".mlpackage", ".net", ".onnx", ".tflite"}
    with pytest.raises(UnsupportedError, match="writing a file with the extension .net is not supported"):
        open_target("w.net")


def test_shapes_go_with_net_files(tmp_path: Path) -> None:
    with pytest.raises(DczError, match="shapes are for .net files and DFloat11; .npz files have their own"):
        open_model(tmp_path / "w.npz", shapes=tmp_path / "s.json")


def test_an_unknown_profile(tmp_path: Path) -> None:
    dcz.save_file(TENSORS, tmp_path / "a.dcz")
    with open_model(tmp_path / "a.dcz") as model, pytest.raises(UnsupportedError, match="profile: 'x' is unknown"):
        transfer(model, open_target(tmp_path / "b.dcz", profile="x"))
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize("target", ["b.dcz", "b.npz", "b.safetensors", "b.npy"])
def test_a_source_that_breaks_midway(tmp_path: Path, target: str) -> None:
    """What was there before stays, and nothing else is left."""
    tensors = {"a": TENSORS["b"]} if target == "b.npy" else TENSORS
    data = bytearray(dcz.save(tensors))
    data[8] ^= 1
    (tmp_path / "a.dcz").write_bytes(data)
    (tmp_path / target).write_bytes(b"before")
    with open_model(tmp_path / "a.dcz") as model, pytest.raises(DczError):
        transfer(model, open_target(tmp_path / target))
    assert (tmp_path / target).read_bytes() == b"before"
    assert sorted(os.listdir(tmp_path)) == ["a.dcz", target]


@pytest.mark.parametrize("target", [".dcz", ".npz", ".safetensors"])
def test_memory_is_bounded_by_one_tensor(tmp_path: Path, target: str) -> None:
    size, count = 1 << 20, 24
    rng = np.random.Generator(np.random.PCG64(1))
    with dcz.Writer(tmp_path / "a.dcz", profile="raw") as writer:
        for i in range(count):
            writer.add(f"w{i}", rng.integers(0, 256, size, np.uint8))
    with open_model(tmp_path / "a.dcz") as model:
        transfer(model, open_target(tmp_path / f"warm{target}", threads=1))
    tracemalloc.start()
    with open_model(tmp_path / "a.dcz") as model:
        transfer(model, open_target(tmp_path / f"b{target}", threads=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * size < count * size


def test_a_dcz_file_with_a_broken_layout(tmp_path: Path) -> None:
    (tmp_path / "a.dcz").write_bytes(b"not a dcz file")
    with pytest.raises(FormatError, match="not a dcz file"):
        open_model(tmp_path / "a.dcz")
