"""Saving a model in several dcz files and their index, in the hub's layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dcz.container.mapping import TensorMetadata, check_names
from dcz.container.shards import SUFFIX
from dcz.convert.dcz_file import DczTarget
from dcz.convert.model import Tensor
from dcz.convert.shard_layout import SHARD_SIZE
from dcz.convert.shards import ShardedTarget, parse_size
from dcz.errors import DczError, UnsupportedError
from dcz.saving import Progress
from dcz.tensor import to_words
from dcz.ties import Ties

__all__ = ["save_sharded"]


def save_sharded(
    tensors: Mapping[str, np.ndarray],
    folder: str | os.PathLike[str],
    *,
    shard_size: int | str = SHARD_SIZE,
    name: str = "model",
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> str:
    """Writes tensors to `name-00001-of-0000N.dcz` and so on in a folder, and `name.dcz.index.json` last.

    The files are made beside their targets and published together: a failed call leaves the folder as it was.

    Args:
        tensors: as in `dcz.save_file`. Arrays that are the same memory are stored once, in one file.
        folder: an existing folder; files of the same names are replaced.
        shard_size: how many bytes of arrays go into one file, as a number or with a unit ("500MB"); a larger tensor
            has a file of its own.
        name: what the files' names begin with.
        metadata, profile, threads, progress, tensor_metadata, portable: as in `dcz.save_file`; every file has the
            metadata.

    Returns:
        The path of the index, which `dcz.open` and `dcz.load_file` take.

    Raises:
        DczError: a folder that does not exist, or a size or name that makes no file name.
        UnsupportedError: a dtype or object that cannot be stored.

    >>> import numpy, dcz, os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.zeros(9), "b": numpy.ones(9)}, folder, shard_size=100)
    >>> sorted(os.listdir(folder))
    ['model-00001-of-00002.dcz', 'model-00002-of-00002.dcz', 'model.dcz.index.json']
    """
    where = os.fspath(folder)
    if not os.path.isdir(where):
        raise DczError(f"{where}: the folder does not exist; create it first")
    if not name or os.path.basename(name) != name or name.startswith("."):
        raise DczError(f"name: {name!r} is not the beginning of a file name")
    size = parse_size(shard_size) if isinstance(shard_size, str) else shard_size
    if type(size) is not int or size < 1:
        raise DczError(f"shard_size: expected a positive number of bytes, found {shard_size!r}")
    ties, about = Ties(), TensorMetadata(tensor_metadata, tensors)
    plan: list[Tensor] = []
    aliases: dict[str, str] = {}
    for each in check_names(tensors):
        array = tensors[each]
        owner = ties.owner(each, array)
        if owner != each:
            about.check_none(each, owner)
            aliases[each] = owner
        else:
            plan.append(_described(each, array))
    index = os.path.join(where, f"{name}.dcz{SUFFIX}")
    target = ShardedTarget(
        index, ".dcz", lambda path: DczTarget(path, profile=profile, threads=threads, portable=portable), size
    )
    target.source(_About(tensor_metadata or {}))
    total, done = sum(tensor.nbytes for tensor in plan), 0
    try:
        target.begin(plan, aliases, metadata or {})
        for tensor in plan:
            target.add(tensor.name, tensors[tensor.name])
            done += tensor.nbytes
            if progress is not None:
                progress(done, total)
        target.close()
    except BaseException:
        target.abandon()
        raise
    return index


class _About(NamedTuple):
    """The source of the tensors, as files that keep metadata of single tensors ask for it."""

    tensor_metadata: Mapping[str, Mapping[str, object]]


def _described(name: str, array: object) -> Tensor:
    """A tensor by its name, dtype and shape."""
    if not isinstance(array, np.ndarray):
        raise UnsupportedError(f"tensor {name!r}: expected a numpy array, found {type(array).__name__}")
    words = to_words(array[:0] if array.ndim else array, name)
    return Tensor(name, words.dtype, array.shape)
