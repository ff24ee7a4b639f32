"""dcz files as models and targets: to pack again, to unpack, to pack."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from dcz import dtypes
from dcz.container import Reader, Writer
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor


class DczModel:
    """A dcz file."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._reader = Reader(path, sequential=True)
        self.metadata: Mapping[str, object] = dict(self._reader.metadata)
        self.aliases: Mapping[str, str] = dict(self._reader.aliases)

    def tensors(self) -> list[Tensor]:
        infos = (self._reader.info(name) for name in self._reader if name not in self.aliases)
        return [Tensor(info.name, dtypes.DTYPES[info.dtype], info.shape) for info in infos]

    def read(self, name: str) -> np.ndarray:
        return self._reader.get_tensor(name)

    def __enter__(self) -> DczModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.close()


class DczTarget:
    """A dcz file being written."""

    def __init__(self, path: str | os.PathLike[str], *, profile: str = "auto", threads: int | None = None) -> None:
        self._path, self._profile, self._threads = path, profile, threads
        self._writer: Writer | None = None
        self._aliases: Mapping[str, str] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        self._writer = Writer(self._path, metadata=metadata, profile=self._profile, threads=self._threads)
        self._aliases = aliases

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._writer is not None
        self._writer.add(name, array)

    def close(self) -> None:
        assert self._writer is not None
        for name, target in self._aliases.items():
            self._writer.alias(name, target)
        self._writer.close()

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()
