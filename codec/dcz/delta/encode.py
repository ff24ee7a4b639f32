"""Encode a tensor as its difference to the base's, or whole where that is smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcz import kernels
from dcz.delta import checksums
from dcz.delta.changes import Changes
from dcz.delta.stored import StoredChanges
from dcz.delta.transforms import COPY, NONE, chosen, magnitude, stored_dtype
from dcz.kernels.interface import I64, U8
from dcz.tensor import encode
from dcz.tensor.choose import Encoding
from dcz.tensor.encoded import Encoded
from dcz.tensor.words import StoredWords, Words

if TYPE_CHECKING:
    from concurrent.futures import Executor

# Words per changed word from which on a bitmap takes more than relative indices.
_SPARSE = 32
# Words per changed word from which on 16-bit relative indices may take less than 8-bit ones and their fillers.
_WIDE = 128
# A tensor is stored whole where its difference takes more than an eighth of it and a kilobyte, and storing it whole
# saves a tenth of that: a difference can be inverted, and detects a wrong base.
_SHARE, _LEAST, _SAVED = 8, 1024, 0.9


@dataclass(frozen=True, slots=True)
class Difference:
    """A tensor's `transform`, how it is stored, None for a copy, how many words changed, and the CRC-32C of the base's
    and its own words in each chunk."""

    transform: int
    encoded: Encoded | None
    changed: int
    base_crcs: I64
    result_crcs: I64


_NO_ROWS = np.zeros(0, np.int64)


def encode_difference(new: Words, base: U8, transform: str = "auto", pool: Executor | None = None) -> Difference:
    """Encode what turns the base's words into those of `new`; with `auto`, perhaps `new` itself."""
    number, word = chosen(transform, new.dtype), new.dtype.word
    bitmap, stored = kernels.active().compare(new.data, base, word, number, magnitude(new.dtype))
    changed = len(stored) // word
    if changed == 0:
        return Difference(COPY, None, 0, _NO_ROWS, _NO_ROWS)
    changes = Changes(new.count, bitmap, stored, stored_dtype(new.dtype, number))
    best = _smallest(changes)
    if transform == "auto" and best.cost > max(_LEAST, new.count * word // _SHARE):
        plain = encode(new, "auto", pool)
        if plain.stored < _SAVED * best.cost:
            return Difference(NONE, plain, changed, _NO_ROWS, _NO_ROWS)
    crcs = [checksums.rows(data, new.count, best.chunk, word) for data in (base, new.data)]
    return Difference(number, Encoded(best, changed, pool), changed, crcs[0], crcs[1])


def encode_stored_difference(
    new: StoredWords, base: StoredWords, transform: str = "auto", pool: Executor | None = None
) -> Difference:
    """Encode what turns a base's words into those of a tensor larger than memory; the same bytes as of
    `encode_difference`. The transform is none that stores new values."""
    number = chosen(transform, new.dtype)
    changes = StoredChanges(new, base, number)
    if changes.count == 0:
        return Difference(COPY, None, 0, _NO_ROWS, _NO_ROWS)
    best = _smallest(changes)
    if transform == "auto" and best.cost > max(_LEAST, new.nbytes // _SHARE):
        plain = encode(new, "auto", pool)
        if plain.stored < _SAVED * best.cost:
            return Difference(NONE, plain, changes.count, _NO_ROWS, _NO_ROWS)
    crcs = [checksums.stored_rows(words, best.chunk) for words in (base, new)]
    return Difference(number, Encoded(best, changes.count, pool), changes.count, crcs[0], crcs[1])


def encode_changes(changes: Changes, pool: Executor | None = None) -> Encoded:
    """Encode known changes in their smallest layout."""
    return Encoded(_smallest(changes), changes.count, pool)


def _smallest(changes: Changes | StoredChanges) -> Encoding:
    others = [
        kind
        for kind, there in (
            ("bitmap", changes.count * _SPARSE >= changes.words),
            ("relative16", changes.count * _WIDE <= changes.words),
        )
        if there
    ]
    kinds = ("relative8", *others)
    return min(changes.encodings(kinds), key=lambda encoding: encoding.cost)
