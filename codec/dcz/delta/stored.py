"""Changes of a tensor larger than memory: made from its words and the base's each time they are read."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from dcz import kernels
from dcz.delta.changes import nested_chunk
from dcz.delta.transforms import magnitude, stored_dtype
from dcz.entropy import Coding, Symbols, coding
from dcz.kernels.interface import U8
from dcz.tensor.choose import Encoding
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.streams import Analysis
from dcz.tensor.words import StoredWords


class StoredChanges:
    """The changes between two tensors by steps or exclusive ors, as `Changes` of words in memory.

    What is stored for a changed word is not zero. So the changes are the nonzeros of a tensor that is zero where the
    two are equal, and its streams are those of the changes."""

    def __init__(self, new: StoredWords, base: StoredWords, transform: int) -> None:
        self._new, self._base, self._transform = new, base, transform
        self.words = new.count
        dtype = stored_dtype(new.dtype, transform)
        self._found = _Changed(StoredWords(self._part, dtype, new.shape, new.count, new.block))

    @property
    def count(self) -> int:
        """The number of changed words."""
        return self._found.nonzeros

    def encodings(self, kinds: tuple[str, ...]) -> list[Encoding]:
        """Return all layouts with these positions. None stores unchanged words."""
        found, out = self._found, []
        values = self._values()
        for kind in kinds:
            streams, fillers = found.positions(kind)
            positions = [stream.with_zstd for stream in streams]
            for name, book, coded in values:
                counts = found.sparse_counts
                out.append(Encoding(kind, name, found.sparse_chunk, book, [*positions, *coded], counts, fillers))
        return out

    def _values(self) -> list[tuple[str, StoredCodebook | None, list[Coding]]]:
        found = self._found
        out: list[tuple[str, StoredCodebook | None, list[Coding]]] = []
        if found.entries(True) is not None:
            out.append(("codebook", found.codebook(True), [_coded(each) for each in found.index(True)]))
        out.append(("planes", None, [_coded(each) for each in found.planes(True)]))
        return out

    def _part(self, first: int, last: int) -> U8:
        """Return what is stored for the words [first, last), zero for unchanged ones."""
        dtype = self._new.dtype
        bitmap, stored = kernels.active().compare(
            self._new.part(first, last), self._base.part(first, last), dtype.word, self._transform, magnitude(dtype)
        )
        out = np.zeros(last - first, f"<u{dtype.word}")
        out[np.unpackbits(bitmap, count=last - first, bitorder="little").view(bool)] = stored.view(out.dtype)
        return out.view(np.uint8)


class _Changed(Analysis):
    """The analysis of changes: chunks are those of files of differences."""

    @cached_property
    def sparse_chunk(self) -> int:
        return nested_chunk(self.count, self.nonzeros)


def _coded(symbols: Symbols) -> Coding:
    return coding.choose(symbols).with_zstd
