"""Codebooks: distinct words in ascending order, stored as differences in byte planes (SPEC 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.dtypes import Dtype
from dcz.entropy import Coding, coding
from dcz.tensor.layout import CodebookRecord

# Its numbers in the index, about.
_INDEX_COST = 5


def rotate_left(values: NDArray, dtype: Dtype) -> NDArray:
    """Floats with the exponent on top and the sign below: neighbours in this order differ least."""
    if not dtype.rotate:
        return values
    width = values.dtype.type(8 * values.dtype.itemsize - 1)
    return values << values.dtype.type(1) | values >> width


@dataclass(frozen=True, slots=True)
class StoredCodebook:
    """A codebook ready to be written. `cost` is its stored bytes and its share of the index."""

    words: NDArray
    entries: int
    group: int
    planes: tuple[Coding, ...]
    cost: int

    def encode(self) -> tuple[CodebookRecord, bytes]:
        if not self.entries:  # of a tensor that stores no word
            return CodebookRecord(0, self.group, (), (), 0), b""
        parts, codes, lengths = [], [], []
        for plane in self.planes:
            out = np.empty(plane.stored, np.uint8)
            plane.write(0, plane.symbols.rows, out, np.cumsum(plane.sizes) - plane.sizes)
            parts.append(out)
            codes += [plane.codes[use] for use in plane.use.tolist()]
            lengths += plane.sizes.tolist()
        data = np.concatenate(parts)
        record = CodebookRecord(self.entries, self.group, tuple(codes), tuple(lengths), kernels.active().crc32c(data))
        return record, data.tobytes()


def store(words: NDArray, entries: int, group: int, dtype: Dtype) -> StoredCodebook:
    """`words` holds the codebooks one after another, each in the order of `rotate_left`."""
    ordered = rotate_left(words, dtype).reshape(-1, max(entries, 1))
    steps = np.diff(ordered, axis=1, prepend=ordered.dtype.type(0)).reshape(-1)
    planes = kernels.active().split(np.ascontiguousarray(steps).view(np.uint8), dtype.word, False)
    coded, cost = coding.choose_planes(planes), _INDEX_COST
    for plane in coded:
        cost += plane.cost
    return StoredCodebook(words, entries, group, tuple(coded), cost)
