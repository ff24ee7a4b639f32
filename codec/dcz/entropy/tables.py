"""Code-length tables for a stream: one, or several that rows of different statistics share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy.code import huffman_cost
from dcz.kernels.interface import U8

# A table of 11 bits is half of a first-level cache. One of 12 is no slower where it says more symbols a lookup, but
# takes twice as long to build: it must be worth a thousandth.
SHORT_LIMIT, LONG_LIMIT = 11, 12
LONG_GAIN = 0.001
_ROUNDS = 6
_COUNTS = (2, 4, 8, 15)  # with raw, at most sixteen codes
# Fitting more tables to noise always gains a little; each must also be built by every reader.
_LEAST_GAIN = 0.0005


def lengths_of(histogram: NDArray[Any]) -> U8:
    """Return optimal lengths of at most 11 bits, or 12 where that saves more than LONG_GAIN."""
    counts = histogram.astype(np.uint64)
    short = kernels.active().code_lengths(counts, SHORT_LIMIT)
    if short.max(initial=0) < SHORT_LIMIT:
        return short
    long = kernels.active().code_lengths(counts, LONG_LIMIT)
    return (
        long
        if int(counts @ long.astype(np.uint64)) < (1 - LONG_GAIN) * int(counts @ short.astype(np.uint64))
        else short
    )


def _cost(lengths: U8) -> int:
    return huffman_cost(int(np.flatnonzero(lengths)[-1]) + 1)


def search(histograms: NDArray[np.uint32], total: NDArray[np.uint64]) -> list[U8]:
    """Return one table for all rows, or several that save more bytes than they take in the index.

    `histograms` has shape (rows, 256), `total` is its sum. Lloyd's algorithm over rows: each row takes
    the table that codes it shortest, each table becomes optimal for its rows."""
    one = lengths_of(total)
    rows = histograms.astype(np.float64)
    if len(rows) < 2 or np.count_nonzero(total) < 2:
        return [one]
    bits = rows @ one.astype(np.float64)
    counts = np.maximum(rows.sum(axis=1), 1)
    least = _entropy_bits(rows, counts)
    best, best_bytes = [one], bits.sum() / 8 + _cost(one)
    if (bits.sum() - least.sum()) / 8 < 2 * _cost(one):  # not even perfect tables would pay
        return best
    order = np.argsort(bits / counts, kind="stable")
    for k in _COUNTS:
        if k > len(rows):
            break
        use = np.empty(len(rows), np.int64)
        use[order] = np.arange(len(rows)) * k // len(rows)
        found, size = _lloyd(rows, use, k)
        if size >= (1 - _LEAST_GAIN) * best_bytes:
            break
        best, best_bytes = found, size
    return best


def _entropy_bits(rows: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a lower bound for any prefix code, in bits of each row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(rows > 0, rows * np.log2(rows / counts[:, None]), 0).sum(axis=1)


def _lloyd(rows: NDArray[np.float64], use: NDArray[np.int64], k: int) -> tuple[list[U8], float]:
    found: list[U8] = []
    for _ in range(_ROUNDS):
        sums = [rows[use == j].sum(axis=0) for j in range(k)]
        found = [lengths_of(s) for s in sums if s.any()]
        each = np.stack(found).astype(np.float64)
        bits = rows @ each.T
        bits[(rows @ (each == 0).T.astype(np.float64)) > 0] = np.inf
        again = np.argmin(bits, axis=1)
        size = np.take_along_axis(bits, again[:, None], axis=1).sum() / 8
        if np.array_equal(again, use):
            break
        use = again
    used = sorted(set(use.tolist()))
    return [found[j] for j in used], size + sum(_cost(found[j]) for j in used)
