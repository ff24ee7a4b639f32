"""The reader of a safetensors file: what loading a model asks of a dcz file's reader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.memory import owned, target
from dcz.errors import LimitError, locating
from dcz.io.opening import open_source
from dcz.plain.header import PACKED_BITS, SafetensorsHeader, Stored
from dcz.text import plural, printable


class Described(NamedTuple):
    """What a header says of a tensor: `dtype` is safetensors' code, `nbytes` are those of the array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class SafetensorsReader(Mapping[str, NDArray[Any]]):
    """A safetensors file, open for reading: a mapping of names to arrays, as `dcz.Reader` is one of a dcz file.

    Args:
        file: a path, a URL that fsspec knows, bytes, or a seekable binary file object. The header alone is read.

    Raises:
        OSError: the file or the server cannot be read.
        FormatError, TruncatedError, LimitError: see `dcz.errors`. The format has no checksums.

    >>> import numpy, safetensors.numpy
    >>> reader = SafetensorsReader(safetensors.numpy.save({"w": numpy.arange(6).reshape(2, 3)}))
    >>> reader.info("w").shape, reader["w"].sum().item(), reader.get_slice("w")[1].tolist()
    ((2, 3), 15, [3, 4, 5])
    """

    def __init__(self, file: str | os.PathLike[str] | bytes | memoryview | BinaryIO) -> None:
        self._source = open_source(file)
        try:
            self._header = SafetensorsHeader(self._source)
        except BaseException:
            self._source.close()
            raise

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._header.tensors
        yield from self._header.aliases

    def __len__(self) -> int:
        return len(self._header.tensors) + len(self._header.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self._header.tensors or name in self._header.aliases

    @property
    def source(self) -> str:
        """The file's path, URL or name."""
        return self._source.name

    @property
    def metadata(self) -> Mapping[str, object]:
        """The file's metadata without its aliases, read-only."""
        return MappingProxyType(self._header.metadata)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Second names of tensors, and which they name."""
        return MappingProxyType(self._header.aliases)

    def info(self, name: str) -> Described:
        """Return dtype and shape of a tensor, without reading it."""
        entry = self._entry(name)
        return Described(entry.name, entry.dtype.code, entry.shape, entry.nbytes)

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor in a fresh array."""
        return self._header.read(self._entry(name))

    def get_slice(self, name: str) -> SafetensorsSlice:
        """Return a view that reads only the rows its indexing touches."""
        return SafetensorsSlice(self._header, self._entry(name))

    def load(
        self,
        *,
        names: Iterable[str] | None = None,
        threads: int | None = None,
        out: Mapping[str, NDArray[Any]] | None = None,
        max_bytes: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Load many tensors; arguments and errors as in `dcz.load_file`. There is nothing to decode, so `threads` makes
        no difference."""
        wanted = list(self if names is None else names)
        entries = {name: self._entry(name) for name in wanted}
        owners = {entry.name: entry for entry in entries.values()}
        total, done = sum(entry.nbytes for entry in owners.values()), 0
        if max_bytes is not None and total > max_bytes:
            raise LimitError(
                f"{self.source}: loading needs {total} bytes; the limit is {max_bytes}; pass max_bytes={total}"
            )
        places = owned(entries, out or {})
        arrays: dict[str, NDArray[Any]] = {}
        for name, entry in owners.items():
            array = self._header.read(entry)
            if name in places:
                target(places[name], entry)[:] = array.reshape(-1).view(np.uint8)
                array = places[name]
            arrays[name] = array
            done += entry.nbytes
            if progress is not None:
                progress(done, total)
        return {name: arrays[entry.name] for name, entry in entries.items()}

    def _entry(self, name: str) -> Stored:
        header = self._header
        owner = header.aliases.get(name, name)
        if owner not in header.tensors:
            raise KeyError(name)
        return header.tensors[owner]

    def close(self) -> None:
        """Close the file. Arrays that were read stay valid."""
        self._source.close()

    def __enter__(self) -> SafetensorsReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<dcz.plain.SafetensorsReader {printable(self.source, 120)}: {plural(len(self), 'tensor')}>"


class SafetensorsSlice:
    """A tensor that is read when it is indexed, and then only the rows from the first to the last that the index
    touches."""

    def __init__(self, header: SafetensorsHeader, entry: Stored) -> None:
        self._header, self._entry = header, entry

    def get_shape(self) -> list[int]:
        """Return the whole tensor's shape."""
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        """Return safetensors' code of the dtype."""
        return self._entry.dtype.code

    def __getitem__(self, key: Any) -> NDArray[Any]:
        entry = self._entry
        parts = key if isinstance(key, tuple) else (key,)
        with locating(f"tensor {entry.name!r:.80}"):
            rows = _rows(parts[0], entry) if parts else None
            if rows is None:
                return np.array(self._header.read(entry)[key])
            first, last, rest = rows
            return np.array(self._header.read_rows(entry, first, last)[(rest,) + parts[1:]])


def _rows(part: object, entry: Stored) -> tuple[int, int, int | slice] | None:
    """Return the first row that the index touches, the one after the last, and the index from the first on; None where
    the tensor is read whole."""
    if not entry.shape or entry.dtype.code in PACKED_BITS:
        return None
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        at = int(part) + (entry.shape[0] if part < 0 else 0)
        return (at, at + 1, 0) if 0 <= at < entry.shape[0] else None  # numpy words the error
    if not isinstance(part, slice):
        return None
    touched = range(*part.indices(entry.shape[0]))
    if not touched:
        return 0, 0, slice(0, 0)
    first, last = min(touched[0], touched[-1]), max(touched[0], touched[-1]) + 1
    ahead = touched.step > 0
    return first, last, slice(None, None, touched.step) if ahead else slice(last - first - 1, None, touched.step)
