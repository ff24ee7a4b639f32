"""The streaming writer: one pass, memory bounded by one tensor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import BinaryIO

import numpy as np

from dcz import limits
from dcz.container.duplicates import Duplicates
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.threads import pool, thread_count
from dcz.container.unchanged import ChangesRefused, changed, is_private, private
from dcz.errors import DczError, LimitError
from dcz.format import index, prelude
from dcz.format import metadata as typed
from dcz.format.records import Record, StoredLayout
from dcz.format.trailer import HAS_BASE
from dcz.io.sinks import open_sink
from dcz.io.targets import check_target
from dcz.kernels.interface import U8
from dcz.tensor import Layout, encode, tiny, to_words
from dcz.tensor.choose import check_profile
from dcz.tensor.encoded import Encoded
from dcz.tensor.words import StoredWords, WordSource, crc_of

_NO_LAYOUT = StoredLayout()


class Writer:
    """Write a dcz file tensor by tensor.

    Args:
        file: a path, which is replaced only once the file is complete, or a writable binary file object.
        metadata: a mapping of strings to strings, numbers, booleans, bytes, None, lists and mappings.
        profile: "auto", "csr", "bitmap", "dense", "paper" or "raw".
        portable: avoid zstd, for readers that lack it. The file grows by some per cent.
        extensions: data of extensions of the format, by the extension's name; values as in `metadata`.
        threads: how many to use; by default the cores this process may use.

    As a context manager it closes the file on leaving. After an exception, an old file stays as it was.

    >>> import io, numpy, dcz
    >>> file = io.BytesIO()
    >>> with dcz.Writer(file, metadata={"step": 3}) as writer:
    ...     layout = writer.add("w", numpy.eye(4, dtype="float32"))
    >>> list(dcz.load(file.getvalue()))
    ['w']
    """

    _features = 0

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, object] | None = None,
        profile: str = "auto",
        threads: int | None = None,
        portable: bool = False,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        self._open = False  # nothing to abandon until the file is open
        check_target(file)
        check_profile(profile)
        count = thread_count(threads)
        self._metadata = typed.normalize(metadata)
        self._extensions = typed.normalize(extensions, "extensions")
        self._profile, self._portable = profile, portable
        self._tensors: dict[str, Record] = {}
        self._aliases: dict[str, str] = {}
        self._copied: dict[tuple[int, int], Record] = {}  # by serial number of the file, and number in it
        self._offset = 0
        self._pool = pool(count) if count > 1 else None
        self._sink = open_sink(file)
        self._duplicates = Duplicates(self._sink)
        # Tensors of a few bytes by dtype and words: their records, and their layouts.
        self._tiny: dict[tuple[str, bytes], tuple[Record, Layout]] = {}
        self._open = True
        with _Abandoning(self):
            self._write(prelude.MAGIC)

    def add(
        self,
        name: str,
        array: np.ndarray | np.generic | StoredWords,
        *,
        metadata: Mapping[str, object] | None = None,
    ) -> Layout:
        """Store one tensor, bit for bit, and return its layout. `metadata` is about this tensor, and as that of the
        file. A tensor larger than memory is given as `dcz.tensor.StoredWords`, which are read in blocks; the file is
        the same.

        A tensor whose words equal those of an earlier one of the same dtype is stored as a reference to it, which loads
        as an array of its own; not so where what was written cannot be read back, as in a pipe.

        Raises `UnsupportedError` for a dtype without a code, `DczError` for a name that is taken, `LimitError` for
        more tensors than a reader accepts."""
        words, about = self._taken(name, array, metadata)
        return self._add(name, words, about)

    def _taken(
        self, name: str, array: np.ndarray | np.generic | StoredWords, metadata: Mapping[str, object] | None
    ) -> tuple[WordSource, dict[str, object]]:
        """Check the arguments of `add`; return the words, small ones copied, and the metadata."""
        self._check_open()
        self._check_name(name, self._tensors)
        words = array if isinstance(array, StoredWords) else to_words(array, name)
        index.check_shape(words.shape, words.dtype, name)
        about = {} if metadata is None else typed.normalize(metadata, f"metadata of tensor {name!r:.80}")
        return private(words), about

    def _add(self, name: str, words: WordSource, about: dict[str, object]) -> Layout:
        """Store a tensor whole."""
        if not 0 < words.nbytes < tiny.LIMIT:
            return self._store(name, words, about)
        key = words.dtype.code, words.part(0, words.count).tobytes()
        if key in self._tiny:
            owner, layout = self._tiny[key]
            self._tensors[name] = _record(name, words, owner.nonzeros, owner.content_crc, about, same_as=owner.name)
            return layout
        layout = self._store(name, words, about)
        self._tiny[key] = self._tensors[self._tensors[name].same_as or name], layout
        return layout

    def _store(self, name: str, words: WordSource, about: dict[str, object]) -> Layout:
        """Store a tensor: as a segment, or as a reference to an earlier one of equal words."""
        crc = crc_of(words)
        encoded = self._encoded(name, words)
        for other, offset in self._duplicates.candidates((words.dtype.code, words.count, crc)):
            with ChangesRefused(name):
                same = self._duplicates.same(encoded, other, offset)
            if same:
                self._tensors[name] = _record(name, words, encoded.nonzeros, crc, about, same_as=other.name)
                return encoded.layout()
            encoded = self._encoded(name, words)  # its parts have been asked for
        layout = self._segment(name, encoded, words.nbytes)
        if not is_private(words):
            self._check_unchanged(name, crc, encoded.words_crc(words))
        self._add_record(_record(name, words, encoded.nonzeros, crc, about, StoredLayout.of(layout)))
        return layout

    def copy(self, reader: Reader | ShardedReader, name: str, as_name: str | None = None) -> None:
        """Store a tensor of an open file, or of a model in several, as it is stored there, its metadata too: without
        decoding it, so also one that this version cannot decode. Its stored bytes are checked against their checksums.

        A tensor that is the same as another one there is a reference here too, if that one has been copied before.

        >>> import io, numpy, dcz
        >>> source, file = dcz.save({"w": numpy.eye(3)}), io.BytesIO()
        >>> with dcz.open(source) as reader, dcz.Writer(file) as writer:
        ...     writer.copy(reader, "w")
        >>> file.getvalue() == source
        True
        """
        self._check_open()
        as_name = name if as_name is None else as_name
        self._check_name(as_name, self._tensors)
        segment = reader.stored_segment(name)
        record = replace(segment.record, name=as_name)
        if self._portable and segment.needs_zstd:
            raise DczError(f"tensor {name!r}: its segment is coded by zstd; read and add it to make the file portable")
        known = self._copied.get((segment.store.serial, segment.number))
        if known is not None and not record.transform:
            self._tensors[as_name] = replace(record, layout=StoredLayout(), same_as=known.name)
            return
        with _Abandoning(self):
            self._align(record.layout.stored, record.words * record.word_size)
            for part in segment.parts():
                self._write(part)
        self._add_record(record)
        self._features |= HAS_BASE if record.transform else 0
        self._copied[segment.store.serial, segment.number] = record

    def adopt(self, reader: Reader | ShardedReader, name: str) -> None:
        """Store a tensor of a part of this file, which was made by a writer with the same options: as `copy` does, and
        with the bytes that `add` would write, a reference where an earlier tensor has the same words."""
        self._check_open()
        self._check_name(name, self._tensors)
        segment = reader.stored_segment(name)
        record = segment.record
        if not record.transform:
            for other, offset in self._duplicates.of(record):
                if self._duplicates.same_stored(segment.parts(), record, other, offset):
                    self._tensors[name] = replace(record, layout=_NO_LAYOUT, same_as=other.name)
                    return
        self.copy(reader, name)

    def _check_unchanged(self, name: str, before: int, after: int) -> None:
        """Refuse an array whose words have another CRC-32C than before they were encoded."""
        if before != after:
            self.abandon()
            raise changed(name)

    def _encoded(self, name: str, words: WordSource) -> Encoded:
        with ChangesRefused(name):
            return encode(words, self._profile, self._pool, self._portable)

    def _add_record(self, record: Record) -> None:
        """Record a tensor whose segment has just been written."""
        self._tensors[record.name] = record
        if not record.transform:
            self._duplicates.add(record, self._offset - record.layout.stored)

    def _align(self, size: int, nbytes: int) -> None:
        """Write the padding in front of a segment of `size` bytes, of an array of `nbytes`."""
        self._write(bytes(index.aligned(self._offset, size, nbytes) - self._offset))

    def _segment(self, name: str, encoded: Encoded, nbytes: int) -> Layout:
        """Write the segment of a tensor whose array has `nbytes` bytes."""
        try:
            self._align(encoded.stored, nbytes)
            for part in _unchanged(name, encoded.parts()):
                self._write(part)
            return encoded.layout()
        except BaseException:
            self.abandon()
            raise

    def alias(self, name: str, target: str) -> None:
        """Give the tensor `target`, which has been added, a second name: tied weights."""
        self._check_open()
        self._check_name(name, self._aliases)
        target = self._aliases.get(target, target)
        if target not in self._tensors:
            raise DczError(f"alias {name!r}: there is no tensor {target!r} yet; add it first")
        self._aliases[name] = target

    def __contains__(self, name: object) -> bool:
        """Whether a tensor or alias of this name has been stored."""
        return name in self._tensors or name in self._aliases

    def close(self) -> None:
        """Write index and trailer and publish the file. Does nothing the second time.

        `index.pack` runs the reader's own checks: a file that no reader opens is never published."""
        if not self._open:
            return
        with _Abandoning(self):
            has_base = bool(self._features & HAS_BASE)
            records = list(self._tensors.values())
            plain = index.flatten(records, self._aliases, self._metadata, self._extensions, has_base)
            stored, trailer = index.pack(plain, self._offset, self._features, self._portable)
            self._write(stored)
            self._write(trailer.pack())
            self._sink.publish()
        self._finish()

    def abandon(self) -> None:
        """Discard the file: a path keeps what it had before."""
        if self._open:
            try:
                self._sink.abandon()
            finally:
                self._finish()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.abandon()

    def _finish(self) -> None:
        self._open = False
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)  # of an interrupted tensor, what has not begun never will

    def _write(self, data: bytes | U8) -> None:
        if len(data):
            self._sink.write(data)
            self._offset += len(data)

    def _check_open(self) -> None:
        if not self._open:
            raise DczError("the writer is closed; open another")

    def _check_name(self, name: str, among: Mapping[str, object]) -> None:
        index.check_name(name, "name", DczError)
        if name in self._tensors or name in self._aliases:
            raise DczError(f"duplicate tensor {name!r}: names are unique in a file")
        if len(among) >= limits.MAX_TENSORS:
            kind = "aliases" if among is self._aliases else "tensors"
            raise LimitError(f"{name!r}: more than {limits.MAX_TENSORS} {kind}; split the model into shards")


def _record(
    name: str, words: WordSource, nonzeros: int, crc: int, about: dict[str, object],
    layout: StoredLayout = _NO_LAYOUT, same_as: str = "",
) -> Record:  # fmt: skip
    dtype = words.dtype
    return Record(name, dtype.code, words.shape, words.count, dtype.word, nonzeros, crc, layout, same_as, about)


def _unchanged(name: str, parts: Iterator[U8]) -> Iterator[U8]:
    """Yield the parts of a segment; raise an error if the array has changed meanwhile."""
    with ChangesRefused(name):
        yield from parts


class _Abandoning:
    """End a writer's file at any error in writing: half a segment cannot be taken back."""

    __slots__ = ("_writer",)

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._writer.abandon()
