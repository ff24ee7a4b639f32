"""Codebooks of their own for runs of a tensor, as per-channel or per-group palettization makes them (SPEC 6.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.kernels.interface import SYMBOLS
from dcz.tensor import codebook
from dcz.tensor.words import Words

_STEP = 64  # groups are multiples of it (SPEC 6.2)
_LEAST_USE = 4  # weights per entry below which a codebook of one's own cannot pay
_PROBE = 3  # groups that are looked at before all of them are


@dataclass(frozen=True, slots=True)
class Groups:
    """`keys` are the distinct nonzero words of each group, in codebook order; `size` its words."""

    size: int
    keys: list[NDArray]

    @property
    def entries(self) -> int:
        """Those of the largest codebook."""
        return max(map(len, self.keys))


def find(words: Words) -> Groups | None:
    """Groups of which each has few distinct words, or None. Runs along the first dimension are tried, and
    ever more of them together."""
    run = _run(words)
    if run == 0 or words.count // run < 2:
        return None
    keys = []
    for g in range(words.count // run):
        found = _distinct(words, g * run, run)
        if found is None or (g < _PROBE and len(found) * _LEAST_USE > run):
            return None
        keys.append(found)
    best = Groups(run, keys)
    while len(keys) % 2 == 0 and len(keys) > 2:
        keys = [np.union1d(a, b) for a, b in zip(keys[0::2], keys[1::2])]
        run *= 2
        if max(map(len, keys)) >= SYMBOLS:
            break
        merged = Groups(run, keys)
        if _expected(merged, words) < _expected(best, words):
            best = merged
    ordered = [k[np.argsort(codebook.rotate_left(k, words.dtype), kind="stable")] for k in best.keys]
    return Groups(best.size, ordered)


def _run(words: Words) -> int:
    """The words of one index of the first dimension, or of the fewest together that make a multiple of 64."""
    if len(words.shape) < 2 or words.shape[0] < 2:
        return 0
    run = words.count // words.shape[0]
    together = _STEP // int(np.gcd(run, _STEP)) if run else 0
    return run * together if together and words.shape[0] % together == 0 else 0


def _distinct(words: Words, start: int, size: int) -> NDArray | None:
    """The distinct nonzero words of a run, if there are fewer than 256: zero may need an entry too."""
    word = words.dtype.word
    found = kernels.active().scan(words.data[start * word : (start + size) * word], word, SYMBOLS)
    if found is None or len(found.keys) == SYMBOLS:
        return None
    return found.keys.astype(f"<u{word}")


def _expected(groups: Groups, words: Words) -> float:
    """About what codebooks and indices will take."""
    books = len(groups.keys) * groups.entries * words.dtype.word
    return books + words.count * np.log2(max(groups.entries, 2)) / 8


def index(groups: Groups, words: Words, zero: bool) -> tuple[NDArray, NDArray[np.uint8]]:
    """The codebooks one after another, padded to equal length by repeating their last word, and the index of
    every word in its own. Where `zero`, each codebook begins with it; else the index of a zero means nothing."""
    entries = groups.entries + zero
    values = np.frombuffer(words.data, f"<u{words.dtype.word}").reshape(-1, groups.size)
    books = np.zeros((len(groups.keys), entries), values.dtype)
    out = np.zeros(values.shape, np.uint8)
    for g, keys in enumerate(groups.keys):
        books[g, zero : zero + len(keys)] = keys
        books[g, zero + len(keys) :] = keys[-1] if len(keys) else 0
        order = np.argsort(keys, kind="stable")
        rank = np.minimum(np.searchsorted(keys, values[g], sorter=order), max(len(keys) - 1, 0))
        if len(keys):
            out[g] = np.where(values[g] == 0, 0, order[rank] + zero)
    return books.reshape(-1), out.reshape(-1)
