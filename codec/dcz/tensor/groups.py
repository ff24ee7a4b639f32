"""Codebooks for groups of a tensor's words, as per-channel and per-group palettization make them (SPEC 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import SYMBOLS, U8
from dcz.tensor import codebook
from dcz.tensor.survey import few_distinct
from dcz.tensor.words import Words, WordSource

_STEP = 64  # groups are multiples of it (SPEC 3.2)
_LEAST_USE = 4  # nonzeros per codebook entry below which a codebook of its own cannot pay


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of `size` words. `keys` are the distinct nonzero words of each, in codebook order."""

    size: int
    keys: list[NDArray[Any]]

    @property
    def entries(self) -> int:
        """Entries of the largest codebook."""
        return max(map(len, self.keys))


def find(words: WordSource) -> Groups | None:
    """Return groups with few distinct words each, or None. A group is a run along the first dimension, or several."""
    run = _run(words)
    if run == 0 or words.count // run < 2 or not _worth_a_search(words, run):
        return None
    keys, nonzeros = [], 0
    for found in _each_run(words, run):
        if found is None:
            return None
        keys.append(found[0].astype(f"<u{words.dtype.word}"))
        nonzeros += found[1]
    best = _merged(run, keys, nonzeros, words.dtype.word)
    ordered = [k[np.argsort(codebook.rotate_left(k, words.dtype), kind="stable")] for k in best.keys]
    return Groups(best.size, ordered)


def _each_run(words: WordSource, run: int) -> Iterator[tuple[NDArray[np.uint64], int] | None]:
    """Yield what `few_distinct` finds in every run. Short runs are read many at a time."""
    together = max(words.block // run, 1) * run
    for first in range(0, words.count, together):
        size = min(together, words.count - first)
        held = words
        if size <= words.block:
            held, first = Words(words.part(first, first + size), words.dtype, (size,)), 0
        for start in range(first, first + size, run):
            yield few_distinct(held, start, run)


def _run(words: WordSource) -> int:
    """Return the words of one index of the first dimension, or of the fewest that make a multiple of 64."""
    if len(words.shape) < 2 or words.shape[0] < 2:
        return 0
    run = words.count // words.shape[0]
    together = _STEP // int(np.gcd(run, _STEP)) if run else 0
    return run * together if together and words.shape[0] % together == 0 else 0


def _worth_a_search(words: WordSource, run: int) -> bool:
    """Return whether the nonzeros of the first run, or of the first two, four, ... runs, repeat few distinct words.

    Nonzeros count, not words: every run of a sparse tensor has few distinct words, because it has few at all."""
    size = run
    while size <= words.count:
        found = few_distinct(words, 0, size)
        if found is None:
            return False  # so has every longer one
        if 0 < len(found[0]) * _LEAST_USE <= found[1]:
            return True
        size *= 2
    return False


def _merged(run: int, keys: list[NDArray[Any]], nonzeros: int, word: int) -> Groups:
    """Return the cheapest groups of one, two, four, ... runs."""
    best = Groups(run, keys)
    while len(keys) % 2 == 0 and len(keys) > 2:
        keys = [np.union1d(a, b) for a, b in zip(keys[0::2], keys[1::2])]
        run *= 2
        if max(map(len, keys)) >= SYMBOLS:
            break
        merged = Groups(run, keys)
        if _expected(merged, nonzeros, word) < _expected(best, nonzeros, word):
            best = merged
    return best


def _expected(groups: Groups, nonzeros: int, word: int) -> float:
    """Estimate the bytes of codebooks and indices."""
    books = len(groups.keys) * groups.entries * word
    return books + nonzeros * np.log2(max(groups.entries, 2)) / 8


def books(groups: Groups, word: int, zero: bool) -> NDArray[Any]:
    """Return the codebooks, one after another, padded to equal length by repeating their last word. With `zero`, each
    begins with zero."""
    out = np.zeros((len(groups.keys), groups.entries + zero), f"<u{word}")
    for g, keys in enumerate(groups.keys):
        if len(keys):
            out[g, zero : zero + len(keys)] = keys
            out[g, zero + len(keys) :] = keys[-1]
    return out.reshape(-1)


def index(groups: Groups, words: WordSource, first: int, last: int, zero: bool) -> U8:
    """Return the index of every nonzero word of a range in the codebook of its group; with `zero`, one more."""
    out, word = [], words.dtype.word
    data = words.part(first, last)
    for g in range(first // groups.size, -(-last // groups.size)):
        keys = groups.keys[g]
        if not len(keys):
            continue
        start, stop = max(g * groups.size, first), min((g + 1) * groups.size, last)
        found = kernels.active().scan(data[(start - first) * word : (stop - first) * word], word, SYMBOLS)
        assert found is not None  # `find` has seen every group
        order = np.argsort(keys, kind="stable")
        rank = order[np.searchsorted(keys, found.keys.astype(keys.dtype), sorter=order)] + zero
        out.append(rank.astype(np.uint8)[found.ids])
    return np.concatenate(out) if out else np.zeros(0, np.uint8)
