"""Open what a user names: a file, a shard index, or a folder with one of them."""

from __future__ import annotations

import errno
import os
from typing import BinaryIO

from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.shards import SUFFIX, is_shard_index
from dcz.errors import DczError
from dcz.text import plural


def open_file(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    sequential: bool = False,
    max_bytes: int | None = None,
) -> Reader | ShardedReader:
    """Open a dcz file, or a model in several of them, as a mapping of names to arrays.

    Args:
        file: as in `Reader`; the path or URL of a `*.dcz.index.json`; or a folder with one of them, or with one dcz
            file.
        sequential, max_bytes: as in `Reader`.

    Raises:
        OSError: the file or the server cannot be read.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.

    >>> import numpy, dcz
    >>> with dcz.open(dcz.save({"w": numpy.arange(6).reshape(2, 3)})) as reader:
    ...     print(reader.info("w").shape, reader["w"].sum())
    (2, 3) 15
    """
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        file = in_folder(file)
    if is_shard_index(file):
        return ShardedReader(file, sequential=sequential, max_bytes=max_bytes)  # type: ignore[arg-type]
    return Reader(file, sequential=sequential, max_bytes=max_bytes)


def in_folder(folder: str | os.PathLike[str]) -> str:
    """Return the shard index of a folder, or its only dcz file."""
    where = os.fspath(folder)
    names = sorted(os.listdir(where))
    indexes = [name for name in names if is_shard_index(name)]
    found = indexes or [name for name in names if name.lower().endswith(".dcz")]
    if not found:
        raise IsADirectoryError(errno.EISDIR, f"Is a folder with no .dcz{SUFFIX} and no .dcz file in it", where)
    if len(found) > 1:
        raise DczError(
            f"{where}: the folder has {plural(len(found), 'model')}: {', '.join(found[:4])}; name one of them"
        )
    return os.path.join(where, found[0])
