"""What a file may ask for is bounded, and refused before the memory for it is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import limits
from dcz.errors import DczError, LimitError
from support.forging import expand, forge
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
        plain["dims"][:], plain["ranks"][0] = shape, len(shape)

    data = forge(SMALL, edit)
    dcz.verify(forge(SMALL))  # what is imported for it takes memory too
    with at_most(MEGABYTE):
        for read in (dcz.load, dcz.verify, lambda data: dcz.open(data)["w"], lambda data: dcz.open(data).info("w")):
            with pytest.raises(DczError):
                read(data)


def test_a_tensor_that_expands_a_lot() -> None:
    """A quarter of a terabyte of zeros is a valid file of a few kilobytes. It is opened, and not decoded unasked."""
    zeros = in_layout(np.zeros(1 << 20, "<f4"), "bitmap", "codebook")
    chunks = 1 << 16

    def edit(plain: dict) -> None:
        expand(plain, chunks)

    assert zeros.layout.chunk == 1 << 20 and len(zeros.layout.crc32c) == 1
    assert sum(sum(stream.lengths) for stream in zeros.layout.streams) == 0
    data = forge({"w": zeros}, edit)
    assert len(data) < 20_000
    with at_most(128 * MEGABYTE):
        with pytest.raises(
            LimitError, match="decoding needs 274877906944 bytes; the limit is .*max_bytes=274877906944"
        ):
            dcz.load(data)
        reader = dcz.open(data)
        with pytest.raises(LimitError, match="decoding needs"):
            reader["w"]
        assert not reader.get_slice("w")[(1 << 35) + 12345 : (1 << 35) + 12399].any()


def test_a_directory_as_large_as_may_be(tmp_path: Path) -> None:
    """Two million chunks are opened within bounds; a chunk more is refused before it is."""
    zeros = in_layout(np.zeros(1 << 20, "<f4"), "bitmap", "codebook")
    most = limits.MAX_DIRECTORY // (3 + 2 * len(zeros.layout.streams))
    for chunks in (most, most + 1):

        def edit(plain: dict) -> None:
            expand(plain, chunks)

        path = tmp_path / "large.dcz"
        path.write_bytes(forge({"w": zeros}, edit, raw=True))
        said, memory = opened(path)
        assert said == "opened" if chunks == most else "directory: more than" in said
        assert memory < (1000 if chunks == most else 350) * MEGABYTE


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


# Prints what became of it, and how much more memory the process held than before, in bytes.
OPEN = """
import sys, dcz
def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
dcz.open(dcz.save({})).close()
before = peak()
try:
    dcz.open(sys.argv[1]).close()
    print("opened")
except dcz.DczError as refusal:
    print(refusal)
print(peak() - before)
"""


def opened(path: Path) -> tuple[str, int]:
    """What became of opening a file, and the memory that took."""
    run = [sys.executable, "-c", OPEN, str(path)]
    said, memory = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return said, int(memory)


@pytest.mark.parametrize("where", ["tensors", "aliases"])
def test_too_many_tensors(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(limits, "MAX_TENSORS", 2)
    array = np.arange(3)
    dcz.load(dcz.save({"a": array, "b": array, "c": array}))
    tensors = {name: array if where == "aliases" else array.copy() for name in "abcd"}
    with pytest.raises(LimitError, match="more than 2"):  # what no reader takes is not written
        dcz.save(tensors)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_TENSORS", 9)
        data = dcz.save(tensors)
    with pytest.raises(LimitError, match="; the limit is 2"):
        dcz.load(data)


def test_the_writer_keeps_to_the_index_it_can_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"w": np.arange(3)}
    monkeypatch.setattr(limits, "MAX_INDEX_BYTES", 100)
    with pytest.raises(LimitError, match="index: .* bytes; the limit is 100; split the model into shards"):
        dcz.save(tensors)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "FREE_CONTAINERS", 0)
    with pytest.raises(LimitError, match="index: more than .* lists and maps; split the model into shards"):
        dcz.save(tensors, metadata={"k": [[] for _ in range(100)]})


def test_the_writer_refuses_shapes_that_no_reader_takes() -> None:
    for shape in ((0, 1 << 50), (1 << 25, 1 << 25, 0)):
        with pytest.raises(LimitError, match="has more than"):
            dcz.save({"w": np.empty(shape, np.uint8)})
