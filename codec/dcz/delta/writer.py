"""The streaming writer of files with a base: each tensor is compared with the base's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from dcz.container.unchanged import ChangesRefused, private
from dcz.container.writer import Writer as PlainWriter
from dcz.delta import checksums
from dcz.delta.base import Base
from dcz.delta.encode import Difference, encode_difference, encode_stored_difference
from dcz.delta.transforms import COPY, NONE, STEP, XOR, check_choice, chosen
from dcz.dtypes import Dtype
from dcz.errors import DczError
from dcz.format import index
from dcz.format.trailer import HAS_BASE
from dcz.tensor import Layout, to_words
from dcz.tensor.words import BLOCK_STEP, StoredWords, Words, WordSource, crc_of


@dataclass(frozen=True, slots=True)
class Saved:
    """The result of saving: `tensors`, and how many of them are `copied` from the base, stored as `changes`, or
    `whole`; `removed` are those of the base that the new model lacks."""

    tensors: int
    copied: int
    changes: int
    whole: int
    removed: tuple[str, ...]


# The record of a tensor that is the base's.
EMPTY = Layout("all", "bytes", 512, None, (), (), (), ())


class Writer(PlainWriter):
    """Write a dcz file tensor by tensor; with `base`, as the differences to another model.

    Args:
        file: a path, which is replaced only once the file is complete, or a writable binary file object.
        base: a mapping of names to the base's arrays, read as tensors are added; or True, where each `add` brings its
            own. Without, the file stores its tensors whole.
        transform: "auto" (the smallest), "step", "xor", or "replace": new values, which need no base to be written
            into a model and can be written twice.
        metadata: a mapping of strings to strings, numbers, booleans, bytes, None, lists and mappings. Its "base", a
            mapping, may say which base it is: `name`, `sha256`, `uri`.
        profile: "auto", "csr", "bitmap", "dense", "paper" or "raw", of tensors that are stored whole.
        threads: how many to use; by default the cores this process may use.

    As a context manager it closes the file on leaving. After an exception, an old file stays as it was. All tensors of
    the new model are added, changed or not: what is not in the file is gone.

    >>> import io, numpy, dcz
    >>> old, file = numpy.zeros((4, 4), "float32"), io.BytesIO()
    >>> with dcz.Writer(file, base=True) as writer:
    ...     layout = writer.add("w", numpy.eye(4, dtype="float32"), base=old)
    >>> dcz.load_file(file.getvalue(), base={"w": old})["w"].trace()
    np.float32(4.0)
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        base: Mapping[str, Any] | bool | None = None,
        transform: str = "auto",
        metadata: Mapping[str, object] | None = None,
        profile: str = "auto",
        threads: int | None = None,
        **options: Any,
    ) -> None:
        check_choice(transform)
        self._transform = transform
        self._base = Base(base) if isinstance(base, Mapping) else None
        self._has_base = base is not None and base is not False
        super().__init__(file, metadata=metadata, profile=profile, threads=threads, **options)
        if self._has_base:
            self._features = HAS_BASE

    def add(
        self,
        name: str,
        array: np.ndarray | np.generic | StoredWords,
        *,
        base: np.ndarray | None = None,
        base_name: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Layout:
        """Store one tensor, bit for bit, and return its layout; with a base, that of its changes.

        `base` is the base's array, by default that of the writer's `base` under `base_name`, by default `name`. Dtype
        and number of words must agree, shapes need not; a tensor that the base lacks, or has otherwise, is stored
        whole. `metadata` is about this tensor. Raises `UnsupportedError` for a dtype that has no code, `DczError` for a
        name that is taken, or where one of the arrays changes meanwhile."""
        if not self._has_base:
            if base is not None or base_name is not None:
                raise DczError(f"tensor {name!r}: a base goes with Writer(file, base=...)")
            return super().add(name, array, metadata=metadata)
        words, about = self._taken(name, array, metadata)
        base_name = name if base_name is None else base_name
        if isinstance(words, StoredWords) and self._whole(base_name, words, base):
            words = Words(words.part(0, words.count), words.dtype, words.shape)
        old = self._old(base_name, words, base)
        found, crc = (None, 0) if old is None else self._difference(name, base_name, words, old)
        if found is None or found.transform == NONE:
            return self._add(name, words, about)
        return self.put(name, base_name, words.dtype, words.shape, words.count, found, crc, about)

    def reads_whole(self, base_name: str, dtype: Dtype, nbytes: int) -> bool:
        """Return whether a tensor must be in memory to be compared with the base's: where the base reads its tensors
        whole, or new values are stored."""
        if self._base is None or base_name not in self._base:
            return False
        known = self._base.known(base_name)
        if (known.dtype, known.words * dtype.word) != (dtype, nbytes):
            return False  # nothing to compare with
        return chosen(self._transform, dtype) not in (STEP, XOR) or self._base.in_blocks(base_name, BLOCK_STEP) is None

    def _whole(self, base_name: str, words: StoredWords, base: np.ndarray | None) -> bool:
        if base is not None:
            return chosen(self._transform, words.dtype) not in (STEP, XOR)
        return self.reads_whole(base_name, words.dtype, words.nbytes)

    def _difference(self, name: str, base_name: str, words: WordSource, old: WordSource) -> tuple[Difference, int]:
        """Return what turns the base's words into a tensor's, and the CRC-32C of the latter. Neither array may change
        meanwhile: both must have the same CRC-32C before and after."""
        base = private(old)
        crcs = [crc_of(data) for data in (base, words)]
        with ChangesRefused(name):
            if isinstance(words, StoredWords):
                assert isinstance(base, StoredWords)
                found = encode_stored_difference(words, base, self._transform, self._pool)
            else:
                found = encode_difference(words, base.part(0, base.count), self._transform, self._pool)
        if found.encoded is not None and found.transform != NONE:
            sizes = checksums.chunk_bytes(words.count, found.encoded.chunk, words.dtype.word).tolist()
            rows = (found.base_crcs.tolist(), found.result_crcs.tolist())
            for which, before, after in zip((base_name, name), crcs, rows):
                self._check_unchanged(which, before, checksums.joined(after, sizes))
        elif found.transform == COPY:
            self._check_unchanged(name, *crcs)
        return found, crcs[1]

    def _old(self, base_name: str, words: WordSource, array: np.ndarray | None) -> WordSource | None:
        """Return the base's words of a tensor, if the base has a matching one; read in blocks where its are."""
        if words.count == 0:
            return None
        if array is not None:
            old = to_words(array, base_name)
            if (old.dtype, old.count) != (words.dtype, words.count):
                return None
            return old if words.held else StoredWords(old.part, old.dtype, old.shape, old.count, words.block)
        if self._base is None or base_name not in self._base:
            return None
        known = self._base.known(base_name)
        if (known.dtype, known.words) != (words.dtype, words.count):
            return None
        if not words.held:
            return self._base.in_blocks(base_name, words.block)
        return Words(self._base.words(base_name, 0, known.words, words.dtype.word), words.dtype, words.shape)

    def put(
        self,
        name: str,
        base_name: str,
        dtype: Dtype,
        shape: tuple[int, ...],
        words: int,
        found: Difference,
        content_crc: int,
        metadata: Mapping[str, object] | None = None,
    ) -> Layout:
        """Store a tensor whose difference is known; `content_crc` is the CRC-32C of its words."""
        self._check_open()
        self._check_name(name, self._tensors)
        layout, nonzeros = EMPTY, 0
        if found.encoded is not None:
            layout, nonzeros = self._segment(name, found.encoded, words * dtype.word), found.encoded.nonzeros
        record = index.Record.of(name, dtype, shape, words, nonzeros, content_crc, layout)
        self._tensors[name] = replace(
            record,
            transform=found.transform,
            base_name=base_name,
            base_crcs=tuple(found.base_crcs.tolist()),
            result_crcs=tuple(found.result_crcs.tolist()),
            metadata=metadata or {},
        )
        return layout

    def __enter__(self) -> Writer:
        return self

    def saved(self, removed: tuple[str, ...] = ()) -> Saved:
        """Return the counts so far; `removed` are names of the base that were not added."""
        kinds = [record.transform for record in self._tensors.values()]
        changes = sum(kind > COPY for kind in kinds)
        return Saved(len(kinds), kinds.count(COPY), changes, kinds.count(NONE), removed)
