"""Metadata keep their types and values, and what cannot be kept is refused."""

from __future__ import annotations

import enum
import io
import math
import struct
from collections import OrderedDict
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz import limits
from dcz.errors import DczError, LimitError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), TEXT, st.binary(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda each: st.one_of(st.lists(each, max_size=4), st.dictionaries(TEXT, each, max_size=4)), max_leaves=20
)


def stored(metadata: object) -> dict:
    return dict(dcz.open(dcz.save({}, metadata=metadata)).metadata)


def types(value: object) -> object:
    """The same value with types in place of scalars; 1, 1.0 and True are equal to Python."""
    if isinstance(value, dict):
        return {key: types(item) for key, item in value.items()}
    return [types(item) for item in value] if isinstance(value, list) else type(value)


@given(metadata=st.dictionaries(TEXT, VALUES, max_size=5))
def test_any_metadata(metadata: dict) -> None:
    found = stored(metadata)
    assert found == metadata and types(found) == types(metadata)


@pytest.mark.parametrize("bits", [0x8000000000000000, 0x7FF0000000000000, 0x7FF8000000000001, 0xFFF8DEADBEEF0001, 1])
def test_floats_keep_their_bits(bits: int) -> None:
    value = struct.unpack("<d", struct.pack("<Q", bits))[0]
    assert struct.pack("<d", stored({"x": value})["x"]) == struct.pack("<Q", bits)


def test_other_types_become_their_like() -> None:
    class Name(str, enum.Enum):
        red = "r"

    found = stored({
        "tuple": (1, (2, 3)),
        "ordered": OrderedDict(z=1, a=2),
        "proxy": MappingProxyType({"k": 1}),
        "numpy": [np.float32(0.5), np.int8(-3), np.bool_(True), np.str_("text")],
        "enum": Name.red,
        Name.red: 1,
    })  # fmt: skip
    assert found == {
        "tuple": [1, [2, 3]],
        "ordered": {"a": 2, "z": 1},
        "proxy": {"k": 1},
        "numpy": [0.5, -3, True, "text"],
        "enum": "r",
        "r": 1,
    }
    assert types(found["numpy"]) == [float, int, bool, str]
    assert type(found["enum"]) is str


def test_none_is_empty() -> None:
    assert stored(None) == stored({}) == {}


def test_what_is_stored_is_a_copy() -> None:
    inner = [1]
    metadata = {"k": inner}
    file = io.BytesIO()
    writer = dcz.Writer(file, metadata=metadata)
    inner.append(2)
    metadata["more"] = 3
    writer.close()
    assert dict(dcz.open(file.getvalue()).metadata) == {"k": [1]}


def test_metadata_of_a_reader_are_read_only() -> None:
    reader = dcz.open(dcz.save({}, metadata={"k": 1}))
    with pytest.raises(TypeError):
        reader.metadata["k"] = 2


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([("k", 1)], "metadata: expected a mapping, found list"),
        ("text", "metadata: expected a mapping, found str"),
        ({1: 2}, "metadata: keys are strings, found 1"),
        ({"k": {b"x": 1}}, "metadata.k: keys are strings, found b'x'"),
        ({"k": 2**64}, "metadata.k: 18446744073709551616 does not fit 64 bits; store it as a string"),
        ({"k": [-(2**63) - 1]}, r"metadata.k\[0\]: -9223372036854775809 does not fit"),
        ({"k": 1 + 2j}, "metadata.k: complex cannot be stored; metadata values are str, int"),
        ({"k": {1, 2}}, "metadata.k: set cannot be stored"),
        ({"k": np.zeros(3)}, "metadata.k: ndarray cannot be stored"),
        ({"k": [object()]}, r"metadata.k\[0\]: object cannot be stored"),
        ({"k": np.datetime64("2020-01-01")}, "metadata.k: date cannot be stored"),
        ({"k": bytearray(b"x")}, "metadata.k: bytearray cannot be stored"),
        ({"k": "\ud800"}, r"metadata.k: '\\ud800' is not valid Unicode"),
        ({"\udfff": 1}, "is not valid Unicode"),
    ],
)
def test_what_cannot_be_stored(metadata: object, message: str) -> None:
    with pytest.raises(DczError, match=message) as raised:
        dcz.save({}, metadata=metadata)
    assert type(raised.value) is DczError


def test_too_deep_and_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    value: object = 1
    for _ in range(15):
        value = [value]
    assert stored({"k": value}) == {"k": value}
    with pytest.raises(LimitError, match="nested deeper than 16"):
        dcz.save({}, metadata={"k": [value]})
    circle: list = []
    circle.append(circle)
    with pytest.raises(LimitError, match="nested deeper than 16"):
        dcz.save({}, metadata={"k": circle})
    monkeypatch.setattr(limits, "MAX_METADATA_BYTES", 100)
    with pytest.raises(LimitError, match="metadata: 104 bytes; the limit is 100; store a tensor instead"):
        dcz.save({}, metadata={"k": b"x" * 99})


def test_infinities() -> None:
    found = stored({"a": math.inf, "b": -math.inf})
    assert found == {"a": math.inf, "b": -math.inf}


def test_values_that_share_their_lists_are_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_METADATA_BYTES", 1 << 16)
    wide: list[object] = ["a"] * 100
    for _ in range(8):
        wide = [wide] * 100
    keys: dict[str, object] = {"k": 1}
    for _ in range(8):
        keys = {f"{k}{'k' * 50}": keys for k in range(100)}
    for shared in (wide, keys):
        with pytest.raises(LimitError, match="metadata beyond 65536 bytes"):
            dcz.save({}, metadata={"x": shared})
        with pytest.raises(LimitError, match="tensor 't'.*beyond 65536 bytes"):
            dcz.save({"t": np.ones(2)}, tensor_metadata={"t": {"x": shared}})
