"""Decode one chunk to words (SPEC 4): its streams in order, its positions, its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import ROW_HEAD, U8, KernelError, Status
from dcz.kernels.pure.gaps import from_gaps
from dcz.kernels.pure.streams import decode_row
from dcz.kernels.pure.words import merge

ALL, BITMAP, WIDE = 0, 1, 16
BYTES, PLANES, CODEBOOK = 0, 1, 2


def position_streams(positions: int) -> int:
    """Return how many streams positions take. Relative indices of 16 bits take two, of low bytes and of high bytes."""
    return 2 if positions == WIDE else int(positions != ALL)


@dataclass(frozen=True, slots=True)
class Plan:
    """What decoding needs of a tensor. `streams` are the code records of each stream."""

    positions: int
    values: int
    word: int
    rotate: bool
    planes: int
    weights: int
    chunk: int
    codebook: NDArray[Any]
    entries: int
    group: int
    streams: list[list[U8]]


class Chunk:
    """A chunk while it is decoded: a cursor over its streams."""

    def __init__(self, plan: Plan, row: list[int], data: U8) -> None:
        self.plan, self.row, self.data = plan, row, data
        self.stream = 0

    def symbols(self, n: int) -> U8:
        """Return the symbols of the next stream."""
        which, size = self.row[ROW_HEAD + 2 * self.stream : ROW_HEAD + 2 * self.stream + 2]
        codes = self.plan.streams[self.stream]
        if not 0 <= which < len(codes):
            raise KernelError(Status.ARGUMENT)
        part, self.data = self.data[:size], self.data[size:]
        self.stream += 1
        return decode_row(codes[which], part, n)


def _positions(chunk: Chunk, n: int) -> NDArray[np.bool_]:
    nonzeros, fillers = chunk.row[:2]
    if chunk.plan.positions == BITMAP:
        bits = np.unpackbits(chunk.symbols(-(-n // 8)), bitorder="little").astype(bool)
        if bits[n:].any():
            raise KernelError(Status.PADDING)
        where = bits[:n]
    elif chunk.plan.positions == WIDE:
        low, high = (chunk.symbols(nonzeros + fillers).astype(np.uint16) for _ in range(2))
        where = from_gaps(low | high << np.uint16(8), WIDE, n)
    else:
        where = from_gaps(chunk.symbols(nonzeros + fillers), chunk.plan.positions, n)
    if np.count_nonzero(where) != nonzeros:
        raise KernelError(Status.COUNT)
    return where


def _clusters(chunk: Chunk, first: int, where: NDArray[np.int64]) -> NDArray[Any]:
    """Return the codebook words of the weights at `where`, positions within the chunk."""
    plan = chunk.plan
    index = chunk.symbols(len(where)).astype(np.int64)
    if plan.planes == 2:
        index |= chunk.symbols(len(where)).astype(np.int64) << 8
    if index.size and int(index.max()) >= plan.entries:
        raise KernelError(Status.INDEX)
    return plan.codebook[(first + where) // plan.group * plan.entries + index]


def stored_words(chunk: Chunk, first: int, n: int) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
    """Return where in a chunk words are stored (None: everywhere), and these words. The chunk has n words; its first is
    word `first` of the tensor."""
    plan = chunk.plan
    if plan.values == BYTES:
        return None, chunk.symbols(n * plan.word).view(f"<u{plan.word}")
    sparse = plan.positions != ALL
    where = np.flatnonzero(_positions(chunk, n)) if sparse else np.arange(n)
    if plan.values == CODEBOOK:
        values = _clusters(chunk, first, where)
    else:
        planes = np.stack([chunk.symbols(len(where)) for _ in range(plan.planes)])
        values = merge(planes, plan.rotate).view(f"<u{plan.word}")
    return (where if sparse else None), values


def decode_chunk(chunk: Chunk, first: int, n: int, out: NDArray[Any]) -> None:
    """Fill `out` with the n words of a chunk whose first word is word `first` of its tensor."""
    where, values = stored_words(chunk, first, n)
    if where is None:
        out[:] = values
    else:
        out[:] = 0
        out[where] = values
