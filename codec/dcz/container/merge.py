"""Several dcz files to one, tensor by tensor as they are stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from dcz.container.opening import open_file
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.writer import Writer
from dcz.errors import DczError


def merge(
    files: Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes all tensors, aliases and metadata of dcz files to one dcz file; returns how many tensors that are. A model
    in several files is named by its index or folder.

    Segments are copied byte for byte, also of tensors that this version cannot decode. Tensors that are the same within
    a file stay so; those of different files are not compared.

    Raises `DczError` where two files have a name in common, or different metadata under one key.

    >>> import os, tempfile, numpy, dcz
    >>> folder = tempfile.mkdtemp()
    >>> a, b, c = (os.path.join(folder, name) for name in ("a.dcz", "b.dcz", "c.dcz"))
    >>> dcz.save_file({"a": numpy.ones(3)}, a)
    >>> dcz.save_file({"b": numpy.ones(3)}, b)
    >>> dcz.merge([a, b], c), sorted(dcz.load_file(c))
    (2, ['a', 'b'])
    """
    readers: list[Reader | ShardedReader] = []
    try:
        for file in files:
            readers.append(reader := open_file(file, sequential=True))
            if isinstance(reader, ShardedReader):
                reader.check_names()  # what the index does not name would be lost
        metadata, extensions = (_joined(readers, what) for what in ("metadata", "extensions"))
        total = sum(reader.info(name).stored for reader in readers for name in reader if name not in reader.aliases)
        done = tensors = 0
        with Writer(target, metadata=metadata, extensions=extensions) as writer:
            for reader in readers:
                for name in reader:
                    if name in reader.aliases:
                        continue  # a model in several files may name them before their tensors
                    _check_new(writer, name, reader)
                    writer.copy(reader, name)
                    tensors += 1
                    done += reader.info(name).stored
                    if progress is not None:
                        progress(done, total)
                for name, owner in reader.aliases.items():
                    _check_new(writer, name, reader)
                    writer.alias(name, owner)
        return tensors
    finally:
        for reader in readers:
            reader.close()


def _joined(readers: list[Reader | ShardedReader], what: str) -> dict[str, object]:
    """The metadata of all files, or their extensions."""
    out: dict[str, object] = {}
    for reader in readers:
        for key, value in getattr(reader, what).items():
            if key in out and out[key] != value:
                raise DczError(f"{reader.source}: {what} {key!r:.80} differs from that of a file before it")
            out[key] = value
    return out


def _check_new(writer: Writer, name: str, reader: Reader | ShardedReader) -> None:
    if name in writer:
        raise DczError(f"{reader.source}: tensor {name!r:.200} is in a file before it too; names are unique in a file")
