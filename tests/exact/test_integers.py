"""Columns of integers in the index: planes of bytes, no wider than they need to be, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz.errors import FormatError
from dcz.format import integers

MOST = (1 << 63) - 1
COLUMNS = st.sampled_from([1, 7, 8, 9, 16, 17, 31, 32, 33, 62, 63]).flatmap(
    lambda bits: st.lists(st.integers(0, (1 << bits) - 1), max_size=20)
)


def unpack(column: object, count: int, least: int, most: int, field: str) -> np.ndarray:
    """A column among others."""
    columns = {"before": b"\1\7", field: column, "none": b"\1", "behind": integers.pack([1 << 20])}
    found = integers.Integers(columns, integers.counted(columns, columns))
    assert found.take("before", 1, 0, 7).tolist() == [7] and found.take("behind", 1, 0, 1 << 20).tolist() == [1 << 20]
    assert found.take("none", 0, 1, 2).tolist() == [] and found.top("none") == 0
    return found.take(field, count, least, most)


@given(values=COLUMNS)
def test_columns_come_back(values: list[int]) -> None:
    stored = integers.pack(values)
    width = stored[0]
    assert len(stored) == 1 + width * len(values)
    top = max(values, default=0)
    assert width in integers.WIDTHS and top < 1 << 8 * width and (width == 1 or top >= 1 << 4 * width)
    assert [int.from_bytes(stored[1 + i :: len(values)], "little") for i in range(len(values))] == values
    found = unpack(stored, len(values), 0, MOST, "x")
    assert found.dtype == "i8" and found.tolist() == values


@given(values=COLUMNS.filter(len), more=st.integers(1, 3))
def test_a_wider_column_is_refused(values: list[int], more: int) -> None:
    stored = integers.pack(values)
    width = stored[0] << more
    if width <= 8:
        wider = bytes([width]) + stored[1:] + bytes((width - stored[0]) * len(values))
        with pytest.raises(FormatError, match=f"x: integers of {width} bytes are wider than any of them needs"):
            unpack(wider, len(values), 0, MOST, "x")


@given(values=COLUMNS.filter(len), least=st.integers(0, 300), most=st.integers(0, MOST))
def test_bounds(values: list[int], least: int, most: int) -> None:
    wrong = [i for i, value in enumerate(values) if not least <= value <= most]
    if not wrong:
        assert unpack(integers.pack(values), len(values), least, most, "x").tolist() == values
        return
    with pytest.raises(FormatError) as refusal:
        unpack(integers.pack(values), len(values), least, most, "x")
    i = wrong[0]
    assert str(refusal.value) == f"index: x[{i}]: expected an integer from {least} to {most}, found {values[i]}"


@pytest.mark.parametrize("value", [1 << 63, (1 << 64) - 1])
def test_64_bits_are_too_many(value: int) -> None:
    with pytest.raises(FormatError, match=rf"x\[1\]: expected an integer from 0 to 7, found {value}"):
        unpack(integers.pack([1, value]), 2, 0, 7, "x")
    with pytest.raises(FormatError, match=f"found {value}"):
        unpack(integers.pack([value]), 1, 0, MOST - 1, "x")


@pytest.mark.parametrize("column", [b"", [1], "\1a", None, 7, bytearray(b"\1a")])
def test_what_is_no_column(column: object) -> None:
    with pytest.raises(FormatError, match="x: expected a column of integers"):
        unpack(column, 1, 0, 9, "x")


@pytest.mark.parametrize(("column", "found"), [(b"\1", 0), (b"\1\1", 1), (b"\2" + bytes(5), 5), (b"\1" + bytes(3), 3)])
def test_another_number_of_integers(column: bytes, found: int) -> None:
    with pytest.raises(FormatError, match=f"x: expected (2 )?integers of . bytes?, found {found} bytes?"):
        unpack(column, 2, 0, 9, "x")
