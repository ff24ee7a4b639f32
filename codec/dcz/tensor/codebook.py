"""Codebooks: distinct words in ascending order, stored as differences in byte planes (SPEC 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.dtypes import Dtype
from dcz.entropy import Coding, coding
from dcz.tensor.layout import CodebookRecord

# What its numbers take in the index, about.
_INDEX_COST = 5


def rotate_left(values: NDArray[Any], dtype: Dtype) -> NDArray[Any]:
    """Return floats with the exponent on top and the sign below: neighbours in this order differ least."""
    if not dtype.rotate:
        return values
    width = values.dtype.type(8 * values.dtype.itemsize - 1)
    return values << values.dtype.type(1) | values >> width


@dataclass(frozen=True, slots=True)
class StoredCodebook:
    """A codebook that is ready to be written: `words` of `entries` each, for `group` words of the tensor (0 for all).

    `planes` are the byte planes of its differences. `cost` is its stored bytes and its share of the index."""

    words: NDArray[Any]
    entries: int
    group: int
    planes: tuple[Coding, ...]
    cost: int

    def encode(self) -> tuple[CodebookRecord, bytes]:
        """Return the record for the index and the stored bytes."""
        if not self.entries:  # of a tensor that stores no word
            return CodebookRecord(0, self.group, (), (), 0), b""
        data = coding.write_all(self.planes)
        codes = [plane.codes[use] for plane in self.planes for use in plane.use.tolist()]
        lengths = np.concatenate([plane.sizes for plane in self.planes]).tolist()
        record = CodebookRecord(self.entries, self.group, tuple(codes), tuple(lengths), kernels.active().crc32c(data))
        return record, data.tobytes()


def store(words: NDArray[Any], entries: int, group: int, dtype: Dtype) -> StoredCodebook:
    """Code codebooks. `words` holds them one after another, each in the order of `rotate_left`."""
    ordered = rotate_left(words, dtype).reshape(-1, max(entries, 1))
    steps = np.diff(ordered, axis=1, prepend=ordered.dtype.type(0)).reshape(-1)
    planes = kernels.active().split(np.ascontiguousarray(steps).view(np.uint8), dtype.word, False)
    coded, cost = coding.choose_planes(planes), _INDEX_COST
    for plane in coded:
        cost += plane.cost
    return StoredCodebook(words, entries, group, tuple(coded), cost)
