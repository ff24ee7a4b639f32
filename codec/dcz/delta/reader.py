"""The reader of files with a base: a mapping of names to arrays, and each tensor's changes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.slices import TensorSlice
from dcz.container.sparse import StoredClusters
from dcz.container.writer import Writer
from dcz.delta.base import Base
from dcz.delta.decode import attach
from dcz.delta.links import Link, Links, check_base, check_copy_crc
from dcz.delta.patch import Patch, patch
from dcz.delta.transforms import COPY, NAMES
from dcz.errors import DczError
from dcz.io.sources import origin
from dcz.tensor.words import StoredWords, crc_of
from dcz.text import plural, printable

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class DeltaReader(Reader):
    """A file of differences to a base, open for reading.

    Args:
        file: as of `dcz.Reader`.
        base: a mapping of names to the base's arrays (a dictionary, `dcz.open` of a file), of which nothing is read
            before it is needed; without, only `patch`, and tensors that are stored whole, can be read.

    Reading raises `BaseError` where the base lacks a tensor, has another dtype or number of words, or other words:
    every chunk of it that is read is compared with its CRC-32C.

    >>> import io, numpy, dcz
    >>> old, file = {"w": numpy.arange(6, dtype="float32")}, io.BytesIO()
    >>> saved = dcz.save_delta({"w": old["w"] + (old["w"] == 4)}, file, base=old)
    >>> with dcz.open(file.getvalue(), base=old) as reader:
    ...     print(reader["w"], reader.patch("w").indices)
    [0. 1. 2. 3. 5. 5.] [4]
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
        *,
        base: Mapping[str, Any] | None = None,
        sequential: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        super().__init__(file, sequential=sequential, max_bytes=max_bytes)
        try:
            self._take(base)
        except BaseException:
            self._store.close()
            raise

    @staticmethod
    def of(reader: Reader) -> DeltaReader:
        """Return a reader of a file that another reader has opened and hands over."""
        made = DeltaReader.__new__(DeltaReader)
        vars(made).update(vars(reader))
        made._take(None)
        return made

    def _take(self, base: Mapping[str, Any] | None) -> None:
        self._base = None if base is None else Base(base)
        self._decoder = attach(self._store, self._base)
        self._links = Links(self._store)

    def _link(self, name: str) -> Link:
        self._store.listed(name)
        return self._links[self._index.aliases.get(name, name)]

    def transform(self, name: str) -> str:
        """Return how a tensor is made: "whole", "copy" of the base's, "step", "xor" or "replace"."""
        return NAMES[self._link(name).transform]

    def base_name(self, name: str) -> str:
        """Return the name of a tensor in the base."""
        return self._link(name).base_name

    def patch(self, name: str) -> Patch:
        """Return a tensor's changes: flat `indices` and `values`. These are new values, with a base or of a "replace";
        else signed steps or the bits that differ, as `kind` says.

        >>> import io, numpy, dcz
        >>> old, file = {"w": numpy.zeros(5, "float32")}, io.BytesIO()
        >>> saved = dcz.save_delta({"w": numpy.float32([0, 0, 7, 0, 0])}, file, base=old)
        >>> dcz.open(file.getvalue(), base=old).patch("w").values
        array([7.], dtype=float32)
        """
        link = self._link(name)
        whole = None if link.based else self.get_tensor(name)
        if link.changed and not self._store.decoder.prepared(link.number):
            self._store.prepare([link.entry])
        return patch(self._store, self._decoder, link, self._base, whole)

    def get_slice(self, name: str) -> TensorSlice:
        link = self._link(name)
        if link.transform != COPY:
            return super().get_slice(name)
        if self._base is None:
            raise DczError(f"tensor {name!r}: is that of the base, which was not given")
        return _CopySlice(self._store, link, self._base)

    def in_blocks(self, name: str, block: int, *, threads: int | None = None) -> StoredWords | None:
        """Return the words of a tensor larger than memory, to be made in ranges of at most `block` words of those of
        the base, which are checked. None where the base reads its tensors whole."""
        link = self._link(name)
        if self._base is None or not link.based:
            return super().in_blocks(name, block, threads=threads)
        check_base(self._store, self._base, {name: link})
        words = self._base.in_blocks(link.base_name, block)
        if words is None:
            return None
        if link.transform == COPY:
            check_copy_crc(link, crc_of(words))
            return replace(words, shape=link.entry.shape)
        return super().in_blocks(name, block, threads=threads)

    def get_csr(self, name: str, *, dtype: DTypeLike | None = None) -> csr_array:
        return self._plain(name).get_csr(name, dtype=dtype)

    def get_clusters(self, name: str) -> StoredClusters:
        return self._plain(name).get_clusters(name)

    def _plain(self, name: str) -> Reader:
        """Return a reader of what the file stores of this tensor: its changes."""
        with Writer(buffer := io.BytesIO()) as writer:
            writer.add(name, self.get_tensor(name))
        return Reader(buffer.getvalue())

    def __enter__(self) -> DeltaReader:
        return self

    def __reduce__(self) -> tuple[Callable[..., DeltaReader], tuple[object, ...]]:  # type: ignore[override]
        base = None if self._base is None else self._base.tensors
        return _reopen, (DeltaReader, origin(self._file), base, self._sequential, self._max_bytes)

    def __repr__(self) -> str:
        tensors = plural(len(self), "tensor")
        return f"<dcz.DeltaReader {printable(self.source, 120)}: {tensors}, {self.size} bytes>"


