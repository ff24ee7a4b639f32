"""What the files of other formats look like from here: models that are read, and targets that are written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dcz.dtypes import Dtype
from dcz.errors import DczError


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
    says something of single tensors has `tensor_metadata`, by their names."""

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

    A target that can keep what is said of single tensors also has `source(model)`, which is called before `begin`."""

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
