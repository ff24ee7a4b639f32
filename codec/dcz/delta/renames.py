"""Find tensors that have another name in the base, by their words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from dcz.delta.base import Base, Known
from dcz.errors import DczError
from dcz.tensor.words import StoredWords, WordSource, to_words

# How many words of a tensor are compared, and with how many tensors of the base.
_SAMPLE = 1 << 16
_MOST = 32


class Renames:
    """The base's names of the tensors of a new model, whose names are all given. `renames` are known ones."""

    def __init__(
        self, base: Mapping[str, Any], names: Collection[str], renames: Mapping[str, str] | None = None
    ) -> None:
        self._base = Base(base)
        self._given = dict(renames or {})
        for name, base_name in self._given.items():
            if name not in names or base_name not in self._base:
                where = "the new model" if name not in names else "the base"
                raise DczError(f"renames: {name!r} from {base_name!r}: {where} has no such tensor")
        aliases = getattr(base, "aliases", {})
        taken = {*names, *self._given.values()}
        self.left = sorted(name for name in base if name not in taken and name not in aliases)

    def base_name(self, name: str, array: np.ndarray | StoredWords) -> str:
        """Return the name of a tensor in the base. For a name that the base lacks, it is an unused tensor of the base
        with the same dtype and number of words: the one with most words in common, if these are more than half of a
        sample. That tensor is used then."""
        if name in self._given:
            return self._given[name]
        if name in self._base or not self.left:
            return name
        words = array if isinstance(array, StoredWords) else to_words(array, name)
        shares: dict[str, float] = {}
        for other in self.left:
            known = self._base.known(other)
            if len(shares) < _MOST and words.count and (known.dtype, known.words) == (words.dtype, words.count):
                shares[other] = self._in_common(words, other, known)
        best = max(shares, key=lambda other: shares[other], default=name)
        if shares.get(best, 0.0) <= 0.5:
            return name
        self.left.remove(best)
        return best

    def _in_common(self, words: WordSource, other: str, known: Known) -> float:
        if not words.held:
            self._base.in_blocks(other, words.block)  # so that only the sample is read
        n = min(known.words, _SAMPLE)
        first = (known.words - n) // 2
        kind, word = f"<u{words.dtype.word}", words.dtype.word
        mine = words.part(first, first + n).view(kind)
        return float(np.mean(mine == self._base.words(other, first, first + n, word).view(kind)))
