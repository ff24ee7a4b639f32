"""Canonical, length-limited Huffman codes (SPEC 5.2): package-merge and canonical numbering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import CODE_RECORD, HUFFMAN, MAX_CODE_LENGTH, SYMBOLS, U8, KernelError, Status


def code_lengths(histogram: NDArray[np.uint64], limit: int) -> U8:
    """Return code lengths by package-merge (Larmore and Hirschberg 1990).

    Of equal weights a symbol comes before a package, and a lower symbol before a higher one, so that every
    implementation finds the same lengths."""
    out = np.zeros(SYMBOLS, np.uint8)
    leaves = sorted((int(histogram[s]), int(s)) for s in np.flatnonzero(histogram))
    m = len(leaves)
    if m == 0:
        return out
    if m == 1:
        out[leaves[0][1]] = 1
        return out
    if not 1 <= limit <= MAX_CODE_LENGTH or m > 1 << limit:
        raise KernelError(Status.ARGUMENT)
    rows = [[(weight, False) for weight, _ in leaves]]
    for _ in range(limit - 1):
        before = rows[-1]
        packages = [before[2 * i][0] + before[2 * i + 1][0] for i in range(len(before) // 2)]
        merged = [(weight, False) for weight, _ in leaves] + [(weight, True) for weight in packages]
        rows.append(sorted(merged))  # False sorts before True: the symbol first
    take = 2 * m - 2
    for row in reversed(rows):
        count = sum(package for _, package in row[:take])
        for _, symbol in leaves[: take - count]:
            out[symbol] += 1
        take = 2 * count
    return out


@dataclass(frozen=True, slots=True)
class Code:
    """A prefix code: `lengths` of all 256 symbols, the `symbols` that have one in canonical order, how
    many there are of each length, and the number of each as its bits are read."""

    lengths: U8
    symbols: list[int]
    counts: list[int]
    numbers: list[int]


def read_code(record: U8) -> Code:
    """Read a code record of kind Huffman. All codes but those of a single symbol are complete."""
    if len(record) == 0 or record[0] != HUFFMAN:
        raise KernelError(Status.CODE)
    lengths = np.stack([record[1:] & 15, record[1:] >> 4], axis=1).reshape(-1)
    present = np.flatnonzero(lengths)
    longest = int(lengths.max())
    if len(present) == 0 or longest > MAX_CODE_LENGTH:
        raise KernelError(Status.CODE)
    order = present[np.argsort(lengths[present], kind="stable")]
    if len(present) == 1:
        if longest != 1:
            raise KernelError(Status.CODE)
        return Code(lengths, [int(order[0])], [0, 1], [0])
    if int((1 << (longest - lengths[present].astype(int))).sum()) != 1 << longest:
        raise KernelError(Status.CODE)
    numbers: list[int] = []
    number, last = -1, 0
    for length in lengths[order].tolist():
        number = (number + 1) << (length - last)
        last = length
        numbers.append(number)
    return Code(lengths, order.tolist(), np.bincount(lengths[present]).tolist(), numbers)


def check_codes(records: U8) -> int:
    count = len(records) // CODE_RECORD
    for i in range(count):
        record = records[i * CODE_RECORD : (i + 1) * CODE_RECORD]
        if record[0] >= HUFFMAN:
            try:
                read_code(record)
            except KernelError:
                return i
    return count
