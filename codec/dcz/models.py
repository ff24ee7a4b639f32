"""Models by name: a file or URL of any readable format as a mapping of names to arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dcz.plain.reader import Described

if TYPE_CHECKING:
    from dcz.convert.model import Model
    from dcz.tensor.words import StoredWords


class ModelMapping(Mapping[str, NDArray[Any]]):
    """An open model of any format: names, second ones included, to arrays that are read when asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.aliases: Mapping[str, str] = model.aliases
        self._tensors = {tensor.name: tensor for tensor in model.tensors()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._model.read(self.aliases.get(name, name))

    def __iter__(self) -> Iterator[str]:
        yield from self._tensors
        yield from self.aliases

    def __len__(self) -> int:
        return len(self._tensors) + len(self.aliases)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors or name in self.aliases

    def info(self, name: str) -> Described:
        """Dtype and shape of a tensor, without reading it."""
        tensor = self._tensors[self.aliases.get(name, name)]
        return Described(tensor.name, tensor.dtype.code, tensor.shape, tensor.nbytes)

    def in_blocks(self, name: str, block: int, *, threads: int | None = None) -> StoredWords | None:
        """Words of a tensor larger than memory, to be read at most `block` at once; None where the format reads tensors
        whole. `threads` is for readers that decode."""
        read = getattr(self._model, "in_blocks", None)
        return None if read is None else read(self.aliases.get(name, name), block)

    def __enter__(self) -> ModelMapping:
        return self

    def __exit__(self, *error: object) -> None:
        self._model.__exit__(*error)


def tensors_of(model: Mapping[str, Any] | str | os.PathLike[str]) -> AbstractContextManager[Mapping[str, Any]]:
    """A mapping as it is, or that of the file with this name, which is closed on leaving.

    >>> import numpy
    >>> with tensors_of({"w": numpy.ones(2)}) as tensors:
    ...     print(list(tensors))
    ['w']
    """
    if not isinstance(model, (str, os.PathLike)):
        return nullcontext(model)
    from dcz.container.opening import open_file
    from dcz.container.shards import SUFFIX
    from dcz.convert import extension_of, open_model

    if os.path.isdir(model) or extension_of(model, (".dcz", ".dcz" + SUFFIX)) is not None:
        return open_file(model)
    return ModelMapping(open_model(model))
