"""What stands in front of every converter: files that may be read, and sizes that follow from numbers in them."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable, Iterator

from dcz import limits
from dcz.convert.model import Tensor
from dcz.errors import FormatError, LimitError, UnsupportedError

# Of a file that a converter does not recognize: what it may be instead, by its first bytes.
_HTML = (b"<!doctype html", b"<html")
_LFS = b"version https://git-lfs.github.com/spec/"


def check_file(path: str | os.PathLike[str]) -> int:
    """The size of a regular file; raises `UnsupportedError` for pipes and devices, which may block or never end,
    and `FormatError` for what was downloaded instead of weights."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, os.strerror(21), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedError(f"{os.fspath(path)}: is not a regular file but a pipe, socket or device; copy it first")
    with open(path, "rb") as file:
        start = file.read(200).lstrip()
    if start.startswith(_LFS):
        raise FormatError(
            f"{os.fspath(path)}: is a Git-LFS pointer and has no weights; fetch the file it stands for: git lfs pull"
        )
    if start.lower().startswith(_HTML):
        raise FormatError(
            f"{os.fspath(path)}: is an HTML page and has no weights; download the file itself, not the page about it"
        )
    return status.st_size


def check_shape(shape: Iterable[object], where: str) -> tuple[int, ...]:
    """A shape that a file states; raises `FormatError` for what are no lengths and `LimitError` for too many."""
    lengths = tuple(shape)
    if not all(isinstance(n, int) and n >= 0 for n in lengths):
        raise FormatError(f"{where}: shape {list(lengths)!r:.80} has lengths that are not integers of at least zero")
    if len(lengths) > limits.MAX_DIMENSIONS:
        raise LimitError(f"{where}: {len(lengths)} dimensions; the limit is {limits.MAX_DIMENSIONS}")
    total = 1
    for length in lengths:
        total *= max(int(length), 1)  # type: ignore[call-overload]
        if total > limits.MAX_WORDS:
            raise LimitError(f"{where}: shape {list(lengths)!r:.80} is larger than {limits.MAX_WORDS} elements")
    return tuple(int(length) for length in lengths)  # type: ignore[call-overload]


def check_sizes(path: str | os.PathLike[str], tensors: Iterable[Tensor], stored: int) -> None:
    """Raises `LimitError` where a file of `stored` bytes would expand further than `dcz.load_file` allows one: a
    tensor, which is in memory whole, or all of them, which are not and so may be larger than the memory."""
    allowed, total = limits.default_max_bytes(stored), 0
    allowed_in_all = max(allowed, limits.EXPANSION_RATIO * stored)
    for count, tensor in enumerate(tensors, 1):
        where = f"{os.fspath(path)}: tensor {tensor.name!r:.80}"
        check_shape(tensor.shape, where)
        total += tensor.nbytes
        if tensor.nbytes > allowed or total > allowed_in_all:
            raise LimitError(
                f"{where}: would take {tensor.nbytes} bytes, {total} with those before; the limit for a file of {stored} "
                f"bytes is {allowed} for a tensor and {allowed_in_all} for all"
            )
        if count > limits.MAX_TENSORS:
            raise LimitError(f"{os.fspath(path)}: more than {limits.MAX_TENSORS} tensors")


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of an archive's member, as many as it states at most, a piece at a time."""
    with archive.open(info) as file:
        while part := file.read(piece_of(info)):
            yield part


def piece_of(info: zipfile.ZipInfo) -> int:
    """How much of a member to read at a time: decompressors other than deflate's give all that is in what they are
    fed, however much that is."""
    return 1 << 20 if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else 1 << 12
