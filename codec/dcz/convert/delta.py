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
from dcz.convert.blocks import ENCODING
from dcz.convert.model import Tensor, copied, extensions, tensor_metadata
from dcz.delta.opening import open_file
from dcz.delta.renames import Renames
from dcz.delta.writer import Saved, Writer
from dcz.tensor.words import StoredWords

# Where a tensor is made of the base's both are in memory: whole, or the parts of a block.
_APPLYING = ENCODING._replace(whole=5, times=5)
# Differences hold both tensors, what is stored for the changed words, and what encoding that takes.
_DIFFERENCE = ENCODING._replace(whole=6, statistics=1 << 14, times=7, more=10)


class DeltaModel:
    """The result of a file of differences, or of several with an index, and its base."""

    use = _APPLYING

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

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor, to be made at most `block` at once; None where the base reads it whole."""
        return self._reader.in_blocks(name, block)

    def __enter__(self) -> DeltaModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()


def compares_blocks(writer: Writer, base: Mapping[str, Any], renames: Renames, tensor: Tensor) -> bool:
    """Return whether a tensor can be compared with the base's block by block, under any name that it may have."""
    names = [tensor.name] if tensor.name in base else renames.left
    return not any(writer.reads_whole(name, tensor.dtype, tensor.nbytes) for name in names)


class DeltaTarget:
    """A file of differences being written. `hints` describe the base in its metadata; `names` are those of the whole
    model if this file is a shard."""

    use = _DIFFERENCE

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

    def takes_blocks(self, tensor: Tensor) -> bool:
        """Return whether a tensor can be compared with the base's block by block, under any name that it may have."""
        assert self._writer is not None and self._renames is not None
        return compares_blocks(self._writer, self._base, self._renames, tensor)

    def add(self, name: str, array: np.ndarray | StoredWords) -> None:
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
