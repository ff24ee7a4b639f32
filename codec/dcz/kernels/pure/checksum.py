"""CRC-32C by numpy: many blocks advance together, one byte of each at a time."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import I64, U8

_POLYNOMIAL = 0x82F63B78  # reflected
_BLOCK = 512


@cache
def _byte_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


@cache
def _shift_tables() -> list[list[int]]:
    """Return tables that move the register over _BLOCK zero bytes, one for each byte of it (the step is linear)."""
    table = _byte_table()
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for _ in range(_BLOCK):
        bits = table[bits & 255] ^ bits >> 8
    tables = []
    for j in range(4):
        row = np.zeros(256, np.uint32)
        for b in range(8):
            row ^= np.where(np.arange(256) >> b & 1, bits[8 * j + b], np.uint32(0))
        tables.append(row.tolist())
    return tables


def _bytes(register: int, data: bytes) -> int:
    table = _byte_table().tolist()
    for byte in data:
        register = table[(register ^ byte) & 255] ^ register >> 8
    return register


def crc32c(data: U8, crc: int = 0) -> int:
    register = crc ^ 0xFFFFFFFF
    view = np.frombuffer(data, np.uint8)
    blocks = len(view) // _BLOCK
    if blocks:
        columns = view[: blocks * _BLOCK].reshape(blocks, _BLOCK)
        table = _byte_table()
        each = np.zeros(blocks, np.uint32)
        for column in columns.T:
            each = table[(each ^ column) & 255] ^ each >> 8
        s0, s1, s2, s3 = _shift_tables()
        for block in each.tolist():
            shifted = s0[register & 255] ^ s1[register >> 8 & 255] ^ s2[register >> 16 & 255] ^ s3[register >> 24]
            register = shifted ^ block
    register = _bytes(register, view[blocks * _BLOCK :].tobytes())
    return register ^ 0xFFFFFFFF


def crc32c_rows(data: U8, bounds: I64) -> NDArray[np.uint32]:
    edges = bounds.tolist()
    return np.array([crc32c(data[a:b]) for a, b in zip(edges, edges[1:])], np.uint32)
