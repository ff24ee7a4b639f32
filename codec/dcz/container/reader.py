"""The reader: an immutable mapping of names to tensors, each read on access."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from numpy.typing import DTypeLike, NDArray

from dcz.container.blocks import stored_words
from dcz.container.file import OpenFile
from dcz.container.info import TensorInfo
from dcz.container.loading import Load, load, prepare
from dcz.container.memory import allocate, target
from dcz.container.segments import StoredSegment, stored_segment
from dcz.container.slices import TensorSlice
from dcz.container.sparse import StoredClusters, clusters, rows
from dcz.container.tasks import read_plan, run_all
from dcz.container.threads import thread_count
from dcz.errors import locating
from dcz.extras import require
from dcz.io.sources import origin
from dcz.tensor.words import StoredWords
from dcz.text import plural, printable

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Reader(Mapping[str, NDArray[Any]]):
    """A dcz file, open for reading: a mapping of names to arrays, immutable and safe for threads.

    Args:
        file: a path, a URL that fsspec knows (`s3://`, `https://`, `hf://`, ...; extra `remote`), bytes, or a
            seekable binary file object. Opening a remote file reads its index alone, with one or two requests.
        sequential: read a remote file ahead, in large blocks: all of it will be read, tensor by tensor in order.
        max_bytes: how many bytes one call may hold in memory: what it returns, and large codebooks. By default 1,024
            times the file's size or 1 GiB, whichever is more, and no more than the machine has.

    Raises:
        OSError: the file or the server cannot be read.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.

    >>> import numpy, dcz
    >>> with dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)})) as reader:
    ...     print(reader.info("w").shape, reader["w"].sum())
    (2, 3) 15
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
        *,
        sequential: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        self._file, self._sequential, self._max_bytes = file, sequential, max_bytes
        self._store = OpenFile(file, sequential=sequential, max_bytes=max_bytes)
        self._index = self._store.index

    # -- a mapping

    def __getitem__(self, name: str) -> NDArray[Any]:
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
    def extensions(self) -> Mapping[str, object]:
        """The file's extensions, which this version does not interpret, read-only."""
        return MappingProxyType(self._index.extensions)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Second names of tensors, and which they name."""
        return MappingProxyType(self._index.aliases)

    @property
    def source(self) -> str:
        """The file's path, URL or name."""
        return self._store.source.name

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._store.source.size

    def info(self, name: str) -> TensorInfo:
        """Return shape, dtype and layout of a tensor, without reading it."""
        e, c = self._store.listed(name), self._index.columns
        t = self._index.entries.numbers[e.name]
        same_as = c.names[e.number] if e.number != t else None
        return TensorInfo(
            e.name, e.dtype.code, e.shape, e.words, e.nonzeros, 0 if same_as else e.size, e.nbytes, c.layout(t),
            MappingProxyType(self._index.tensor_metadata.get(e.name, {})), same_as, self._store.unsupported(name),
            int(c.content_crcs[t]),
        )  # fmt: skip

    def stored_segment(self, name: str) -> StoredSegment:
        """Return a tensor's segment as it is stored, for `Writer.copy`."""
        return stored_segment(self._store, name)

    # -- tensors

    def get_tensor(self, name: str, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a tensor, decoded into a fresh array or into `out`. Every chunk's checksum is verified.

        `out` has the tensor's shape and dtype and is C-contiguous; it is returned.

        >>> import numpy, dcz
        >>> reader = dcz.open(dcz.save({"w": numpy.arange(6)}))
        >>> reader.get_tensor("w", out=numpy.empty(6, int)).tolist()
        [0, 1, 2, 3, 4, 5]
        """
        entry = self._store.entry(name)
        with locating(self.source):
            self._store.check_bound([entry], entry.nbytes, work=entry.nbytes)
            array, flat = allocate([entry])[0] if out is None else (out, target(out, entry))
            run_all(self._store, read_plan(self._store, [entry], [flat]), 1)
        return array

    def get_slice(self, name: str) -> TensorSlice:
        """Return a view that reads and decodes only the chunks its indexing touches.

        >>> import numpy, dcz
        >>> reader = dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)}))
        >>> reader.get_slice("w")[1:, :2].tolist()
        [[3, 4]]
        """
        return TensorSlice(self._store, self._store.entry(name))

    def in_blocks(self, name: str, block: int, *, threads: int | None = None) -> StoredWords | None:
        """Return the words of a tensor larger than memory, to be decoded in ranges of at most `block` words, as
        `Writer.add` takes them. None for a tensor that is a copy of one of a base.

        >>> import numpy, dcz
        >>> words = dcz.open(dcz.save({"w": numpy.arange(6)})).in_blocks("w", 1 << 20)
        >>> words.part(2, 4).view("<i8").tolist()
        [2, 3]
        """
        return stored_words(self._store, name, block, thread_count(threads))

    def get_csr(self, name: str, *, dtype: DTypeLike | None = None) -> csr_array:
        """Return a matrix as a `scipy.sparse.csr_array`, without making it dense. Every bit pattern but zero is stored.

        `dtype` converts the values: scipy cannot compute with 16-bit and 8-bit floats. Raises `DczError` for other
        than two dimensions, `ImportError` without scipy (`pip install 'dcz[scipy]'`).

        >>> import numpy, dcz
        >>> reader = dcz.open(dcz.save({"w": numpy.eye(3, dtype="float32")}))
        >>> reader.get_csr("w") @ numpy.ones(3, "float32")
        array([1., 1., 1.], dtype=float32)
        """
        require("scipy.sparse", "scipy", "get_csr")
        from scipy.sparse import csr_array

        with locating(self.source):
            found = rows(self._store, self._store.entry(name))
        values = found.values if dtype is None else found.values.astype(dtype)
        return csr_array((values, found.columns, found.starts), shape=found.shape)

    def get_clusters(self, name: str) -> StoredClusters:
        """Return the clusters of a tensor: cluster `indices` of its nonzeros, their `codebook`, and the `mask` of their
        places.

        A tensor stored by codebook is not made dense; the clusters of others are its distinct values. Raises
        `UnsupportedError` where there are more than 65,536.

        >>> import numpy, dcz
        >>> weights = numpy.resize(numpy.float32([0, -1, 0, 2]), (64, 64))
        >>> clusters = dcz.open(dcz.save({"w": weights})).get_clusters("w")
        >>> clusters.codebook[clusters.indices][:4].tolist(), clusters.mask[0, :4].tolist()
        ([-1.0, 2.0, -1.0, 2.0], [False, True, False, True])
        """
        with locating(self.source):
            return clusters(self._store, self._store.entry(name))

    def load(
        self,
        *,
        names: Iterable[str] | None = None,
        threads: int | None = None,
        out: Mapping[str, NDArray[Any]] | None = None,
        max_bytes: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Load many tensors at once; arguments and errors as in `dcz.load_file`.

        >>> import numpy, dcz
        >>> sorted(dcz.open(dcz.save({"a": numpy.ones(2), "b": numpy.zeros(2)})).load())
        ['a', 'b']
        """
        count = thread_count(threads)
        return load(self._store, names=names, threads=count, out=out, max_bytes=max_bytes, progress=progress)

    def _prepare(
        self, names: Iterable[str], threads: int, out: Mapping[str, NDArray[Any]] | None, max_bytes: int | None
    ) -> Load:
        """Return what loading these tensors takes, for `dcz.container.loading.run`, which loads from several files at
        once."""
        return prepare(self._store, names=names, threads=threads, out=out, max_bytes=max_bytes)

    # -- the file

    def close(self) -> None:
        """Close the file. Arrays that were read stay valid."""
        self._store.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Reader], tuple[object, bool, int | None]]:
        return _reopen, (origin(self._file), self._sequential, self._max_bytes)

    def __repr__(self) -> str:
        name, tensors = printable(self._store.source.name, 120), plural(len(self), "tensor")
        return f"<dcz.Reader {name}: {tensors}, {self.size} bytes>"

    def _repr_html_(self) -> str:
        from dcz.container.html import reader_table  # notebooks alone need it

        return reader_table(self)


def _reopen(file: str | bytes, sequential: bool, max_bytes: int | None) -> Reader:
    return Reader(file, sequential=sequential, max_bytes=max_bytes)
