"""The functions of `dcz` for numpy arrays: save and load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.plain.opening import open_any
from dcz.saving import NUMPY, Progress, save_bytes, save_tensors

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader

__all__ = ["load", "load_file", "save", "save_file"]


def save_file(
    tensors: Mapping[str, np.ndarray],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes tensors to a dcz file, bit for bit and as small as their values allow.

    Args:
        tensors: names to numpy arrays of any shape and of any dtype that safetensors has. Entries that
            are one and the same array are stored once.
        filename: a path or a URL that fsspec knows (extra `remote`), which is replaced only once the file is complete,
            or a writable binary file object.
        metadata: strings to strings, numbers, booleans, bytes, None, lists and mappings of them.
        profile: "auto" takes the smallest layout of each tensor; "csr", "bitmap", "dense", "paper"
            (4- or 5-bit relative indices, as in Han et al. 2016) and "raw" restrict it.
        threads: how many to use; by default the cores this process may use. The bytes do not depend on it.
        progress: called with (bytes done, bytes in all) after each tensor.
        tensor_metadata: names of tensors to what is to be said about each, as `metadata`.
        portable: without zstd anywhere, for readers that lack it. A file takes some per cent more.

    Raises:
        UnsupportedError: a dtype or object that cannot be stored.
        DczError: invalid names, metadata or options.

    >>> import os, tempfile, numpy, dcz
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcz")
    >>> dcz.save_file({"w": numpy.zeros((512, 512), "float32")}, path)
    >>> os.path.getsize(path) < 1000
    True
    """
    save_tensors(
        NUMPY, tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> bytes:
    """The same file as bytes; see `save_file`.

    >>> import numpy, dcz
    >>> dcz.load(dcz.save({"w": numpy.float32([0, 1, -0.0])}))["w"]
    array([ 0.,  1., -0.], dtype=float32)
    """
    return save_bytes(
        save_file, tensors, metadata=metadata, profile=profile, threads=threads, tensor_metadata=tensor_metadata,
        portable=portable,
    )  # fmt: skip


def load_file(
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, NDArray[Any]] | None = None,
    base: Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[Any]]:
    """Reads tensors from a dcz file; every byte that is read is verified.

    Args:
        filename: a path, a URL that fsspec knows (extra `remote`), bytes, or a seekable binary file object; the path of
            a `.dcz.index.json`, or of a folder with one, stands for all files of a sharded model. A safetensors file is
            read too, so that a program that has switched needs no second import for files that have not.
        names: which tensors; by default all. Names of the same tensor give the same array.
        threads: how many to use; by default the cores this process may use.
        out: arrays to decode into, by name, with exactly the tensors' shapes and dtypes: reusing memory
            is faster than fresh memory. Tensors that are not in it are allocated.
        base: for a file of differences, names to the arrays of its base, or a reader of it; see `dcz.save_delta`.
        max_bytes: how many bytes the tensors, and codebooks beyond 64 MiB, may take; by default 1,024 times the file's
            size or 1 GiB, whichever is more, and no more than the machine has.
        progress: called with (bytes done, bytes in all) after each piece.

    Returns:
        Names to C-contiguous little-endian arrays, in the order of the file. Arrays under 4 MiB share memory in blocks
        of a few megabytes: one that is kept keeps its block.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.
        KeyError: a name that is not in the file.

    >>> import numpy, dcz
    >>> data = dcz.save({"a": numpy.arange(3), "b": numpy.ones(2)})
    >>> dcz.load_file(data, names=["a"])
    {'a': array([0, 1, 2])}
    """
    with _opened(filename, base) as reader:
        return reader.load(names=names, threads=threads, out=out, max_bytes=max_bytes, progress=progress)


def _opened(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO, base: Mapping[str, Any] | None
) -> Reader | ShardedReader | SafetensorsReader:
    if base is None:
        return open_any(file)
    from dcz.delta.opening import open_file as open_with_base

    return open_with_base(file, base=base)


def load(
    data: bytes,
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, NDArray[Any]] | None = None,
    base: Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[Any]]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, names=names, threads=threads, out=out, base=base, max_bytes=max_bytes, progress=progress)
