"""Models in several files, read by their index and written in the hub's layout."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dcz.container.shards import ShardIndex
from dcz.convert.blocks import Use
from dcz.convert.guard import Guard
from dcz.convert.model import Model, Target, Tensor, extensions, tell_source, tensor_metadata, undecodable
from dcz.convert.shard_layout import INDEX, SHARD_SIZE, ShardLayout, of_the_same_model, stem_of, write_index
from dcz.errors import DczError, FormatError
from dcz.io import temporary
from dcz.io.sinks import sync_folder
from dcz.io.together import publish_together
from dcz.plain.header import second_names
from dcz.tensor.words import StoredWords

if TYPE_CHECKING:
    from dcz.container import Reader
    from dcz.container.sharded import ShardedReader

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def parse_size(text: str, what: str = "shard size") -> int:
    """Return bytes from a number with a unit, as the hub writes it: 500MB, 5GB, 1GiB. `what` is for the error.

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
    """Files of one format with an index, which lists the tensors and their files.

    The index's metadata stay under `index`; aliases among them, as the hub writes those of tied weights, and in the
    shards are aliases. Tensors of a shard that the index does not name, or names in another shard, are `left_out`."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard, open_one: Callable[[str, Guard], Model]) -> None:
        self._stack = contextlib.ExitStack()
        self._index = index = ShardIndex.read(path)
        self.metadata: Mapping[str, object] = {}
        self.aliases: Mapping[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = {}
        self.extensions: Mapping[str, object] = {}
        self._where: dict[str, Model] = {}
        self._stored: dict[str, Tensor] = {}
        wanted: dict[str, set[str]] = {}
        for name, file in index.weight_map.items():
            wanted.setdefault(file, set()).add(name)
        try:
            for file, names in wanted.items():
                model = self._stack.enter_context(open_one(index.locate(file), guard))
                self._add(model, file, names)
        except BaseException:
            self._stack.close()
            raise
        aliases, others = second_names(index.metadata, self._stored)
        self.aliases = {**aliases, **self.aliases}
        if others:
            self.metadata = {**self.metadata, INDEX: others}

    def _add(self, model: Model, file: str, wanted: set[str]) -> None:
        here = {tensor.name: tensor for tensor in model.tensors()}
        if absent := wanted - here.keys() - model.aliases.keys():
            raise self._index.missing(file, sorted(absent))
        seconds = {name: owner for name, owner in model.aliases.items() if name in wanted or owner in wanted}
        for name in (here.keys() | seconds.keys()) - wanted:
            elsewhere = self._index.weight_map.get(name)
            if elsewhere is not None and elsewhere != file:
                self.left_out[f"{file}: {name}"] = f"the index says that this tensor is in {elsewhere}"
            elif elsewhere is None and name in here:
                self.left_out[f"{file}: {name}"] = "a tensor that the index does not name"
        for name, owner in seconds.items():
            if owner not in wanted:
                raise FormatError(
                    f"{self._index.path}: {name!r:.80} is another name of {owner!r:.80}, which it leaves out"
                )
        mine = {name: tensor for name, tensor in here.items() if name in wanted}
        self._stored |= mine
        self._where |= dict.fromkeys(mine, model)
        about = {name: value for name, value in tensor_metadata(model).items() if name in mine}
        self.tensor_metadata = {**self.tensor_metadata, **about}
        self.aliases = {
            **self.aliases,
            **{n: o for n, o in seconds.items() if self._index.weight_map.get(n, file) == file},
        }
        self.metadata = {**model.metadata, **self.metadata}
        self.extensions = {**extensions(model), **self.extensions}
        self.left_out |= {f"{file}: {name}": reason for name, reason in getattr(model, "left_out", {}).items()}

    def tensors(self) -> list[Tensor]:
        return list(self._stored.values())

    def read(self, name: str) -> np.ndarray:
        return self._where[name].read(name)

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor, if its file can read them by range."""
        read = getattr(self._where[name], "in_blocks", None)
        return None if read is None else read(name, block)

    def undecodable(self, name: str) -> Reader | ShardedReader | None:
        """Return the open dcz file of a tensor that this version cannot decode."""
        return undecodable(self._where[name], name)

    def __enter__(self) -> ShardedModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


