"""Saving a mapping of tensors: one loop for numpy arrays and for the tensors of every framework."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any, BinaryIO, NamedTuple

from numpy.typing import NDArray

from dcz.container.mapping import TensorMetadata, check_names
from dcz.container.writer import Writer
from dcz.ties import Ties, memory_of

Progress = Callable[[int, int], None]


class Adapter(NamedTuple):
    """How tensors of one framework become numpy arrays.

    `nbytes(tensor, name)` checks that a tensor can be stored and returns its size in bytes. `to_array(tensor)` returns
    its elements, without a copy where they are in memory already. `identity(tensor)` is as `Ties` takes it."""

    nbytes: Callable[[Any, str], int]
    to_array: Callable[[Any], NDArray[Any]]
    identity: Callable[[Any], Hashable]


# The writer itself checks what an array is.
NUMPY = Adapter(lambda array, name: getattr(array, "nbytes", 0), lambda array: array, memory_of)


def save_tensors(
    adapter: Adapter,
    tensors: Mapping[str, Any],
    file: str | os.PathLike[str] | BinaryIO,
    *,
    metadata: Mapping[str, object] | None,
    profile: str,
    threads: int | None,
    progress: Progress | None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Write tensors in the order of their names; see `dcz.save_file`.

    One tensor at a time is converted. Tensors that are the same memory are stored once."""
    names = check_names(tensors)
    sizes = _sizes(adapter, tensors, names) if progress is not None or isinstance(tensors, dict) else {}
    total, done = sum(sizes.values()), 0
    ties = Ties(adapter.identity)
    about = TensorMetadata(tensor_metadata, tensors)
    with Writer(file, metadata=metadata, profile=profile, threads=threads, portable=portable) as writer:
        for name in names:
            tensor = tensors[name]
            size = adapter.nbytes(tensor, name)
            owner = ties.owner(name, tensor) if size else name
            if owner == name:
                writer.add(name, adapter.to_array(tensor), metadata=about.of(name))
            else:
                about.check_none(name, owner)
                writer.alias(name, owner)
            done += size
            if progress is not None:
                progress(done, total)


def _sizes(adapter: Adapter, tensors: Mapping[str, Any], names: list[str]) -> dict[str, int]:
    """Bytes of every tensor. A mapping that reads its tensors when asked reads each of them for it, so this is left
    out where nobody needs the sum; a dict's tensors are all checked before the first is written."""
    return {name: adapter.nbytes(tensors[name], name) for name in names}


def save_bytes(save: Callable[..., None], tensors: object, **options: object) -> bytes:
    """The bytes that `save`, the `save_file` of an integration, writes."""
    buffer = io.BytesIO()
    save(tensors, buffer, **options)
    return buffer.getvalue()
