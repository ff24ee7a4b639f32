"""What opening a file costs is bounded by its size: under a megabyte, no more than 64 MiB (SPEC, limits)."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.forging import encoded, expand, finish, forge, plain_index, segments, zoo
from support.layouts import in_layout

resource = pytest.importorskip("resource", reason="limits of address space are of Unix")

MEGABYTE = 1 << 20

# Opens a file with 64 MiB of address space beyond what the process has, and prints what became of it.
OPEN = """
import resource, sys, dcz
dcz.open(dcz.save({})).close()
(used,) = [int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize")]
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
try:
    dcz.open(sys.argv[1]).close()
    print("opened")
except dcz.DczError as refusal:
    print(refusal)
"""


def opened(path: Path, data: bytes) -> str:
    """What became of opening a file of less than a megabyte."""
    assert len(data) < MEGABYTE
    path.write_bytes(data)
    run = subprocess.run([sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def metadata_of(item: bytes, size: int, plain: dict) -> bytes:
    """An index whose metadata is a list of equal items, of so many bytes in all."""
    raw, head = encoded(plain | {"metadata": {"a": 0}}), b"\x81\xa1a"
    at = raw.index(head + b"\x00") + len(head)
    count = size // len(item)
    return raw[:at] + b"\xdd" + struct.pack(">I", count) + item * count + raw[at + 1 :]


ITEMS = {
    "nils": (b"\xc0", "opened"),
    "small numbers": (b"\x07", "opened"),
    "numbers": (b"\xcd\x01\x01", "opened"),
    "text": (b"\xa2ab", "opened"),
    "lists": (b"\x90", "lists and maps; split the model into shards"),
    "maps": (b"\x80", "lists and maps; split the model into shards"),
    "maps of one": (b"\x81\xa1a\x01", "lists and maps; split the model into shards"),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the process's size is read from /proc")
@pytest.mark.parametrize("name", ITEMS)
def test_metadata_of_many_items(name: str, tmp_path: Path) -> None:
    item, outcome = ITEMS[name]
    path = tmp_path / "bomb.dcz"
    small = finish(segments({}), metadata_of(item, 500_000, plain_index({})))
    assert len(small) < 1000
    assert outcome in opened(path, small)
    raw = metadata_of(item, 900_000, plain_index({}))
    assert outcome in opened(path, finish(segments({}), raw, raw, is_raw=True))
    filled = {
        "w": in_layout(np.random.Generator(np.random.PCG64(1)).integers(0, 256, 880_000, np.uint8), "all", "bytes")
    }
    largest = finish(segments(filled), metadata_of(item, 2_250_000, plain_index(filled)))
    assert outcome in opened(path, largest)


def empties(count: int, name: Callable[[int], str]) -> dict:
    """The index of so many empty tensors."""
    one = plain_index({"w": zoo()["empty"]})
    many = {key: column * count for key, column in one.items() if type(column) is list and len(column) == 1}
    return one | many | {"names": list(map(name, range(count))), "dims": [0, 3] * count, "dtypes": one["dtypes"]}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the process's size is read from /proc")
@pytest.mark.parametrize("kind", ["names", "two names that are equal", "chunks", "codes", "too many names"])
def test_columns_of_many_entries(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.dcz"
    if kind == "names":
        raw = encoded(empties(35_000, "{:x}".format))
        assert opened(path, finish(segments({}), raw, raw, is_raw=True)) == "opened"
    elif kind == "two names that are equal":  # found in one pass over the names
        raw = encoded(empties(35_000, lambda i: f"{max(i, 1):x}"))
        assert "duplicate tensor '1'" in opened(path, finish(segments({}), raw, raw, is_raw=True))
    elif kind == "chunks":
        zeros = in_layout(np.zeros(1 << 20, "<f4"), "bitmap", "codebook")
        assert opened(path, forge({"w": zeros}, lambda plain: expand(plain, 120_000), raw=True)) == "opened"
    elif kind == "codes":
        raw = encoded(plain_index({}) | {"codes": [f"c{i}" for i in range(120_000)]})
        assert opened(path, finish(segments({}), raw, raw, is_raw=True)) == "opened"
    else:
        raw = encoded(empties(100_000, "{:x}".format))
        assert "has an index of at most" in opened(path, finish(segments({}), raw))
