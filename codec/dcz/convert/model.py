"""What the files of other formats look like from here: models that are read, and targets that are written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dcz.dtypes import Dtype
from dcz.errors import DczError

if TYPE_CHECKING:
    from dcz.container import Reader, Writer
    from dcz.container.sharded import ShardedReader


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor known by its header: its values are read when asked for."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        n = self.dtype.itemsize
        for length in self.shape:
            n *= length
        return n


class Model(Protocol):
    """An open file: its tensors in order, second names of some, metadata. A context manager.

    A model whose file has entries that are not weights also has `left_out`, their names and the reasons. One whose file
    says something of single tensors has `tensor_metadata`, by their names. A dcz file has `extensions`, and
    `undecodable(name)`, itself where this version cannot decode a tensor, else None."""

    @property
    def metadata(self) -> Mapping[str, object]: ...

    @property
    def aliases(self) -> Mapping[str, str]: ...

    def tensors(self) -> list[Tensor]: ...

    def read(self, name: str) -> np.ndarray:
        """The values of one tensor."""

    def __enter__(self) -> Model: ...

    def __exit__(self, *error: object) -> None: ...


class Target(Protocol):
    """A file being written: told first what is coming, then given the tensors in that order.

    A target that can keep what is said of single tensors also has `source(model)`, which is called before `begin`. One
    that can keep tensors of a dcz file as they are stored has `copy(name)`, which is called before `add`: it returns
    whether it has copied a tensor that cannot be decoded."""

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None: ...

    def add(self, name: str, array: np.ndarray) -> None: ...

    def close(self) -> None:
        """Publishes the file."""

    def abandon(self) -> None:
        """Leaves what was there before."""


def tensor_metadata(model: object) -> Mapping[str, Mapping[str, object]]:
    """What the file of a model says of single tensors, by their names; nothing of most."""
    found: Mapping[str, Mapping[str, object]] = getattr(model, "tensor_metadata", {})
    return found


def extensions(model: object) -> Mapping[str, object]:
    """What a dcz file says beyond what this version knows; nothing of other files."""
    found: Mapping[str, object] = getattr(model, "extensions", {})
    return found


def undecodable(model: object, name: str) -> Reader | ShardedReader | None:
    """The open dcz file of a tensor that this version cannot decode, to copy it from; None of all others."""
    ask = getattr(model, "undecodable", None)
    return None if ask is None else ask(name)


def copied(writer: Writer, model: object, name: str) -> bool:
    """Copies a tensor of the source that cannot be decoded; False where it is to be read and added."""
    reader = undecodable(model, name)
    if reader is not None:
        writer.copy(reader, name)
    return reader is not None


def tell_source(target: object, model: object) -> None:
    """Tells a target where its tensors come from, if it asks."""
    source = getattr(target, "source", None)
    if source is not None:
        source(model)


def check_not_empty(model: Model, path: str | os.PathLike[str]) -> None:
    """Refuses a file without tensors: it was taken for another kind of file, or keeps its weights elsewhere."""
    if model.tensors():
        return
    left_out = list(getattr(model, "left_out", {}).items())
    also = "".join(f"; {name}: {reason}" for name, reason in left_out[:3])
    raise DczError(f"{os.fspath(path)}: there is no tensor in it{also:.500}")


def resolved(tensors: list[Tensor], aliases: Mapping[str, str]) -> Iterator[tuple[Tensor, str]]:
    """All names a format without aliases must write: each with the name of the tensor it has."""
    by_name = {tensor.name: tensor for tensor in tensors}
    for tensor in tensors:
        yield tensor, tensor.name
    for name, target in aliases.items():
        yield Tensor(name, by_name[target].dtype, by_name[target].shape), target
