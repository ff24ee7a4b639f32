"""Streams of a tensor larger than memory: their symbols are made from its words each time they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from dcz import kernels
from dcz.entropy import Symbols
from dcz.kernels.interface import I64, U8

# Returns the byte planes of the symbols of words [first, last), which begin a chunk, and the symbols of each chunk.
Maker = Callable[[int, int], "tuple[Sequence[U8] | U8, I64]"]


def remade(make: Maker, count: int, chunk: int, block: int) -> tuple[list[Symbols], I64]:
    """Return one stream for each byte plane, a row for each chunk of `count` words, and the symbols of each chunk. They
    are made once for their histograms; `block` words at most are looked at at once."""
    step = max(block // chunk, 1)
    rows = -(-count // chunk)

    def of_rows(first: int, last: int) -> tuple[Sequence[U8] | U8, I64]:
        return make(first * chunk, min(last * chunk, count))

    counts: list[I64] = []
    histograms: list[list[np.ndarray]] = []
    for first in range(0, rows, step):
        planes, found = of_rows(first, min(first + step, rows))
        bounds = _bounds(found)
        counts.append(found)
        histograms.append([kernels.active().histograms(plane, bounds) for plane in planes])
    found = np.concatenate(counts)
    bounds = _bounds(found)
    key = id(make)

    def part(plane: int, first: int, last: int, memo: dict[int, list[U8]]) -> U8:
        if key not in memo:
            memo[key] = list(of_rows(first, last)[0])
        return memo[key][plane]

    streams = [
        Symbols.made(partial(part, plane), bounds, np.concatenate([each[plane] for each in histograms]), step)
        for plane in range(len(histograms[0]))
    ]
    return streams, found


def _bounds(counts: I64) -> I64:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
