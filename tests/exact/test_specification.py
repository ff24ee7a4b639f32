"""SPEC.md is true where it can be run: its example, its numbers, its table of dtypes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import dcz
from dcz import kernels, limits
from dcz.dtypes import DTYPES
from dcz.entropy.code import Code
from dcz.format import columns, trailer
from dcz.format.index import keys
from support.bits import assert_same_bits
from support.forging import encoded, finish, plain_index, segments
from support.layouts import in_layout

SPEC = (Path(__file__).parents[2] / "spec" / "SPEC.md").read_text()


def example() -> bytes:
    """The bytes of the example."""
    rows = re.findall(r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)$", SPEC, re.M)
    data = b"".join(bytes.fromhex(row) for _, row in rows)
    assert [int(at, 16) for at, _ in rows] == list(range(0, len(data), 16))
    return data


def test_the_example() -> None:
    array = np.zeros(24, "<f4")
    array[[3, 4, 9, 20]] = [0.5, -1, 0.5, 0.5]
    data = example()
    assert_same_bits(dcz.load(data)["w"], array.reshape(4, 6))
    assert dcz.verify(data).tensors == 1 and dict(dcz.open(data).metadata) == {"step": 7}
    tensors = {"w": in_layout(array.reshape(4, 6), "relative8", "codebook")}
    raw = encoded(plain_index(tensors) | {"metadata": {"step": 7}})
    assert finish(segments(tensors), raw, raw, is_raw=True) == data


def test_the_row_of_three_symbols() -> None:
    code, row = re.search(r"\*Example\.\* The code `([0-9a-f ]+)`[^`]*: `([0-9a-f ]+)`", SPEC).groups()
    out = np.empty(4, np.uint8)
    record = np.frombuffer(Code("huffman", lengths=bytes.fromhex(code)).record, np.uint8)
    kernels.active().decode(record, np.frombuffer(bytes.fromhex(row), np.uint8), out)
    assert out.tolist() == [0, 1, 2, 0]


def test_requirements_are_numbered() -> None:
    found = re.findall(r"^\*\*R-([A-Z]+)-(\d+)\*\*", SPEC, re.M)
    for area in {area for area, _ in found}:
        assert [int(n) for a, n in found if a == area] == list(range(1, 1 + sum(a == area for a, _ in found)))
    assert {f"{area}-{n}" for area, n in re.findall(r"R-([A-Z]+)-(\d+)", SPEC)} <= {f"{a}-{n}" for a, n in found}


def test_the_keys_are_those_of_the_index() -> None:
    table = SPEC[SPEC.index("### 7.2 Columns") : SPEC.index("Nothing about one tensor's place")]
    named = [key for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for key in re.findall(r"`(\w+)`", cell)]
    assert tuple(named) == keys(True) and set(keys(True)) - set(keys(False)) == set(columns.DELTA_KEYS)


def test_the_dtypes() -> None:
    table = SPEC[SPEC.index("## 2. Elements") : SPEC.index("A tensor's words are those")]
    rows = re.findall(r"^\| ([A-Z][A-Z0-9_, ]+) \| (.*?) \| (\d) \| (\d) \| (yes|no) \|$", table, re.M)
    found = {}
    for codes, names, word, words, rotated in rows:
        for code, name in zip(codes.split(", "), re.findall(r"[a-z]+\d*(?:_[a-z0-9]+)?", names), strict=False):
            found[code] = name, int(word), int(words), rotated == "yes"
    assert found == {code: (d.name, d.word, d.words, d.rotate) for code, d in DTYPES.items()}


def test_the_numbers() -> None:
    plain = SPEC.replace(",", "")
    for number in (
        limits.FREE_INDEX_BYTES, limits.FREE_CONTAINERS, limits.MAX_ROW_SYMBOLS, limits.MAX_TENSORS,
        limits.MAX_NAME_BYTES,
    ):  # fmt: skip
        assert re.search(rf"\b{number}\b", plain), number
    assert f"format version, {trailer.FORMAT_VERSION}" in SPEC and f"trailer    {trailer.SIZE} bytes" in SPEC
