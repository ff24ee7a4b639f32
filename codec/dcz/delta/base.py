"""The tensors of a base, in any mapping: found by name, read in ranges of words."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from dcz import dtypes
from dcz.dtypes import Dtype
from dcz.errors import BaseError, DczError
from dcz.kernels.interface import U8
from dcz.tensor.words import StoredWords, to_words
from dcz.text import plural


class Known(NamedTuple):
    """A base's tensor before it is read: dtype and shape."""

    dtype: Dtype
    shape: tuple[int, ...]
    words: int


class Base:
    """A mapping of names to arrays, or to what reads them: a dictionary, `dcz.open` of a file, of an index of several.

    A tensor that had to be read whole is kept until the next one: its ranges follow each other."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        if not isinstance(tensors, Mapping):
            raise DczError(f"base: expected a mapping of names to arrays, found {type(tensors).__name__}")
        self.tensors = tensors
        self._lock = Lock()
        self._kept: tuple[str, U8] | None = None
        self._known: dict[str, Known] = {}  # of a reader, which does not change
        self._ranges: dict[str, StoredWords] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def known(self, name: str) -> Known:
        """Return dtype and shape of a tensor, without reading it where its mapping knows them.

        Raises `BaseError` for an unknown name."""
        if name in self._known:
            return self._known[name]
        if name not in self.tensors:
            raise BaseError(f"base: has no tensor {name!r:.200}; is it the base that the file was made from?")
        describe = getattr(self.tensors, "info", None)
        if describe is not None:
            info = describe(name)
            dtype, shape = dtypes.by_code(info.dtype, f"base: tensor {name!r}"), tuple(info.shape)
        else:
            array = np.asarray(self.tensors[name])
            dtype, shape = dtypes.by_numpy(array.dtype, f"base: tensor {name!r}"), array.shape
        words = dtype.words
        for length in shape:
            words *= length
        found = Known(dtype, shape, words)
        if describe is not None:
            self._known[name] = found
        return found

    def words(self, name: str, first: int, last: int, word: int) -> U8:
        """Return the bytes of words [first, last) of a tensor whose words have `word` bytes. Do not write to them."""
        begin, end = first * word, last * word
        if not hasattr(self.tensors, "info"):
            return to_words(self.tensors[name], name).data[begin:end]
        if (ranges := self._ranges.get(name)) is not None:
            return ranges.part(first, last)
        with self._lock:
            kept = self._kept
        if kept is not None and kept[0] == name:
            return kept[1][begin:end]
        known = self.known(name)
        rows = known.shape[0] if known.shape else 1
        if (first, last) != (0, known.words) and rows > 1 and hasattr(self.tensors, "get_slice"):
            each = known.words // rows
            start, stop = first // each, -(-last // each)
            part = to_words(self.tensors.get_slice(name)[start:stop], name).data
            return part[begin - start * each * word : end - start * each * word]
        whole = to_words(self.tensors[name], name).data
        if (first, last) != (0, known.words):
            with self._lock:
                self._kept = name, whole
        return whole[begin:end]

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor larger than memory, to be read at most `block` at once; from then on `words`
        reads ranges of this tensor. None where the mapping reads tensors whole."""
        if not hasattr(self.tensors, "info"):  # of arrays, which are in memory already
            held = to_words(self.tensors[name], name)
            return StoredWords(held.part, held.dtype, held.shape, held.count, block)
        read = getattr(self.tensors, "in_blocks", None)
        found: StoredWords | None = None if read is None else read(name, block, threads=1)
        if found is not None:
            self._ranges[name] = found
        return found


def check_fit(name: str, base_name: str, dtype: Dtype, words: int, known: Known) -> None:
    """Refuse a tensor of the base that does not fit the file's: shapes may differ, dtype and number of words may
    not."""
    where = f"tensor {name!r}" + (f" (in the base {base_name!r})" if base_name != name else "")
    if known.dtype.code != dtype.code:
        raise BaseError(f"{where}: the base has the dtype {known.dtype.code}, the file was made from {dtype.code}")
    if known.words != words:
        raise BaseError(
            f"{where}: the base has {plural(known.words, 'word')} {known.shape}, the file was made from {words}; "
            "is it the right base?"
        )
