"""Columns of integers as the index stores them: byte planes (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dcz.errors import FormatError
from dcz.text import plural

I64 = NDArray[np.int64]

WIDTHS = (1, 2, 4, 8)


def pack(values: Sequence[int]) -> bytes:
    """Return a column: the width of its largest integer in bytes, then all lowest bytes, all second bytes, ...

    >>> pack([1, 2, 0x0304])
    b'\\x02\\x01\\x02\\x04\\x00\\x00\\x03'
    """
    try:
        return b"\1" + bytes(values)
    except ValueError:  # an integer is over 255
        array = np.array(values, "<u8")
    top = int(array.max())
    width = 2 if top < 1 << 16 else 4 if top < 1 << 32 else 8
    planes = array.view(np.uint8).reshape(-1, 8).T[:width]
    return bytes([width]) + planes.tobytes()


def counted(columns: Mapping[str, object], keys: Iterable[str]) -> dict[str, int]:
    """How many integers each of these columns has. Raises `FormatError` for what is not a column.

    >>> counted({"x": pack([7, 8, 9])}, ["x"])
    {'x': 3}
    """
    out = {}
    for key in keys:
        column = columns[key]
        if type(column) is not bytes or not column:
            raise FormatError(f"index: {key}: expected a column of integers: bytes, the first of them their width")
        width, size = column[0], len(column) - 1
        if width not in WIDTHS:
            raise FormatError(f"index: {key}: expected integers of 1, 2, 4 or 8 bytes, found {width}")
        if size % width:
            raise FormatError(
                f"index: {key}: expected integers of {plural(width, 'byte')}, found {plural(size, 'byte')}"
            )
        out[key] = size // width
    return out


class Integers:
    """Columns of integers, unpacked all at once: calls of numpy take longer than what they do to most columns.

    A column is looked at when it is taken, by who knows how many integers it has and what they may be. That it takes no
    more bytes than they need is checked here.

    >>> column = {"x": pack([1, 2, 0x0304])}
    >>> Integers(column, counted(column, ["x"])).take("x", 3, 0, 1 << 20)
    array([  1,   2, 772])
    """

    def __init__(self, columns: Mapping[str, bytes], counts: Mapping[str, int]) -> None:
        """Of the columns that have been `counted`."""
        words = bytearray(8 * (sum(counts.values()) + len(counts)))
        starts = []
        self._columns = columns
        self._places: dict[str, tuple[int, int, int]] = {}
        begin = 0
        for key, count in counts.items():
            column, end = columns[key], begin + count
            starts.append(begin)
            for i in range(column[0]):
                words[8 * begin + i : 8 * end : 8] = column[1 + i * count : 1 + (i + 1) * count]
            begin = end + 1  # behind each column a zero, so that all have a largest integer
        self._flat = np.frombuffer(words, "<i8")
        tops = np.maximum.reduceat(self._flat.view("<u8"), starts).tolist()
        for (key, count), begin, top in zip(counts.items(), starts, tops):
            width = columns[key][0]
            if width > 1 and top < 1 << 4 * width:
                raise FormatError(f"index: {key}: integers of {width} bytes are wider than any of them needs")
            self._places[key] = begin, count, top

    def top(self, key: str) -> int:
        """The largest integer of a column; 0 where there is none."""
        return self._places[key][2]

    def take(self, key: str, count: int, least: int, most: int) -> I64:
        """The `count` integers of a column, each from `least` to `most` < 2^63."""
        begin, found, top = self._places[key]
        if found != count:
            column = self._columns[key]
            raise FormatError(
                f"index: {key}: expected {plural(count, 'integer')} of {plural(column[0], 'byte')}, "
                f"found {plural(len(column) - 1, 'byte')}"
            )
        out = self._flat[begin : begin + count]
        if count and (top > most or least > 0 and np.count_nonzero(out < least)):
            raise self._refusal(key, least, most)
        return out

    def _refusal(self, key: str, least: int, most: int) -> FormatError:
        """The error for the first integer that is out of bounds."""
        begin, count, _ = self._places[key]
        values = self._flat[begin : begin + count].view("<u8")
        at = int(np.argmax((values < least) | (values > most)))
        return FormatError(f"index: {key}[{at}]: expected an integer from {least} to {most}, found {int(values[at])}")
