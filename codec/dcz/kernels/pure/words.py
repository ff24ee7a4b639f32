"""Words to streams of symbols and back: distinct values, bitmaps, relative indices, byte planes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import I64, SYMBOLS, U8, KernelError, Scan, Status


def _as(words: U8, word: int) -> NDArray:
    return np.frombuffer(words, np.dtype(f"<u{word}"))


def scan(words: U8, word: int, limit: int) -> Scan | None:
    values = _as(words, word)
    nonzeros = values[values != 0]
    keys, first, inverse = np.unique(nonzeros, return_index=True, return_inverse=True)
    if len(keys) > limit:
        return None
    order = np.argsort(first)
    number = np.empty(len(keys), np.uint8 if limit <= SYMBOLS else np.uint16)
    number[order] = np.arange(len(keys), dtype=number.dtype)
    return Scan(keys[order].astype(np.uint64), number[inverse.reshape(-1)], bitmap(words, word)[0])


def bitmap(words: U8, word: int) -> tuple[U8, int]:
    set_ = _as(words, word) != 0
    return np.packbits(set_, bitorder="little"), int(np.count_nonzero(set_))


def nonzeros(words: U8, word: int, count: int) -> U8:
    values = _as(words, word)
    found = values[values != 0]
    if len(found) != count:
        raise KernelError(Status.ARGUMENT)
    return found.view(np.uint8)


def _rotate(values: NDArray, by: int) -> NDArray:
    width = values.dtype.itemsize * 8
    kind = values.dtype.type
    return values << kind(by) | values >> kind(width - by)


def split(words: U8, word: int, rotate: bool) -> NDArray[np.uint8]:
    values = _as(words, word)
    if rotate:
        values = _rotate(values, 1)
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, word).T)


def merge(planes: NDArray[np.uint8], rotate: bool) -> U8:
    word = planes.shape[0]
    values = np.ascontiguousarray(planes.T).reshape(-1).view(f"<u{word}")
    return (rotate_right(values) if rotate else values).view(np.uint8)


def rotate_right(values: NDArray) -> NDArray:
    """Undo the rotation by one bit with which floats are split."""
    return _rotate(values, 8 * values.dtype.itemsize - 1)


def gaps(bitmap: U8, weights: int, chunk: int, bits: int, count: int) -> tuple[U8, I64]:
    filler = (1 << bits) - 1
    at = np.flatnonzero(np.unpackbits(bitmap, count=weights, bitorder="little"))
    owner = at // chunk
    before = np.empty_like(at)
    if len(at):
        before[0] = -1
        before[1:] = at[:-1]
    gap = at - 1 - np.maximum(before, owner * chunk - 1)
    # Each nonzero is `fillers` top symbols and then the rest of its gap.
    fillers = gap // filler
    ends = np.cumsum(fillers + 1)
    symbols = np.full(int(ends[-1]) if len(ends) else 0, filler, "<u2" if bits == 16 else np.uint8)
    symbols[ends - 1] = gap - fillers * filler
    chunks = -(-weights // chunk)
    return symbols.view(np.uint8), np.bincount(owner, weights=fillers + 1, minlength=chunks).astype(np.int64)


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
