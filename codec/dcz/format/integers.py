"""Columns of integers as the index stores them: byte planes (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dcz.errors import FormatError

I64 = NDArray[np.int64]

WIDTHS = (1, 2, 4, 8)
_STORED = {width: np.dtype(f"<u{width}") for width in WIDTHS}


def pack(values: Sequence[int]) -> bytes:
    """A column: how many bytes the largest of its integers takes, then all lowest bytes, all second bytes, ...

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


def unpack(column: object, count: int, least: int, most: int, field: str) -> I64:
    """The `count` integers of a column, each from `least` to `most` < 2^63 - 1."""
    if type(column) is not bytes or not column:
        raise FormatError(f"index: {field}: expected a column of integers: bytes, the first of them their width")
    width = column[0]
    stored = _STORED.get(width)
    if stored is None:
        raise FormatError(f"index: {field}: expected integers of 1, 2, 4 or 8 bytes, found {width}")
    if len(column) != 1 + count * width:
        raise FormatError(f"index: {field}: expected {count} integers of {width} bytes, found {len(column) - 1} bytes")
    if width == 1:
        out = np.frombuffer(column, np.uint8, count, 1).astype(np.int64)
    else:
        if not np.count_nonzero(np.frombuffer(column, np.uint8, offset=1 + count * (width // 2))):
            raise FormatError(f"index: {field}: integers of {width} bytes are wider than any of them needs")
        joined = bytearray(count * width)
        for i in range(width):  # quicker than numpy, which walks the shorter axis
            joined[i::width] = column[1 + i * count : 1 + (i + 1) * count]
        words = np.frombuffer(joined, stored)
        # Beyond 63 bits all are too large, whichever they are.
        out = (words if width < 8 else np.minimum(words, np.uint64(2**63 - 1))).astype(np.int64)
    if (most < (1 << 8 * width) - 1 and np.count_nonzero(out > most)) or (least > 0 and np.count_nonzero(out < least)):
        at = int(np.argmax((out < least) | (out > most)))
        found = int.from_bytes(column[1 + at :: count], "little")
        raise FormatError(f"index: {field}[{at}]: expected an integer from {least} to {most}, found {found}")
    return out
