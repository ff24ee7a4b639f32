"""A model in several dcz files, read by their index as if it were one file."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from threading import RLock
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from numpy.typing import DTypeLike, NDArray

from dcz.container.bounds import Bound
from dcz.container.info import TensorInfo
from dcz.container.loading import run
from dcz.container.reader import Reader
from dcz.container.segments import StoredSegment
from dcz.container.shards import ShardIndex
from dcz.container.slices import TensorSlice
from dcz.container.sparse import StoredClusters
from dcz.container.threads import thread_count
from dcz.errors import DczError, FormatError, locating
from dcz.io.sources import origin
from dcz.tensor import StoredWords
from dcz.text import plural, printable

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Shards that stay open. Others are opened again when they are used, so that a model of a thousand shards does
# not need a thousand file descriptors.
_OPEN = 32
# Shards that are loaded side by side, so that no thread waits for the last chunks of one.
_TOGETHER = 16


class ShardedReader(Mapping[str, NDArray[Any]]):
    """The files of a shard index, open for reading: a mapping of names to arrays with the methods of `Reader`.

    Opening reads the index alone. A shard is opened when one of its tensors is read. All names of a tensor are in the
    same shard, the one that the index gives for the name.

    Args:
        file: the path or URL of a `*.dcz.index.json`.
        sequential: as in `Reader`.
        max_bytes: as in `Reader`; the default follows from the size of all files, or where a single tensor is read,
            of its file.

    Raises:
        FormatError: the index is malformed, or its files are missing or do not belong to it.
        TruncatedError: a file is shorter than the index says.

    >>> import numpy, dcz, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.arange(3), "b": numpy.ones(2)}, folder, shard_size=30)
    >>> with dcz.open(index) as model:
    ...     print(len(model.shards), model["a"], model.info("b").shape)
    2 [0 1 2] (2,)
    """

    def __init__(self, file: str | os.PathLike[str], *, sequential: bool = False, max_bytes: int | None = None) -> None:
        Bound(0, max_bytes)  # refuses anything that is not a number
        self._index = ShardIndex.read(file)
        self._sequential, self._max_bytes = sequential, max_bytes
        self._readers: OrderedDict[str, Reader] = OrderedDict()
        self._lock = RLock()
        self._closed = False

    # -- a mapping

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.weight_map)

    def __len__(self) -> int:
        return len(self._index.weight_map)

    def __contains__(self, name: object) -> bool:
        return name in self._index.weight_map

    # -- what is in the files

    @property
    def source(self) -> str:
        """The path or URL of the index."""
        return self._index.path

    @property
    def shards(self) -> tuple[str, ...]:
        """The paths of the files, in the order their tensors come in."""
        return tuple(self._index.locate(file) for file in self._index.files())

    @property
    def size(self) -> int:
        """Bytes of all files together, without the index."""
        return sum(self._size(file) for file in self._index.files())

    @cached_property
    def metadata(self) -> Mapping[str, object]:
        """The metadata of all files, read-only; where two of them differ, the first file's."""
        found: dict[str, object] = {}
        for file in self._index.files():
            found = {**self._open(file).metadata, **found}
        return MappingProxyType(found)

    @cached_property
    def extensions(self) -> Mapping[str, object]:
        """The extensions of all files, read-only; where two of them differ, the first file's."""
        found: dict[str, object] = {}
        for file in self._index.files():
            found = {**self._open(file).extensions, **found}
        return MappingProxyType(found)

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Second names of tensors, and which they name."""
        found: dict[str, str] = {}
        for file in self._index.files():
            found.update(item for item in self._open(file).aliases.items() if item[0] in self._index.weight_map)
        return MappingProxyType(found)

    def info(self, name: str) -> TensorInfo:
        """Return shape, dtype and layout of a tensor, without reading it."""
        return self._reader(name).info(name)

    def stored_segment(self, name: str) -> StoredSegment:
        """Return a tensor's segment as it is stored, for `Writer.copy`."""
        return self._reader(name).stored_segment(name)

    # -- tensors

    def get_tensor(self, name: str, *, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a tensor; see `Reader.get_tensor`."""
        return self._reader(name).get_tensor(name, out=out)

    def get_slice(self, name: str) -> TensorSlice:
        """Return a view that reads only what its indexing touches; see `Reader.get_slice`."""
        return self._reader(name).get_slice(name)

    def in_blocks(self, name: str, block: int, *, threads: int | None = None) -> StoredWords | None:
        """Return the words of a tensor larger than memory, to be decoded in ranges; see `Reader.in_blocks`."""
        return self._reader(name).in_blocks(name, block, threads=threads)

    def get_csr(self, name: str, *, dtype: DTypeLike | None = None) -> csr_array:
        """Return a matrix as a `scipy.sparse.csr_array`; see `Reader.get_csr`."""
        return self._reader(name).get_csr(name, dtype=dtype)

    def get_clusters(self, name: str) -> StoredClusters:
        """Return the clusters of a tensor; see `Reader.get_clusters`."""
        return self._reader(name).get_clusters(name)

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

        Every shard's index is read before the first tensor is decoded: missing tensors are reported at once. The
        threads read and decode several shards side by side."""
        wanted = list(self._index.weight_map) if names is None else list(names)
        for name in (*wanted, *(out or ())):
            self._file(name)
        if strangers := set(out or ()) - set(wanted):
            raise DczError(f"out: {min(strangers)!r} is not among the tensors to load")
        groups: dict[str, list[str]] = {}
        for name in wanted:
            groups.setdefault(self._index.weight_map[name], []).append(name)
        sizes = {file: self._nbytes(file, group) for file, group in groups.items()}
        total = sum(sizes.values())
        bound = Bound(sum(self._size(file) for file in groups), self._max_bytes).replaced(max_bytes)
        with locating(self.source):
            bound.check_work(total)
            bound.check_memory(total)
        arrays: dict[str, NDArray[Any]] = {}
        count, done, files = thread_count(threads), 0, list(groups)

        def report(nbytes: int) -> None:
            nonlocal done
            done += nbytes
            if progress is not None:
                progress(done, total)

        for first in range(0, len(files), _TOGETHER):
            loads = []
            for file in files[first : first + _TOGETHER]:
                mine = {name: out[name] for name in groups[file] if name in out} if out else None
                loads.append(self._open(file)._prepare(groups[file], count, mine, bound.memory))
            run(loads, count, report)
            for each in loads:
                arrays |= each.arrays
        return {name: arrays[name] for name in wanted}

    def check_names(self) -> dict[str, list[int]]:
        """Open every shard and check that it has exactly the tensors that the index lists. Return the path of each
        shard, and the decoded bytes of each of its tensors.

        Raises `FormatError` for a tensor that the index and the shard do not both have."""
        found: dict[str, list[int]] = {}
        for file in self._index.files():
            reader = self._open(file)
            listed = set(self._index.names(file))
            if strangers := [name for name in reader if name not in listed]:
                more = f" and {len(strangers) - 1} more" if len(strangers) > 1 else ""
                other = self._index.weight_map.get(strangers[0])
                where = f"is in {other!r:.80} by the index" if other is not None else "is not in the index"
                raise FormatError(
                    f"{self._index.locate(file)}: tensor {strangers[0]!r:.80}{more} {where} {self.source}; "
                    "index and files do not belong together"
                )
            found[self._index.locate(file)] = [reader.info(n).nbytes for n in reader if n not in reader.aliases]
        return found

    # -- the files

    def close(self) -> None:
        """Close all files. Arrays that were read stay valid."""
        with self._lock:
            self._closed = True
            while self._readers:
                self._readers.popitem()[1].close()

    def __enter__(self) -> ShardedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., ShardedReader], tuple[object, bool, int | None]]:
        return _reopen, (origin(self._index.path), self._sequential, self._max_bytes)

    def __repr__(self) -> str:
        tensors, files = plural(len(self), "tensor"), plural(len(self.shards), "file")
        return f"<dcz.ShardedReader {printable(self.source, 120)}: {tensors} in {files}>"

    def _repr_html_(self) -> str:
        from dcz.container.html import reader_table  # notebooks alone need it

        return reader_table(self)

    def _file(self, name: str) -> str:
        """Return the shard of a tensor; raise `KeyError` where there is none."""
        file = self._index.weight_map.get(name)
        if file is None:
            some = ", ".join(list(self._index.weight_map)[:8])
            raise KeyError(f"{self.source}: no tensor named {name!r}; the model has {len(self)}: {some}")
        return file

    def _reader(self, name: str) -> Reader:
        return self._open(self._file(name))

    def _open(self, file: str) -> Reader:
        """Return the reader of one shard; refuse a shard that lacks a tensor of the index."""
        with self._lock:
            if self._closed:
                raise DczError(f"{self.source}: the reader is closed; open the model again")
            reader = self._readers.get(file)
            if reader is None:
                path = self._index.locate(file)
                reader = self._reader_of(path)
                try:
                    if absent := [name for name in self._index.names(file) if name not in reader]:
                        raise self._index.missing(file, absent)
                except BaseException:
                    reader.close()
                    raise
                self._readers[file] = reader
            self._readers.move_to_end(file)
            while len(self._readers) > _OPEN:
                self._readers.popitem(last=False)  # not closed: a slice of one of its tensors may still be in use
            return reader

    def _reader_of(self, path: str) -> Reader:
        return Reader(path, sequential=self._sequential, max_bytes=self._max_bytes)

    def _size(self, file: str) -> int:
        """Return the bytes of a shard, without opening it where index or file system say."""
        known = self._index.file_sizes.get(file)
        return self._open(file).size if known is None else known

    def _nbytes(self, file: str, names: list[str]) -> int:
        """Return the decoded bytes of these tensors of a shard, tied ones once."""
        infos = (self._open(file).info(name) for name in names)
        return sum({info.name: info.nbytes for info in infos}.values())


def _reopen(path: str, sequential: bool, max_bytes: int | None) -> ShardedReader:
    return ShardedReader(path, sequential=sequential, max_bytes=max_bytes)
