"""dcz files as models and targets: to pack again, to unpack, to pack."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from dcz import dtypes
from dcz.container import Reader, Writer
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor, copied, extensions, tensor_metadata
from dcz.tensor.words import StoredWords


class DczModel:
    """A dcz file."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._reader = Reader(path, sequential=True)
        self.metadata: Mapping[str, object] = dict(self._reader.metadata)
        self.aliases: Mapping[str, str] = dict(self._reader.aliases)
        self.extensions: Mapping[str, object] = dict(self._reader.extensions)
        infos = {name: self._reader.info(name) for name in self._reader if name not in self.aliases}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = {
            name: info.metadata for name, info in infos.items() if info.metadata
        }
        self._infos = infos

    def tensors(self) -> list[Tensor]:
        known = dtypes.DTYPES
        return [
            Tensor(info.name, known.get(info.dtype) or dtypes.unknown(info.dtype), info.shape)
            for info in self._infos.values()
        ]

    def undecodable(self, name: str) -> Reader | None:
        """Return the open file for a tensor that this version cannot decode; None for others."""
        return None if self._infos[name].unsupported is None else self._reader

    def read(self, name: str) -> np.ndarray:
        return self._reader.get_tensor(name)

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor, to be decoded at most `block` at once."""
        return self._reader.in_blocks(name, block)

    def __enter__(self) -> DczModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()


class DczTarget:
    """A dcz file being written. Tensors of another dcz file that this version cannot decode are copied as stored."""

    takes_blocks = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        profile: str = "auto",
        threads: int | None = None,
        portable: bool = False,
    ) -> None:
        self._path, self._profile, self._threads, self._portable = path, profile, threads, portable
        self._model: object = None
        self._writer: Writer | None = None
        self._aliases: Mapping[str, str] = {}

    def source(self, model: object) -> None:
        """Note the model that the tensors come from, before `begin`."""
        self._model = model

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        self._writer = Writer(
            self._path, metadata=metadata, profile=self._profile, threads=self._threads,
            portable=self._portable, extensions=extensions(self._model),
        )  # fmt: skip
        self._aliases = aliases

    def add(self, name: str, array: np.ndarray | StoredWords) -> None:
        assert self._writer is not None
        self._writer.add(name, array, metadata=tensor_metadata(self._model).get(name))

    def copy(self, name: str) -> bool:
        """Copy a tensor of the source that cannot be decoded; return False for one to read and add."""
        assert self._writer is not None
        return copied(self._writer, self._model, name)

    def close(self) -> None:
        assert self._writer is not None
        for name, target in self._aliases.items():
            self._writer.alias(name, target)
        self._writer.close()

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
