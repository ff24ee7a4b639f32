"""The interface to other formats: models to read, and targets to write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dcz.dtypes import Dtype
from dcz.errors import DczError

if TYPE_CHECKING:
    from dcz.container import Reader, Writer
    from dcz.container.sharded import ShardedReader


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as its header describes it; its values are read later."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Return the bytes of the array."""
        n = self.dtype.itemsize
        for length in self.shape:
            n *= length
        return n


class Model(Protocol):
    """An open file: its tensors in order, aliases, metadata. A context manager.

    A model with entries that are not weights also has `left_out`, their names and the reasons; one with metadata of
    single tensors has `tensor_metadata`, by name; one that reads words of a tensor by range has
    `in_blocks(name, block)`, which returns `StoredWords`, or None where it cannot. A dcz file has `extensions`, and
    `undecodable(name)`: the file itself where this version cannot decode a tensor, else None. One whose tensors are not
    those that its file names has a true `remade`: then configurations beside it change."""

    @property
    def metadata(self) -> Mapping[str, object]: ...

    @property
    def aliases(self) -> Mapping[str, str]: ...

    def tensors(self) -> list[Tensor]: ...

    def read(self, name: str) -> np.ndarray:
        """Return the values of one tensor."""

    def __enter__(self) -> Model: ...

    def __exit__(self, *error: object) -> None: ...


class Target(Protocol):
    """A file being written: `begin` gets the tensors' headers, `add` then the tensors in that order.

    A target that can keep metadata of single tensors also has `source(model)`, which is called before `begin`. One that
    can keep tensors of a dcz file as stored has `copy(name)`, which is called before `add`: it returns whether it has
    copied a tensor that cannot be decoded. One with `takes_blocks` gets tensors larger than memory as `StoredWords`; it
    may be a function of the tensor. What either takes beside the tensors is its `use`."""

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None: ...

    def add(self, name: str, array: Any) -> None:
        """Store an array, or where the target has `takes_blocks` maybe `StoredWords`."""

    def close(self) -> None:
        """Publish the file."""

    def abandon(self) -> None:
        """Discard the file; an old file stays."""


def tensor_metadata(model: object) -> Mapping[str, Mapping[str, object]]:
    """Return a model's metadata of single tensors, by name; empty for most formats."""
    found: Mapping[str, Mapping[str, object]] = getattr(model, "tensor_metadata", {})
    return found


def extensions(model: object) -> Mapping[str, object]:
    """Return the extensions of a dcz file; empty for other formats."""
    found: Mapping[str, object] = getattr(model, "extensions", {})
    return found


def undecodable(model: object, name: str) -> Reader | ShardedReader | None:
    """Return the open dcz file of a tensor that this version cannot decode, to copy it from; None for others."""
    ask = getattr(model, "undecodable", None)
    return None if ask is None else ask(name)


def copied(writer: Writer, model: object, name: str) -> bool:
    """Copy a tensor of the source that cannot be decoded; return False for one to read and add."""
    reader = undecodable(model, name)
    if reader is not None:
        writer.copy(reader, name)
    return reader is not None


def tell_source(target: object, model: object) -> None:
    """Tell a target its source, if it takes one."""
    source = getattr(target, "source", None)
    if source is not None:
        source(model)


def check_not_empty(model: Model, path: str | os.PathLike[str]) -> None:
    """Refuse a file without tensors: its kind was mistaken, or its weights are elsewhere."""
    if model.tensors():
        return
    left_out = list(getattr(model, "left_out", {}).items())
    also = "".join(f"; {name}: {reason}" for name, reason in left_out[:3])
    raise DczError(f"{os.fspath(path)}: there is no tensor in it{also:.500}")


def resolved(tensors: list[Tensor], aliases: Mapping[str, str]) -> Iterator[tuple[Tensor, str]]:
    """Return all names that a format without aliases must write, each with its tensor's name."""
    by_name = {tensor.name: tensor for tensor in tensors}
    for tensor in tensors:
        yield tensor, tensor.name
    for name, target in aliases.items():
        yield Tensor(name, by_name[target].dtype, by_name[target].shape), target
