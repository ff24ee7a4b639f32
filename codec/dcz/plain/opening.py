"""Open what a user names, as `dcz.container.opening` does, or a safetensors file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, BinaryIO

from dcz.container.opening import open_file
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.errors import FormatError
from dcz.format.prelude import is_safetensors
from dcz.io.opening import open_source
from dcz.io.sources import read

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader


def open_any(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO, *, max_bytes: int | None = None
) -> Reader | ShardedReader | SafetensorsReader:
    """Open a dcz file or a sharded model, as `dcz.open` does, or a safetensors file, whatever its name.

    Raises:
        OSError: the file or the server cannot be read.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.

    >>> import numpy, safetensors.numpy
    >>> open_any(safetensors.numpy.save({"w": numpy.ones(2)}))["w"].tolist()
    [1.0, 1.0]
    """
    try:
        return open_file(file, max_bytes=max_bytes)
    except FormatError:
        if not _is_safetensors(file):
            raise
    from dcz.plain.reader import SafetensorsReader  # a dcz file needs none of it

    return SafetensorsReader(file)


def _is_safetensors(file: Any) -> bool:
    """Return whether the first bytes are those of a safetensors file. A folder, or an index of shards, is not one."""
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        return False
    source = open_source(file)
    try:
        return source.size >= 9 and is_safetensors(read(source, 0, 9).tobytes())
    finally:
        source.close()
