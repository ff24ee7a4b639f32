"""The reader: an immutable mapping of names to tensors, each read when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import BinaryIO

from numpy.typing import NDArray

from dcz.container.memory import allocate, target
from dcz.container.slices import TensorSlice
from dcz.container.store import Store, check_bytes
from dcz.tensor import Layout


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What is known of a tensor without reading it: `dtype` is safetensors' code, `words` the numbers it is
    made of (two to a complex element), `nonzeros` those whose bits are not all zero, `stored` the bytes of
    its segment, `nbytes` those of the decoded array, `layout` how it is stored."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    words: int
    nonzeros: int
    stored: int
    nbytes: int
    layout: Layout


class Reader(Mapping[str, NDArray]):
    """A dcz file, open for reading: a mapping of names to arrays, immutable and safe for threads.

    Args:
        file: a path, bytes, or a seekable binary file object.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.

    >>> import numpy, dcz
    >>> with dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)})) as reader:
    ...     print(reader.info("w").shape, reader["w"].sum())
    (2, 3) 15
    """

    def __init__(self, file: str | os.PathLike[str] | bytes | BinaryIO) -> None:
        self._store = Store(file)
        self._index = self._store.index

    # -- a mapping

    def __getitem__(self, name: str) -> NDArray:
        return self.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._index.entries
        yield from self._index.aliases

    def __len__(self) -> int:
        return len(self._index.entries) + len(self._index.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self._index.entries or name in self._index.aliases

    # -- what is in the file

    @property
    def metadata(self) -> Mapping[str, object]:
        """The file's metadata, read-only."""
        return MappingProxyType(self._index.metadata)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Second names of tensors, and which they name."""
        return MappingProxyType(self._index.aliases)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._store.source.size

    def info(self, name: str) -> TensorInfo:
        """Shape, dtype and layout of a tensor, without reading it."""
        e = self._store.entry(name)
        layout = self._index.columns.layout(e.number)
        return TensorInfo(e.name, e.dtype.code, e.shape, e.words, e.nonzeros, e.size, e.nbytes, layout)

    # -- tensors

    def get_tensor(self, name: str, *, out: NDArray | None = None) -> NDArray:
        """A tensor, decoded into a fresh array or into `out`; every chunk's checksum is verified.

        `out` has the tensor's shape and dtype and is C-contiguous; it is returned.

        >>> import numpy, dcz
        >>> reader = dcz.open(dcz.save({"w": numpy.arange(6)}))
        >>> reader.get_tensor("w", out=numpy.empty(6, int)).tolist()
        [0, 1, 2, 3, 4, 5]
        """
        entry = self._store.entry(name)
        check_bytes(entry.nbytes, self.size, None)
        array, flat = allocate(entry) if out is None else (out, target(out, entry))
        for task in self._store.tasks([entry], [flat]):
            self._store.run(task)
        return array

    def get_slice(self, name: str) -> TensorSlice:
        """A view that reads and decodes only the chunks its indexing touches.

        >>> import numpy, dcz
        >>> reader = dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)}))
        >>> reader.get_slice("w")[1:, :2].tolist()
        [[3, 4]]
        """
        return TensorSlice(self._store, self._store.entry(name))

    # -- the file

    def close(self) -> None:
        """Closes the file; tensors already read stay."""
        self._store.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<dcz.Reader {self._store.source.name}: {len(self)} tensors, {self.size} bytes>"

    def _repr_html_(self) -> str:
        from importlib import import_module  # a room above this one, and only in notebooks

        return import_module("dcz.report.notebook").reader(self)
