"""What a file may ask for is bounded, and refused before the memory for it is taken."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import limits
from dcz.errors import DczError, LimitError
from dcz.format.directory import ROW_KEYS
from support.forging import encoded, finish, forge, plain_index, segments
from support.layouts import in_layout
from support.memory import at_most

SMALL = {"w": in_layout(np.arange(8, dtype="<f4"), "all", "bytes")}
MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "shape",
    [[1 << 30], [1 << 47], [1 << 16, 1 << 16, 1 << 16], [1 << 48, 0, 5], [0, 1 << 47], [1 << 62], [2**64 - 1, 1]],
    ids=str,
)
def test_a_huge_shape_takes_no_memory(shape: list[int]) -> None:
    def edit(plain: dict) -> None:
        plain["shapes"][0] = shape

    data = forge(SMALL, edit)
    with at_most(MEGABYTE):
        for read in (dcz.load, dcz.verify, lambda data: dcz.open(data)["w"], lambda data: dcz.open(data).info("w")):
            with pytest.raises(DczError):
                read(data)


def test_a_tensor_that_expands_a_lot() -> None:
    """A terabyte of zeros is a valid file of a few kilobytes. It is opened, and not decoded unasked."""
    zeros = in_layout(np.zeros(1 << 20, "<f4"), "bitmap", "codebook")
    chunks = 1 << 18

    def edit(plain: dict) -> None:
        plain["shapes"][0] = [chunks << 20]
        for key in ROW_KEYS:
            plain[key] *= chunks

    assert zeros.layout.chunk == 1 << 20 and len(zeros.layout.crc32c) == 1
    assert sum(sum(stream.lengths) for stream in zeros.layout.streams) == 0
    data = forge({"w": zeros}, edit)
    assert len(data) < 20_000
    with at_most(128 * MEGABYTE):
        with pytest.raises(
            LimitError, match="decoding needs 1099511627776 bytes; the limit is .*max_bytes=1099511627776"
        ):
            dcz.load(data)
        reader = dcz.open(data)
        with pytest.raises(LimitError, match="decoding needs"):
            reader["w"]
        assert not reader.get_slice("w")[(1 << 37) + 12345 : (1 << 37) + 12399].any()


def test_a_directory_as_large_as_may_be(tmp_path: Path) -> None:
    """A kilobyte that says two million chunks is opened within bounds; a chunk more is refused before it is."""
    zeros = in_layout(np.zeros(1 << 20, "<f4"), "bitmap", "codebook")
    most = limits.MAX_DIRECTORY // (3 + 2 * len(zeros.layout.streams))
    for chunks in (most, most + 1):

        def edit(plain: dict) -> None:
            plain["shapes"][0] = [chunks << 20]
            for key in ROW_KEYS:
                plain[key] *= chunks

        path = tmp_path / "large.dcz"
        path.write_bytes(forge({"w": zeros}, edit))
        assert path.stat().st_size < 4096
        run = [sys.executable, "-c", OPEN, str(path)]
        said, memory = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        assert said == "opened" if chunks == most else "directory: more than" in said
        assert int(memory) < (1000 if chunks == most else 350) * MEGABYTE


def test_the_writer_keeps_to_the_directory_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DIRECTORY", 20)
    dcz.load(dcz.save({"w": np.arange(3)}))
    with pytest.raises(LimitError, match="directory: more than 20 numbers; split the model into shards"):
        dcz.save({"w": np.arange(1 << 20)})


def test_max_bytes() -> None:
    data = dcz.save({"a": np.zeros(1000), "b": np.ones(1000)})
    assert len(dcz.load(data, max_bytes=16_000)) == 2
    with pytest.raises(LimitError, match="decoding needs 16000 bytes; the limit is 15999"):
        dcz.load(data, max_bytes=15_999)
    assert list(dcz.load(data, names=["a"], max_bytes=8000)) == ["a"]
    with pytest.raises(LimitError):
        dcz.load(data, names=["a"], max_bytes=0)


def test_tied_tensors_count_once() -> None:
    array = np.arange(1000.0)
    data = dcz.save({"a": array, "b": array})
    assert len(dcz.load(data, max_bytes=8000)) == 2


def test_the_default_is_a_multiple_of_the_file_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PHYS_PAGES": 1 << 30, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert limits.default_max_bytes(0) == limits.FREE_EXPANSION_BYTES
    assert limits.default_max_bytes(1 << 30) == limits.EXPANSION_RATIO << 30
    pages["SC_PHYS_PAGES"] = 1000
    assert limits.default_max_bytes(1 << 30) == 4_096_000

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert limits.default_max_bytes(1 << 30) == limits.EXPANSION_RATIO << 30


# Indices of almost 32 MiB that compress to a kilobyte.
BOMBS = {
    "empty lists": (b"\x90", 30 * MEGABYTE),
    "empty maps": (b"\x80", 30 * MEGABYTE),
    "lists in lists": (b"\x91\x90", 15 * MEGABYTE),
    "text": (b"\xa2ab", 10 * MEGABYTE),
    "numbers": (b"\x07", 30 * MEGABYTE),
}


# Prints what became of it, and the most memory the process ever held, in bytes.
OPEN = """
import sys, dcz
try:
    dcz.open(sys.argv[1]).close()
    print("opened")
except dcz.LimitError as refusal:
    print(refusal)
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak) * 1024)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_an_index_that_expands_a_lot(name: str, tmp_path: Path) -> None:
    item, count = BOMBS[name]
    raw = encoded(plain_index({}) | {"metadata": {"a": 0}})[:-1]
    data = finish(segments({}), raw + b"\xdd" + struct.pack(">I", count) + item * count)
    assert len(data) < 4096
    path = tmp_path / "bomb.dcz"
    path.write_bytes(data)
    run = [sys.executable, "-c", OPEN, str(path)]
    said, memory = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    harmless = name in ("text", "numbers")
    assert said == "opened" if harmless else "lists and maps" in said
    assert int(memory) < (1000 if harmless else 350) * MEGABYTE


@pytest.mark.parametrize("where", ["tensors", "aliases"])
def test_too_many_tensors(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(limits, "MAX_TENSORS", 2)
    array = np.arange(3)
    dcz.load(dcz.save({"a": array, "b": array, "c": array}))
    data = dcz.save({name: array if where == "aliases" else array.copy() for name in "abcd"})
    with pytest.raises(LimitError, match="more than 2"):
        dcz.load(data)


def test_the_writer_keeps_to_the_index_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"w": np.arange(3)}
    monkeypatch.setattr(limits, "MAX_INDEX_BYTES", 100)
    with pytest.raises(LimitError, match="index: .* bytes are more than 100; split the model into shards"):
        dcz.save(tensors)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_INDEX_CONTAINERS", 5)
    with pytest.raises(LimitError, match="index: more than 5 lists and maps; split the model into shards"):
        dcz.save(tensors)


def test_the_writer_refuses_shapes_that_no_reader_takes() -> None:
    for shape in ((0, 1 << 50), (1 << 25, 1 << 25, 0)):
        with pytest.raises(LimitError, match="has more than"):
            dcz.save({"w": np.empty(shape, np.uint8)})
