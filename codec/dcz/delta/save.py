"""Save a whole model as its differences to a base."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from dcz.container.mapping import TensorMetadata, check_names
from dcz.delta.renames import Renames
from dcz.delta.writer import Saved, Writer
from dcz.ties import Ties


def save_delta(
    new: Mapping[str, Any],
    file: str | os.PathLike[str] | BinaryIO,
    *,
    base: Mapping[str, Any],
    transform: str = "auto",
    renames: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Saved:
    """Save two mappings; see `dcz.save_delta`."""
    names = check_names(new, "new")
    known = Renames(base, names, renames)
    aliases: Mapping[str, str] = getattr(new, "aliases", {})
    about = TensorMetadata(tensor_metadata, new)
    ties, done = Ties(), 0
    total = sum(_nbytes(new, name) for name in new if name not in aliases) if progress is not None else 0
    with Writer(file, base=base, transform=transform, metadata=metadata, profile=profile, threads=threads) as writer:
        for name in names:
            if name in aliases:
                about.check_none(name, aliases[name])
                continue
            array = new[name]
            owner = ties.owner(name, array)
            if owner != name:
                about.check_none(name, owner)
                writer.alias(name, owner)
            else:
                writer.add(name, array, base_name=known.base_name(name, array), metadata=about.of(name))
            done += getattr(array, "nbytes", 0)
            if progress is not None:
                progress(done, total)
        for name in sorted(aliases):
            writer.alias(name, aliases[name])
        return writer.saved(tuple(known.left))


def _nbytes(tensors: Mapping[str, Any], name: str) -> int:
    """Return the bytes of a tensor, without reading it where its mapping knows them."""
    describe = getattr(tensors, "info", None)
    return int(describe(name).nbytes if describe is not None else getattr(tensors[name], "nbytes", 0))
