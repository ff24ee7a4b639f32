"""Relative indices (SPEC 3.1): the zeros before each nonzero. The top symbol is a filler: only zeros."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import I64, U8, KernelError, Status
from dcz.kernels.pure.words import blocks


def gaps(bitmap: U8, weights: int, chunk: int, bits: int, count: int) -> tuple[U8, I64]:
    filler = (1 << bits) - 1
    # A filler stands for `filler` zeros, which bounds their number.
    out = np.empty(count + (weights - count) // filler, "<u2" if bits == 16 else np.uint8)
    entries = np.zeros(-(-weights // chunk), np.int64)
    at, last = 0, -1
    for block in blocks(weights):
        set_ = np.unpackbits(bitmap[block.start // 8 : -(-block.stop // 8)], bitorder="little")
        here = np.flatnonzero(set_[: block.stop - block.start]) + block.start
        if not len(here):
            continue
        owner = here // chunk
        before = np.append(last, here[:-1])
        gap = here - 1 - np.maximum(before, owner * chunk - 1)
        fillers = gap // filler
        ends = np.cumsum(fillers + 1)
        if at + int(ends[-1]) > len(out):
            raise KernelError(Status.ARGUMENT)
        # Each nonzero is `fillers` top symbols and then the rest of its gap.
        out[at : at + int(ends[-1])] = filler
        out[at + ends - 1] = gap - fillers * filler
        first = int(owner[0])
        sums = np.bincount(owner - first, weights=fillers + 1).astype(np.int64)
        entries[first : first + len(sums)] += sums
        at, last = at + int(ends[-1]), int(here[-1])
    out.resize(at, refcheck=False)
    return out.view(np.uint8), entries


def from_gaps(symbols: NDArray[np.uint8 | np.uint16], bits: int, weights: int) -> NDArray[np.bool_]:
    """Return which of a chunk's weights are set, from its relative indices."""
    filler = (1 << bits) - 1
    if symbols.size and int(symbols.max()) > filler:
        raise KernelError(Status.COUNT)
    real = symbols != filler
    ends = np.cumsum(symbols.astype(np.int64) + real)
    if len(ends) and ends[-1] > weights:
        raise KernelError(Status.COUNT)
    out = np.zeros(weights, bool)
    out[ends[real] - 1] = True
    return out
