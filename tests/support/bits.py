"""Arrays compared by their bits: NaN payloads, negative zeros and unused bits count."""

from __future__ import annotations

import numpy as np


def little_endian(array: np.ndarray | np.generic) -> bytes:
    """The elements in C order, lowest byte first, found without the code under test."""
    array = np.asarray(array)
    raw = array.tobytes("C")
    if array.dtype.byteorder != ">":
        return raw
    word = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    return np.frombuffer(raw, np.uint8).reshape(-1, word)[:, ::-1].tobytes()


def assert_same_bits(found: np.ndarray, expected: np.ndarray | np.generic) -> None:
    """The same shape, element type and bits, whatever the byte order of `expected`."""
    expected = np.asarray(expected)
    assert isinstance(found, np.ndarray)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype.newbyteorder("<")
    assert little_endian(found) == little_endian(expected)
