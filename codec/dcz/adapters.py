"""What all integrations share: one way to save their tensors and one to load them."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, BinaryIO, NamedTuple, TypeVar

from numpy.typing import NDArray

from dcz.api import load_file
from dcz.container.reader import Reader
from dcz.container.writer import Writer
from dcz.dtypes import DTYPES
from dcz.errors import DczError

Progress = Callable[[int, int], None]
T = TypeVar("T")


class Adapter(NamedTuple):
    """How a framework's tensors become arrays. `nbytes` checks that a tensor can be stored, by name, and says how
    large it is; `to_array` gives its elements, without a copy where the framework has them in memory; `identity` is
    equal for two tensors that are the same memory, None for one that never is."""

    nbytes: Callable[[Any, str], int]
    to_array: Callable[[Any], NDArray]
    identity: Callable[[Any], Hashable]


def save_tensors(
    adapter: Adapter,
    tensors: Mapping[str, Any],
    file: str | os.PathLike[str] | BinaryIO,
    *,
    metadata: Mapping[str, object] | None,
    profile: str,
    threads: int | None,
    progress: Progress | None,
) -> None:
    """`dcz.save_file` for tensors of a framework: one tensor at a time is an array, same memory is stored once."""
    if not isinstance(tensors, Mapping):
        raise DczError(f"tensors: expected a mapping of names to tensors, found {type(tensors).__name__}")
    for name in tensors:
        if not isinstance(name, str):
            raise DczError(f"tensors: names are strings, found {name!r:.80}")
    sizes = {name: adapter.nbytes(tensors[name], name) for name in sorted(tensors)}
    total, done = sum(sizes.values()), 0
    stored: dict[Hashable, tuple[str, weakref.ref]] = {}
    with Writer(file, metadata=metadata, profile=profile, threads=threads) as writer:
        for name, size in sizes.items():
            tensor = tensors[name]
            identity = adapter.identity(tensor) if size else None
            first, alive = stored.get(identity, ("", _nothing))
            if identity is not None and alive() is not None:
                writer.alias(name, first)
            else:
                writer.add(name, adapter.to_array(tensor))
                if identity is not None:
                    stored[identity] = name, weakref.ref(tensor)
            done += size
            if progress is not None:
                progress(done, total)


def _nothing() -> None: ...


def save_bytes(save: Callable[..., None], tensors: object, **options: object) -> bytes:
    """What `save`, `save_file` of an integration, writes, as bytes."""
    buffer = io.BytesIO()
    save(tensors, buffer, **options)
    return buffer.getvalue()


def load_tensors(
    convert: Callable[[NDArray, str], T],
    file: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    names: Iterable[str] | None,
    threads: int | None,
    max_bytes: int | None,
    progress: Progress | None,
) -> dict[str, T]:
    """`dcz.load_file` with every array converted. Names of one tensor get one object, and an array that the
    framework copies is let go before the next."""
    arrays = load_file(file, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
    return convert_all(convert, arrays)


def convert_all(convert: Callable[[NDArray, str], T], arrays: dict[str, NDArray]) -> dict[str, T]:
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
    reader: Reader,
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
