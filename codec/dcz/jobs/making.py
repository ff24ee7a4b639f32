"""The tasks that make a file of the output: its parts, and the file itself, which is made of them byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dcz.container.reader import Reader
from dcz.convert.blocks import values_of
from dcz.convert.formats import open_target
from dcz.convert.model import Tensor
from dcz.convert.transfers import naming
from dcz.dtypes import by_code
from dcz.jobs import places
from dcz.jobs.contents import Contents, Wanted
from dcz.jobs.finished import is_whole, stamp_of
from dcz.lossy.compression import TensorReport

# What is added to a file's name for the file with its stamp, where it has no checksums of its own.
STAMP = ".stamp"


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is made: its stamp, and what a recipe did to its tensors."""

    stamp: Mapping[str, Any]
    reports: Mapping[str, TensorReport] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A task: some tensors of a file, in a dcz file of their own at `path`. It is not made again if it is there, nor
    if the file that it is for is."""

    contents: Contents
    wanted: tuple[Wanted, ...]
    among: tuple[str, ...]
    path: str
    target: str

    def __call__(self) -> Mapping[str, TensorReport]:
        if places.exists(self.target):
            return {}
        names = [each.name for each in self.wanted]
        if is_whole(self.path, names):
            return {}
        with places.staged(self.path) as path, naming(self.target):
            with self.contents.writer(path) as writer:
                return self.contents.store(writer, self.wanted, self.among or names)


@dataclass(frozen=True, slots=True)
class DczFile:
    """A task: a dcz file, of `parts` if there are any, else of the tensors themselves. Of each part there is its place,
    and how many of the tensors it has."""

    contents: Contents
    wanted: tuple[Wanted, ...]
    aliases: Mapping[str, str]
    metadata: Mapping[str, object]
    extensions: Mapping[str, object]
    path: str
    parts: tuple[tuple[str, int], ...] = ()

    def __call__(self) -> Made:
        reports: Mapping[str, TensorReport] = {}
        if not places.exists(self.path):
            try:
                reports = self._make()
            except FileNotFoundError:  # another worker, which was thought dead, has made it and removed the parts
                if not places.exists(self.path):
                    raise
        for part, _ in self.parts:
            places.remove(part)
        return Made(stamp_of(self.path), reports)

    def _make(self) -> Mapping[str, TensorReport]:
        names = [each.name for each in self.wanted]
        reports: Mapping[str, TensorReport] = {}
        with places.staged(self.path) as path, naming(self.path):
            with self.contents.writer(path, self.metadata, self.extensions, merging=bool(self.parts)) as writer:
                left = iter(names)
                for part, count in self.parts:
                    with closing(Reader(part, sequential=True)) as reader:
                        for name in islice(left, count):
                            writer.adopt(reader, name)
                if not self.parts:
                    reports = self.contents.store(writer, self.wanted, [*names, *self.aliases])
                for name, owner in self.aliases.items():
                    writer.alias(name, owner)
        return reports


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A task: a file of another format. Its stamp is written beside it."""

    contents: Contents
    wanted: tuple[Wanted, ...]
    described: tuple[tuple[str, str, tuple[int, ...]], ...]
    aliases: Mapping[str, str]
    metadata: Mapping[str, object]
    path: str

    def __call__(self) -> Made:
        tensors = [Tensor(name, by_code(code, name), shape) for name, code, shape in self.described]
        target = open_target(self.path)
        with naming(self.path):
            try:
                target.begin(tensors, self.aliases, self.metadata)
                blocks, bound = getattr(target, "takes_blocks", False), self.contents.max_memory
                for tensor, (name, file) in zip(tensors, self.wanted, strict=True):
                    model = self.contents.model(file)
                    target.add(name, values_of(model, tensor, takes_blocks=blocks, max_memory=bound))
                target.close()
            except BaseException:
                target.abandon()
                raise
        stamp = stamp_of(self.path)
        places.write_bytes(self.path + STAMP, json.dumps(stamp).encode())
        return Made(stamp)
