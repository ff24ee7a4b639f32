"""Shared code of all integrations: loading a file into their tensors, and matching it with a model.

Saving is in `dcz.saving`, for numpy arrays too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from numpy.typing import NDArray

from dcz.api import load_file
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.dtypes import DTYPES
from dcz.errors import DczError, locating
from dcz.io.sources import name_of
from dcz.saving import Adapter, Progress, save_bytes, save_tensors

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader

__all__ = [
    "Adapter",
    "BACKENDS",
    "Mismatch",
    "Progress",
    "check_backend",
    "convert_all",
    "load_tensors",
    "match",
    "save_bytes",
    "save_tensors",
    "unique_names",
]

T = TypeVar("T")


BACKENDS = ("mmap", "pread")


def check_backend(backend: object) -> None:
    """Refuses what safetensors does not know as a way to read files. Both names read alike here."""
    if backend not in BACKENDS:
        raise DczError(f"backend: expected one of {', '.join(BACKENDS)}, found {backend!r:.80}")


def load_tensors(
    convert: Callable[[NDArray[Any], str], T],
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    names: Iterable[str] | None,
    threads: int | None,
    max_bytes: int | None,
    progress: Progress | None,
    backend: str = "mmap",
) -> dict[str, T]:
    """`dcz.load_file` with every array converted. Names of one tensor get one object, and an array that the
    framework copies is let go before the next. Errors name the file."""
    check_backend(backend)
    with locating(name_of(filename)):
        arrays = load_file(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
        return convert_all(convert, arrays)


def convert_all(convert: Callable[[NDArray[Any], str], T], arrays: dict[str, NDArray[Any]]) -> dict[str, T]:
    """Each array of `arrays`, which is emptied, converted once."""
    owners: dict[int, str] = {}
    first = {name: owners.setdefault(id(array), name) for name, array in arrays.items()}
    out: dict[str, T] = {}
    for name, owner in first.items():
        array = arrays.pop(name)
        out[name] = convert(array, name) if owner == name else out[owner]
    return out


class Mismatch(NamedTuple):
    """Names a model has and the file lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def match(
    reader: Reader | ShardedReader | SafetensorsReader,
    expected: Mapping[str, tuple[tuple[int, ...], str]],
    strict: bool,
    where: str,
    names: Iterable[str] | None = None,
) -> Mismatch:
    """Compares a model's names, shapes and dtype names with a file's, or those `names` of it, before any is read.

    Shapes and dtypes must always agree; with `strict`, names must too. Raises `DczError` that names them all."""
    wrong = []
    for name, (shape, dtype) in expected.items():
        if name in reader:
            info = reader.info(name)
            if info.shape != tuple(shape) or DTYPES[info.dtype].name != dtype:
                wrong.append(
                    f"{name!r} is {DTYPES[info.dtype].name} {info.shape}, the model has {dtype} {tuple(shape)}"
                )
    missing = [name for name in expected if name not in reader]
    unexpected = [name for name in (reader if names is None else names) if name not in expected]
    if strict and missing:
        wrong.append(f"missing in the file: {', '.join(map(repr, missing))}")
    if strict and unexpected:
        wrong.append(f"unexpected in the file: {', '.join(map(repr, unexpected))}")
    if wrong:
        raise DczError(f"{where}: the file does not fit the model: {'; '.join(wrong)}")
    return Mismatch(missing, unexpected)


def unique_names(pairs: Iterable[tuple[str, T]], where: str) -> dict[str, T]:
    """Names to values, refused where two paths became the same name."""
    out: dict[str, T] = {}
    for name, value in pairs:
        if name in out:
            raise DczError(f"{where}: two paths are called {name!r} once joined by dots; rename one of them")
        out[name] = value
    return out
