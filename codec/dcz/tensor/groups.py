"""Codebooks for groups of a tensor's words, as per-channel and per-group palettization make them (SPEC 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import SYMBOLS, Scan
from dcz.tensor import codebook
from dcz.tensor.words import Words

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


def find(words: Words) -> Groups | None:
    """Return groups with few distinct words each, or None. A group is a run along the first dimension, or several."""
    run = _run(words)
    if run == 0 or words.count // run < 2 or not _worth_a_search(words, run):
        return None
    keys, nonzeros = [], 0
    for start in range(0, words.count, run):
        found = _scan(words, start, run)
        if found is None:
            return None
        keys.append(found.keys.astype(f"<u{words.dtype.word}"))
        nonzeros += len(found.ids)
    best = _merged(run, keys, nonzeros, words.dtype.word)
    ordered = [k[np.argsort(codebook.rotate_left(k, words.dtype), kind="stable")] for k in best.keys]
    return Groups(best.size, ordered)


def _run(words: Words) -> int:
    """Return the words of one index of the first dimension, or of the fewest that make a multiple of 64."""
    if len(words.shape) < 2 or words.shape[0] < 2:
        return 0
    run = words.count // words.shape[0]
    together = _STEP // int(np.gcd(run, _STEP)) if run else 0
    return run * together if together and words.shape[0] % together == 0 else 0


def _worth_a_search(words: Words, run: int) -> bool:
    """Return whether the nonzeros of the first run, or of the first two, four, ... runs, repeat few distinct words.

    Nonzeros count, not words: every run of a sparse tensor has few distinct words, because it has few at all."""
    size = run
    while size <= words.count:
        found = _scan(words, 0, size)
        if found is None:
            return False  # so has every longer one
        if 0 < len(found.keys) * _LEAST_USE <= len(found.ids):
            return True
        size *= 2
    return False


def _scan(words: Words, start: int, size: int) -> Scan | None:
    """Return the distinct nonzero words of `size` words, or None for more than 255: zero may need an entry too."""
    word = words.dtype.word
    found = kernels.active().scan(words.data[start * word : (start + size) * word], word, SYMBOLS)
    return None if found is None or len(found.keys) == SYMBOLS else found


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


def index(groups: Groups, words: Words, zero: bool) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return the codebooks, one after another, and the index of every nonzero word in the codebook of its group.

    Codebooks are padded to equal length by repeating their last word. With `zero`, each begins with zero."""
    books = np.zeros((len(groups.keys), groups.entries + zero), f"<u{words.dtype.word}")
    out = []
    for g, keys in enumerate(groups.keys):
        if not len(keys):
            continue
        books[g, zero : zero + len(keys)] = keys
        books[g, zero + len(keys) :] = keys[-1]
        found = _scan(words, g * groups.size, groups.size)
        assert found is not None  # `find` has seen every group
        order = np.argsort(keys, kind="stable")
        rank = order[np.searchsorted(keys, found.keys.astype(keys.dtype), sorter=order)] + zero
        out.append(rank.astype(np.uint8)[found.ids])
    return books.reshape(-1), np.concatenate(out) if out else np.zeros(0, np.uint8)
