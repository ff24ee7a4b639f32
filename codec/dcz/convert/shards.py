"""Models in several files: read by their index, and written in the hub's layout."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping

import numpy as np

from dcz.container.shards import SUFFIX, ShardIndex
from dcz.convert.guard import Guard
from dcz.convert.model import Model, Target, Tensor
from dcz.errors import DczError, FormatError
from dcz.io.sinks import sync_folder

# The hub's default.
SHARD_SIZE = 5_000_000_000
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def parse_size(text: str, what: str = "shard size") -> int:
    """Bytes from a number with a unit, as the hub writes it: 500MB, 5GB, 1GiB. `what` is for the error.

    >>> parse_size("2.5GB")
    2500000000
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(found[2].lower()) if found else None
    size = round(float(found[1]) * unit) if found and unit else 0
    if size <= 0:
        raise DczError(f"{what}: {text!r:.40} is not a size; write a number with a unit, such as 500MB or 5GB")
    return size


class ShardedModel:
    """Files of one format with an index. The index decides which tensors there are and where."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard, open_one: Callable[[str, Guard], Model]) -> None:
        self._stack = contextlib.ExitStack()
        index = ShardIndex.read(path)
        self.metadata: Mapping[str, object] = {}
        self.aliases: Mapping[str, str] = {}
        self._tensors: list[Tensor] = []
        self._where: dict[str, Model] = {}
        try:
            for file in index.files():
                self._open(index, file, guard, open_one)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, index: ShardIndex, file: str, guard: Guard, open_one: Callable[[str, Guard], Model]) -> None:
        model = self._stack.enter_context(open_one(index.locate(file), guard))
        wanted = set(index.names(file))
        here = {tensor.name: tensor for tensor in model.tensors() if tensor.name in wanted}
        aliases = {name: owner for name, owner in model.aliases.items() if name in wanted}
        if absent := wanted - here.keys() - aliases.keys():
            raise index.missing(file, sorted(absent))
        for name, owner in aliases.items():
            if owner not in here:
                raise FormatError(f"{index.path}: {name!r:.80} is another name of {owner!r:.80}, which it leaves out")
        self._tensors += here.values()
        self._where |= dict.fromkeys(here, model)
        self.aliases = {**self.aliases, **aliases}
        self.metadata = {**model.metadata, **self.metadata}

    def tensors(self) -> list[Tensor]:
        return self._tensors

    def read(self, name: str) -> np.ndarray:
        return self._where[name].read(name)

    def __enter__(self) -> ShardedModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def split(tensors: list[Tensor], copies: Mapping[str, int], shard_size: int) -> list[list[Tensor]]:
    """The tensors of each file: as many in the given order as fit `shard_size` bytes of arrays, at least one.

    `copies` tells how often a tensor is written where that is more than once."""
    out: list[list[Tensor]] = []
    room = -1
    for tensor in tensors:
        nbytes = tensor.nbytes * (1 + copies.get(tensor.name, 0))
        if not out or nbytes > room:
            out.append([])
            room = shard_size
        out[-1].append(tensor)
        room -= nbytes
    return out or [[]]


class ShardedTarget:
    """Several files and their index. They are made in a folder of their own beside the target and published
    together, the index last."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        extension: str,
        open_one: Callable[[str], Target],
        shard_size: int | None = None,
        replace: bool = True,
    ) -> None:
        self._path = os.path.abspath(os.fspath(path))
        self._extension, self._open_one = extension, open_one
        self._shard_size, self._replace = shard_size or SHARD_SIZE, replace
        self._target: Target | None = None
        self._scratch = ""
        self._files: dict[str, list[str]] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        seconds: dict[str, list[str]] = {}
        for name, owner in aliases.items():
            seconds.setdefault(owner, []).append(name)
        copies = {} if self._extension == ".dcz" else {owner: len(names) for owner, names in seconds.items()}
        self._shards = split(tensors, copies, self._shard_size)
        self._aliases = [{name: t.name for t in shard for name in seconds.get(t.name, [])} for shard in self._shards]
        self._metadata = metadata
        folder, name = os.path.split(self._path)
        stem = name[: -len(self._extension + SUFFIX)]
        count = len(self._shards)
        for number, shard in enumerate(self._shards, 1):
            file = f"{stem}-{number:05d}-of-{count:05d}{self._extension}"
            self._files[file] = [*(tensor.name for tensor in shard), *self._aliases[number - 1]]
            if not self._replace and os.path.exists(os.path.join(folder, file)):
                raise DczError(f"{os.path.join(folder, file)}: already exists; use --force to replace it")
        self._total = sum(tensor.nbytes * (1 + copies.get(tensor.name, 0)) for tensor in tensors)
        self._scratch = os.path.join(folder, f".{name[:32]}.{os.urandom(8).hex()}.tmp")
        os.mkdir(self._scratch)
        self._left = iter(zip(self._files, self._shards, self._aliases, strict=True))
        self._next()

    def _next(self) -> None:
        """Finishes the file at hand and begins the one after it."""
        if self._target is not None:
            target, self._target = self._target, None
            target.close()
        following = next(self._left, None)
        if following is not None:
            file, shard, aliases = following
            self._remaining = len(shard)
            self._target = self._open_one(os.path.join(self._scratch, file))
            self._target.begin(shard, aliases, self._metadata)

    def add(self, name: str, array: np.ndarray) -> None:
        if self._remaining == 0:
            self._next()
        assert self._target is not None
        self._target.add(name, array)
        self._remaining -= 1

    def close(self) -> None:
        self._next()
        folder, name = os.path.split(self._path)
        sizes = {file: os.path.getsize(os.path.join(self._scratch, file)) for file in self._files}
        where = {name: file for file, names in self._files.items() for name in names}
        document = {
            "metadata": {"file_sizes": sizes, "total_size": self._total},
            "weight_map": {name: where[name] for name in sorted(where)},
        }
        with open(os.path.join(self._scratch, name), "x", encoding="utf-8") as file:
            json.dump(document, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        for each in (*self._files, name):
            os.replace(os.path.join(self._scratch, each), os.path.join(folder, each))
        os.rmdir(self._scratch)
        sync_folder(folder)

    def abandon(self) -> None:
        if self._target is not None:
            self._target.abandon()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