class ShardedTarget:
    """Several files and their index. They are made in a temporary folder beside the target and published together, the
    index last.

    With `replace`, older files of the same model are removed: shards of another number, and a single file, which
    loaders would prefer to the index. `source` is being read; it stays."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        extension: str,
        open_one: Callable[[str], Target],
        shard_size: int | None = None,
        replace: bool = True,
        source: str | os.PathLike[str] | None = None,
    ) -> None:
        self._path = os.path.abspath(os.fspath(path))
        self._extension, self._open_one = extension, open_one
        self._shard_size, self._replace, self._source = shard_size or SHARD_SIZE, replace, source
        self._target: Target | None = None
        self._model: object = None
        self._scratch = ""

    def source(self, model: object) -> None:
        """Note the source of the tensors, for each file."""
        self._model = model

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        folder = os.path.dirname(self._path)
        stem = stem_of(self._path, self._extension)
        self._layout = ShardLayout.of(stem, self._extension, tensors, aliases, metadata, self._shard_size)
        new = {file.name for file in self._layout.files}
        there = of_the_same_model(folder, stem, self._extension)
        self._stale = [os.path.join(folder, file) for file in there if file not in new]
        shards = [file for file in there if file != stem + self._extension]
        if not self._replace and shards:
            raise DczError(f"{os.path.join(folder, shards[0])}: already exists; use --force to replace it")
        temporary.remove_leftovers(self._path)
        self._scratch = temporary.new_name(self._path)
        os.mkdir(self._scratch)
        self._left = iter(self._layout.files)
        self._next()

    def _next(self) -> None:
        """Finish the current file and begin the next."""
        if self._target is not None:
            target, self._target = self._target, None
            target.close()
        following = next(self._left, None)
        if following is not None:
            self._remaining = len(following.tensors)
            self._target = self._open_one(os.path.join(self._scratch, following.name))
            tell_source(self._target, self._model)
            self._target.begin(following.tensors, following.aliases, self._layout.metadata)

    @property
    def takes_blocks(self) -> bool | Callable[[Tensor], bool]:
        """Whether the file at hand takes words in blocks; maybe a function of the tensor."""
        return getattr(self._target, "takes_blocks", False)

    @property
    def use(self) -> Use | None:
        """What the file at hand takes beside the values."""
        return getattr(self._target, "use", None)

    def add(self, name: str, array: np.ndarray | StoredWords) -> None:
        self._at_hand().add(name, array)
        self._remaining -= 1

    def copy(self, name: str) -> bool:
        """Copy a tensor of the source that cannot be decoded; return False for one to read and add."""
        copy = getattr(self._at_hand(), "copy", None)
        done: bool = copy is not None and copy(name)
        self._remaining -= done
        return done

    def _at_hand(self) -> Target:
        """Return the file of the next tensor."""
        if self._remaining == 0:
            self._next()
        assert self._target is not None
        return self._target

    def close(self) -> None:
        self._next()
        folder, name = os.path.split(self._path)
        files = [file.name for file in self._layout.files]
        sizes = {file: os.path.getsize(os.path.join(self._scratch, file)) for file in files}
        write_index(os.path.join(self._scratch, name), self._layout.index(sizes))
        publish_together(self._scratch, folder, files, [name])
        temporary.remove(self._scratch)
        if self._replace:
            source = self._source if self._source is not None and os.path.exists(self._source) else None
            for stale in self._stale:
                if source is None or not os.path.samefile(stale, source):
                    os.unlink(stale)
        sync_folder(folder)

    def abandon(self) -> None:
        if self._target is not None:
            self._target.abandon()
        if self._scratch:
            temporary.remove(self._scratch)
