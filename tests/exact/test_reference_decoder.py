"""SPEC.md is enough to write a reader from: one that was reads what the library writes, and refuses what it must."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.dtypes import DTYPES
from dcz.format import integers
from dcz.format.columns import DELTA_KEYS
from dcz.format.index import INTEGERS
from dcz.format.trailer import SIZE as TRAILER_SIZE
from dcz.format.trailer import ZSTD_INDEX, Trailer
from dcz.tensor import PROFILES
from support.arrays import CODES, arrays, make_array
from support.bits import assert_same_bits
from support.reference import FOLDER, reference


def check(data: bytes) -> None:
    """Both readers give the same names and bits."""
    expected = dcz.load(data)
    found, metadata = reference.load(data)
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert_same_bits(found[name], array)
    assert metadata == dict(dcz.open(data).metadata)


@given(array=arrays(), profile=st.sampled_from(list(PROFILES)))
def test_any_array(array: np.ndarray, profile: str) -> None:
    check(dcz.save({"w": array}, profile=profile))


@settings(max_examples=10)
@given(several=st.lists(arrays(most=800), max_size=6), profile=st.sampled_from(list(PROFILES)))
def test_several_tensors(several: list[np.ndarray], profile: str) -> None:
    tensors = {f"layer.{i}": array for i, array in enumerate(several)}
    if several:
        tensors["tied"] = tensors["layer.0"]
    check(dcz.save(tensors, profile=profile, metadata={"n": len(several), "x": [1.5, None, b"\0", {"y": True}]}))


# One array for each way to store: positions, values, and what is special about it.
WAYS = {
    "bitmap, codebook": ("F32", (60_000,), 0.3, 30, "float", "bitmap"),
    "8 bits, codebook": ("F32", (90_000,), 0.05, 30, "float", "csr"),
    "4 or 5 bits, codebook": ("F32", (60_000,), 0.08, 15, "float", "paper"),
    "fillers": ("F16", (90_000,), 0.001, 9, "float", "csr"),
    "all, codebook": ("F32", (40_001,), 1.0, 16, "float", "dense"),
    "two planes of indices": ("F32", (70_000,), 0.9, 900, "float", "auto"),
    "planes of bfloat16": ("BF16", (40_000,), 1.0, 60_000, "float", "auto"),
    "planes of doubles": ("F64", (20_000,), 0.5, 70_000, "float", "auto"),
    "bytes": ("U8", (50_000,), 1.0, 70_000, "random", "auto"),
    "as it is": ("F32", (3_000,), 1.0, 70_000, "random", "raw"),
    "a constant": ("F32", (50_000,), 1.0, 1, "float", "auto"),
    "zeros": ("F32", (50_000,), 0.0, 1, "float", "auto"),
    "repeated bytes": ("I8", (40_000,), 0.02, 3, "counter", "auto"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_store(way: str) -> None:
    code, shape, density, distinct, pattern, profile = WAYS[way]
    check(dcz.save({"w": make_array(3, code, shape, density, distinct, pattern)}, profile=profile))


def test_the_ways_are_different() -> None:
    kinds = set()
    for code, shape, density, distinct, pattern, profile in WAYS.values():
        layout = (
            dcz.open(dcz.save({"w": make_array(3, code, shape, density, distinct, pattern)}, profile=profile))
            .info("w")
            .layout
        )
        kinds.add((layout.positions, layout.values))
    assert {positions for positions, _ in kinds} >= {"all", "bitmap", "relative8"}
    assert {values for _, values in kinds} == {"codebook", "planes", "bytes"}


def test_frames_of_zstd() -> None:
    """Bytes that repeat far apart, which only zstd finds."""
    period = make_array(4, "U8", (700,), 1.0, 70_000, "random")
    data = dcz.save({"w": np.tile(period, 60)})
    codes = {code.kind for stream in dcz.open(data).info("w").layout.streams for code in stream.codes}
    assert "zstd" in codes
    check(data)


def test_codebooks_of_groups() -> None:
    """Each run of 2,048 weights has values of its own."""
    rng = np.random.Generator(np.random.PCG64(9))
    books = rng.standard_normal((40, 16)).astype("<f4")
    array = np.stack([book[rng.integers(0, 16, 2048)] for book in books])
    data = dcz.save({"w": array})
    assert dcz.open(data).info("w").layout.codebook.group > 0
    check(data)


def _edit(data: bytes, edit: Callable[[dict], object]) -> bytes:
    """The same file with a changed index, all checksums right."""
    begin = reference.trailer(data).begin
    columns = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(data[begin:-TRAILER_SIZE]), raw=False)
    edit(columns)
    raw = msgpack.packb(columns, use_bin_type=True)
    stored = zstandard.ZstdCompressor(write_content_size=True).compress(raw)
    return data[:begin] + stored + Trailer.of(begin, 0, stored, len(raw), ZSTD_INDEX).pack()


@settings(max_examples=150)
@given(choice=st.data())
def test_both_refuse_the_same_lies(choice: st.DataObject) -> None:
    """One number of the index changed: both readers take the file, and read the same, or both refuse it."""
    array = make_array(2, "F32", (3000,), choice.draw(st.sampled_from([0.1, 0.5])), 9, "float")
    data = dcz.save(
        {"w": array, "v": np.arange(40, dtype="<i4")}, profile=choice.draw(st.sampled_from(["auto", "paper", "csr"]))
    )
    key = choice.draw(st.sampled_from(sorted(INTEGERS - set(DELTA_KEYS))))

    def edit(columns: dict) -> None:
        stored = columns[key]
        n = (len(stored) - 1) // stored[0]
        numbers = [int.from_bytes(stored[1 + i :: n], "little") for i in range(n)]
        if numbers:
            at = choice.draw(st.integers(0, n - 1))
            numbers[at] = max(0, numbers[at] + choice.draw(st.sampled_from([-512, -64, -1, 1, 2, 3, 4, 64, 512])))
        columns[key] = integers.pack(numbers)
        if choice.draw(st.integers(0, 9)) == 0:
            at = choice.draw(st.integers(0, len(stored) - 1))
            columns[key] = stored[:at] + bytes([stored[at] ^ choice.draw(st.integers(1, 255))]) + stored[at + 1 :]

    changed = _edit(data, edit)
    try:
        unsupported = dcz.verify(changed).unsupported
    except dcz.DczError:
        with pytest.raises(reference.Refused):
            reference.load(changed)
    else:
        if unsupported:  # what one reader does not know, the other does not know either
            assert {"v", "w"} - set(reference.load(changed)[0]) == set(unsupported)
        else:
            check(changed)


def test_the_dtypes_are_the_same() -> None:
    assert set(reference.DTYPES) == set(DTYPES) == set(CODES)
    for code, dtype in DTYPES.items():
        other = reference.DTYPES[code]
        assert (other.name, other.word, other.words, other.rotated, other.bits or 8 * other.word) == (
            dtype.name,
            dtype.word,
            dtype.words,
            dtype.rotate,
            dtype.bits,
        )


def test_every_flipped_bit_is_refused() -> None:
    data = dcz.save(
        {"a": make_array(1, "F32", (40, 9), 0.3, 7, "float"), "b": np.zeros(2048, "<u2")}, metadata={"x": 1}
    )
    for bit in range(0, 8 * len(data), 5):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(reference.Refused):
            reference.load(bytes(bad))


def test_it_shares_nothing_with_the_library() -> None:
    sources = sorted(FOLDER.glob("reference_*.py"))
    assert [path.stem for path in sources] == [
        "reference_codes",
        "reference_decoder",
        "reference_deltas",
        "reference_index",
        "reference_tensors",
    ]
    for path in sources:
        words = [line.split() for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert words and not any(name.split(".")[0] == "dcz" for _, name, *_ in words), path


def code_lines(source: str) -> int:
    """Lines that are neither empty, nor a comment, nor a docstring."""
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            words |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and at not in words for at, line in lines)


def test_it_is_short() -> None:
    """What the format takes to read: a rule of a hundred lines more would be seen."""
    assert 300 < sum(code_lines(path.read_text()) for path in FOLDER.glob("reference_*.py")) <= 500


def test_its_command_line(tmp_path: Path) -> None:
    dcz.save_file({"w": np.arange(6, dtype="<f4").reshape(2, 3)}, tmp_path / "w.dcz", metadata={"step": 3})
    command = [sys.executable, FOLDER / "reference_decoder.py", tmp_path / "w.dcz"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    crc = kernels.active().crc32c(np.arange(6, dtype="<f4").view(np.uint8))
    assert json.loads(run.stdout) == {"name": "w", "dtype": "F32", "shape": [2, 3], "content_crc32c": f"{crc:08x}"}
    (tmp_path / "w.dcz").write_bytes(b"PK")
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert json.loads(run.stdout)["error"] == "format"


WRONG = (
    None,
    True,
    5,
    1.5,
    "x",
    b"",
    b"\2abc",
    [],
    [1],
    [None],
    [b"\x11"],
    ["zstd", b""],
    ["\xe4"],
    {},
    {"a": 1},
    {1: 2},
)


def test_an_index_of_wrong_types() -> None:
    """Each value of the index replaced by others: both refuse it in their own words, or both take it."""
    data = dcz.save({"w": make_array(2, "F32", (300,), 0.3, 9, "float")}, metadata={"n": 1})
    keys = list(reference.decode_index(data))
    for key in keys:
        for value in WRONG:

            def edit(columns: dict, key: str = key, value: object = value) -> None:
                columns[key] = value

            changed = _edit(data, edit)
            try:
                unsupported = dcz.verify(changed).unsupported
            except dcz.DczError:
                with pytest.raises(reference.Refused):
                    reference.load(changed)
            else:
                assert unsupported or reference.load(changed)[0].keys() == dcz.load(changed).keys()
