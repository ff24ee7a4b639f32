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
from support.reference import reference

SPEC = (Path(__file__).parents[2] / "spec" / "SPEC.md").read_text()


def example() -> bytes:
    """The bytes of the example."""
    rows = re.findall(r"^    ([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)$", SPEC, re.M)
    data = b"".join(bytes.fromhex(row) for _, row in rows)
    assert [int(at, 16) for at, _ in rows] == list(range(0, len(data), 16))
    return data


def test_version_1_is_frozen() -> None:
    """The specification, its changes and the README say so, and give the same promise."""
    root = Path(__file__).parents[2]
    changes, readme = ((root / name).read_text() for name in ("spec/CHANGES.md", "README.md"))
    assert f"Version {trailer.FORMAT_VERSION}, frozen" in SPEC and "release candidate" not in SPEC
    assert "Version 1 is frozen" in changes and re.search(r"Format version 1(,| is) frozen", readme)
    for promise in (
        "reads the files that any release from 1.0 on has written",
        r"depend on (its )?input and options alone",
    ):
        for text in (SPEC, changes, readme):
            assert re.search(promise, " ".join(text.split())), promise


def test_the_example() -> None:
    array = np.zeros(24, "<f4")
    array[[3, 4, 9, 20]] = [0.5, -1, 0.5, 0.5]
    data = example()
    assert_same_bits(dcz.load(data)["w"], array.reshape(4, 6))
    assert dcz.verify(data).tensors == 1 and dict(dcz.open(data).metadata) == {"step": 7}
    tensors = {"w": in_layout(array.reshape(4, 6), "relative8", "codebook")}
    raw = encoded(plain_index(tensors) | {"metadata": {"step": 7}})
    assert finish(segments(tensors), raw, raw, is_raw=True) == data


def test_the_reference_decoder_reads_the_example() -> None:
    """And every byte is explained: the ranges of the table follow one another, and so do the columns."""
    found, metadata = reference.load(example())
    array = np.zeros(24, "<f4")
    array[[3, 4, 9, 20]] = [0.5, -1, 0.5, 0.5]
    assert_same_bits(found["w"], array.reshape(4, 6))
    assert metadata == {"step": 7}
    ranges = re.findall(r"^\| ([0-9a-f]{4})(?: to ([0-9a-f]{4})|, ([0-9a-f]{4}))? \|", SPEC, re.M)
    starts = [int(at, 16) for first, _, second in ranges for at in (first, second) if at]
    assert starts == sorted(starts) and int(ranges[-1][1], 16) == len(example()) - 1
    assert all(int(last, 16) + 1 in starts for _, last, _ in ranges[:-1] if last)
    text = SPEC[SPEC.index("The index says, column after column") :]
    plain = reference.decode_index(example())
    for key, value in plain.items():
        if type(value) is bytes:
            count, width = (len(value) - 1) // value[0], value[0]
            numbers = [int.from_bytes(value[1 + i :: count], "little") for i in range(count)]
            said = re.search(rf"`{key}` ([0-9a-f, ]+)", text)[1].strip(" ,").split(", ")
            assert said == [f"{n:x}" if key.endswith("crcs") else str(n) for n in numbers], (key, width)
    assert f"a map of {len(plain)} keys" in SPEC


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
    table = SPEC[SPEC.index("### 7.2 Columns") : SPEC.index("A tensor's place in a column")]
    named = [key for cell in re.findall(r"^\| (`.*?) \|", table, re.M) for key in re.findall(r"`(\w+)`", cell)]
    assert tuple(named) == keys(True) and set(keys(True)) - set(keys(False)) == set(columns.DELTA_KEYS)


def test_the_dtypes() -> None:
    table = SPEC[SPEC.index("## 2. Elements") : SPEC.index("A tensor's words are the words")]
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
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", SPEC[SPEC.index("## 9. Limits") :], re.M)
    of_reader = {what: limit for what, limit in rows if limit[:1].isdigit()}
    assert of_reader["index, decompressed"] == f"{limits.MAX_INDEX_BYTES >> 20} MiB"
    assert of_reader["tensors; aliases"] == f"{limits.MAX_TENSORS:,}"
    assert of_reader["bytes of UTF-8 in a name"] == f"{limits.MAX_NAME_BYTES:,}"
    assert of_reader["dimensions"] == str(limits.MAX_DIMENSIONS)
    assert of_reader["words of a tensor"] == f"2^{limits.MAX_WORDS.bit_length() - 1}"
    assert of_reader["lists and maps around a value in metadata"] == str(limits.MAX_METADATA_DEPTH)
    assert of_reader["bytes of metadata and extensions together"] == f"{limits.MAX_METADATA_BYTES >> 20} MiB"
    (directory,) = (limit for what, limit in of_reader.items() if what.startswith("integers in the columns"))
    assert directory == f"2^{limits.MAX_DIRECTORY.bit_length() - 1}"
    assert f"format version, {trailer.FORMAT_VERSION}" in SPEC and f"trailer    {trailer.SIZE} bytes" in SPEC
