"""Files of differences as models, with their base, and as targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dcz import dtypes
from dcz.container import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.wanted import KEY
from dcz.convert.model import Tensor, copied, extensions, tensor_metadata
from dcz.delta.opening import open_file
from dcz.delta.renames import Renames
from dcz.delta.writer import Saved, Writer


class DeltaModel:
    """The result of a file of differences, or of several with an index, and its base."""

    def __init__(self, path: str | os.PathLike[str], base: Mapping[str, Any]) -> None:
        self._reader = open_file(path, base=base, sequential=True)
        self.metadata: Mapping[str, object] = {k: v for k, v in self._reader.metadata.items() if k != KEY}
        self.aliases: Mapping[str, str] = dict(self._reader.aliases)
        self.extensions: Mapping[str, object] = dict(self._reader.extensions)
        self._infos = [self._reader.info(name) for name in self._reader if name not in self.aliases]
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = {
            info.name: info.metadata for info in self._infos if info.metadata
        }

    def tensors(self) -> list[Tensor]:
        known = dtypes.DTYPES
        return [
            Tensor(info.name, known.get(info.dtype) or dtypes.unknown(info.dtype), info.shape) for info in self._infos
        ]

    def undecodable(self, name: str) -> Reader | ShardedReader | None:
        """Return the open file for a tensor, stored whole, that this version cannot decode; None for others."""
        if self._reader.info(name).unsupported is None or self._reader.stored_segment(name).record.transform:
            return None
        return self._reader

    def read(self, name: str) -> np.ndarray:
        return self._reader.get_tensor(name)

    def __enter__(self) -> DeltaModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()


class DeltaTarget:
    """A file of differences being written. `hints` describe the base in its metadata; `names` are those of the whole
    model if this file is a shard."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        base: Mapping[str, Any],
        *,
        hints: Mapping[str, object] | None = None,
        transform: str = "auto",
        profile: str = "auto",
        threads: int | None = None,
    ) -> None:
        self._path, self._base, self._hints = path, base, hints
        self._options: dict[str, Any] = {"transform": transform, "profile": profile, "threads": threads}
        self._model: object = None
        self._writer: Writer | None = None
        self._aliases: Mapping[str, str] = {}
        self._renames: Renames | None = None

    def source(self, model: object) -> None:
        """Note the model that the tensors come from, before `begin`."""
        self._model = model

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        metadata = {**metadata, KEY: dict(self._hints)} if self._hints else metadata
        self._writer = Writer(
            self._path, base=self._base, metadata=metadata, extensions=extensions(self._model), **self._options
        )
        self._renames = Renames(self._base, {tensor.name for tensor in tensors} | aliases.keys())
        self._aliases = aliases

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._writer is not None and self._renames is not None
        base_name = self._renames.base_name(name, array)
        self._writer.add(name, array, base_name=base_name, metadata=tensor_metadata(self._model).get(name))

    def copy(self, name: str) -> bool:
        """Copy a tensor of the source that cannot be decoded; return False for one to read and add."""
        assert self._writer is not None
        return copied(self._writer, self._model, name)

    def close(self) -> None:
        assert self._writer is not None
        for name, target in self._aliases.items():
            self._writer.alias(name, target)
        self._writer.close()

    def saved(self) -> Saved:
        """Return the counts of what was written."""
        assert self._writer is not None
        return self._writer.saved()

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
