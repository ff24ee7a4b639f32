"""The files of a model in several, before any is written: names, tensors, aliases, and the index that lists them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dcz.container.shards import SUFFIX
from dcz.convert.model import Tensor

# The hub's default.
SHARD_SIZE = 5_000_000_000
# The key under which a file's metadata keep those of its source's index.
INDEX = "index"


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file: its name, its tensors in the order they are written, and their second names."""

    name: str
    tensors: list[Tensor]
    aliases: dict[str, str]

    @property
    def nbytes(self) -> int:
        """Return the bytes of the arrays."""
        return sum(tensor.nbytes for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """All files of a model: `metadata` are those of every file, `index_metadata` those of the index."""

    files: list[ShardFile]
    metadata: dict[str, object]
    index_metadata: dict[str, object]
    aliases_named: bool

    @staticmethod
    def of(
        stem: str,
        extension: str,
        tensors: list[Tensor],
        aliases: Mapping[str, str],
        metadata: Mapping[str, object],
        shard_size: int | None = None,
    ) -> ShardLayout:
        """Return the layout of `stem-00001-of-0000N` and so on, of at most `shard_size` bytes of arrays each.

        >>> from dcz.dtypes import by_code
        >>> two = [Tensor(name, by_code("F32", name), (100,)) for name in "ab"]
        >>> [file.name for file in ShardLayout.of("model", ".dcz", two, {}, {}, 500).files]
        ['model-00001-of-00002.dcz', 'model-00002-of-00002.dcz']
        """
        seconds: dict[str, list[str]] = {}
        for name, owner in aliases.items():
            seconds.setdefault(owner, []).append(name)
        shards = split(tensors, shard_size or SHARD_SIZE)
        files = [
            ShardFile(
                f"{stem}-{number:05d}-of-{len(shards):05d}{extension}",
                shard,
                {name: tensor.name for tensor in shard for name in seconds.get(tensor.name, [])},
            )
            for number, shard in enumerate(shards, 1)
        ]
        others = metadata.get(INDEX)
        of_index = dict(others) if isinstance(others, dict) else {}
        of_files = {key: value for key, value in metadata.items() if key != INDEX or not of_index}
        # The hub's index lists the names in the files; aliases are in its metadata.
        named = extension != ".safetensors"
        return ShardLayout(files, of_files, of_index if named else of_index | dict(aliases), named)

    def index(self, sizes: Mapping[str, int]) -> str:
        """Return the text of the index; `sizes` are the bytes of each file."""
        where = {
            name: file.name
            for file in self.files
            for name in (*(tensor.name for tensor in file.tensors), *(file.aliases if self.aliases_named else ()))
        }
        total = sum(file.nbytes for file in self.files)
        return index_text(where, {**self.index_metadata, "file_sizes": dict(sizes), "total_size": total})


def index_text(weight_map: Mapping[str, str], metadata: Mapping[str, object]) -> str:
    """Return the text of an index of shards: each tensor's file, and what else is known of them."""
    document = {"metadata": dict(metadata), "weight_map": {name: weight_map[name] for name in sorted(weight_map)}}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_index(path: str, text: str) -> None:
    """Write the index of shards to a new file."""
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def split(tensors: list[Tensor], shard_size: int) -> list[list[Tensor]]:
    """Return the tensors of each file: in the given order, as many as fit `shard_size` bytes of arrays, at least
    one."""
    out: list[list[Tensor]] = []
    left = -1
    for tensor in tensors:
        if not out or tensor.nbytes > left:
            out.append([])
            left = shard_size
        out[-1].append(tensor)
        left -= tensor.nbytes
    return out or [[]]


def stem_of(index: str, extension: str) -> str:
    """Return what the files' names begin with, from the path of their index."""
    return os.path.basename(index)[: -len(extension + SUFFIX)]


def of_the_same_model(folder: str, stem: str, extension: str) -> list[str]:
    """Return the files of a folder that belong to a model of this name, in one file or any number of shards."""
    pattern = re.compile(rf"{re.escape(stem)}(?:-\d{{5}}-of-\d{{5}})?{re.escape(extension)}")
    return sorted(name for name in os.listdir(folder) if pattern.fullmatch(name))