class ShardedDeltaReader(ShardedReader):
    """The files of differences of a shard index, with one base for all; the methods are those of `DeltaReader`."""

    def __init__(
        self,
        file: str | os.PathLike[str],
        *,
        base: Mapping[str, Any],
        sequential: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        super().__init__(file, sequential=sequential, max_bytes=max_bytes)
        self._base = base

    def _reader_of(self, path: str) -> DeltaReader:
        return DeltaReader(path, base=self._base, sequential=self._sequential, max_bytes=self._max_bytes)

    def transform(self, name: str) -> str:
        """Return how a tensor is made; see `DeltaReader.transform`."""
        return self._delta(name).transform(name)

    def base_name(self, name: str) -> str:
        """Return the name of a tensor in the base."""
        return self._delta(name).base_name(name)

    def patch(self, name: str) -> Patch:
        """Return a tensor's changes; see `DeltaReader.patch`."""
        return self._delta(name).patch(name)

    def _delta(self, name: str) -> DeltaReader:
        reader = self._reader(name)
        assert isinstance(reader, DeltaReader)
        return reader

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:  # type: ignore[override]
        where = origin(self._index.path)
        return _reopen, (ShardedDeltaReader, where, self._base, self._sequential, self._max_bytes)


def _reopen(kind: Callable[..., Any], file: Any, base: Any, sequential: bool, max_bytes: int | None) -> Any:
    return kind(file, base=base, sequential=sequential, max_bytes=max_bytes)


class _CopySlice(TensorSlice):
    """A tensor of the base, not yet read."""

    def __init__(self, store: Any, link: Link, base: Base) -> None:
        super().__init__(store, link.entry)
        self._link, self._base = link, base

    def _fill(self, out: NDArray[Any], start: int, strides: tuple[int, ...]) -> None:
        steps = [(n - 1) * step for n, step in zip(out.shape, strides)]
        first = start + sum(min(step, 0) for step in steps)
        last = start + sum(max(step, 0) for step in steps) + 1
        dtype = self._link.entry.dtype
        data = self._base.words(self._link.base_name, first * dtype.words, last * dtype.words, dtype.word)
        sizes = tuple(step * dtype.itemsize for step in strides)
        flat = np.frombuffer(data, np.uint8)
        out[...] = np.ndarray(out.shape, self.dtype, flat, (start - first) * dtype.itemsize, sizes)
