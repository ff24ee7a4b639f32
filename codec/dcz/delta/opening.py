"""Open what a user names, with its base: a file, a shard index, or a folder with one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, BinaryIO

from dcz.container.file import OpenFile
from dcz.container.opening import in_folder
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.shards import ShardIndex, is_shard_index
from dcz.delta.links import has_base
from dcz.delta.reader import DeltaReader, ShardedDeltaReader


def open_file(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    base: Mapping[str, Any] | None = None,
    sequential: bool = False,
    max_bytes: int | None = None,
) -> Reader | ShardedReader:
    """Open a dcz file, or a model in several of them, as a mapping of names to arrays.

    Args:
        file: as in `Reader`; the path or URL of a `*.dcz.index.json`; or a folder with one of them, or with one dcz
            file.
        base: the base of a file of differences: names to arrays; see `DeltaReader`.
        sequential: read a remote file ahead, in large blocks: all of it will be read, tensor by tensor in order.
        max_bytes: how many bytes one call may hold in memory; see `Reader`.

    Raises:
        OSError: the file or the server cannot be read.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.
        DczError: a base for a file that is a whole model.

    >>> import numpy, dcz
    >>> with dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)})) as reader:
    ...     print(reader.info("w").shape, reader["w"].sum())
    (2, 3) 15
    """
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        file = in_folder(file)
    if is_shard_index(file):
        if base is None:
            return ShardedReader(file, sequential=sequential, max_bytes=max_bytes)  # type: ignore[arg-type]
        return ShardedDeltaReader(file, base=base, sequential=sequential, max_bytes=max_bytes)  # type: ignore[arg-type]
    if base is not None:
        return DeltaReader(file, base=base, sequential=sequential, max_bytes=max_bytes)
    reader = Reader(file, sequential=sequential, max_bytes=max_bytes)
    return DeltaReader.of(reader) if has_base(reader._store) else reader


@contextmanager
def open_stores(file: str | os.PathLike[str] | bytes | memoryview | BinaryIO) -> Iterator[list[OpenFile]]:
    """Open a file, or all files of a shard index, without a base."""
    with ExitStack() as stack:
        if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
            file = in_folder(file)
        if isinstance(file, (str, os.PathLike)) and is_shard_index(file):
            index = ShardIndex.read(file)
            yield [stack.enter_context(closing(OpenFile(index.locate(part)))) for part in index.files()]
        else:
            yield [stack.enter_context(closing(OpenFile(file)))]
