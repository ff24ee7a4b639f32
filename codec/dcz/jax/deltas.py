"""Differences to a base for JAX: arrays never change, so the result is made beside the base."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Progress, convert_all
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.delta import save as saving
from dcz.delta.opening import open_file
from dcz.delta.writer import Saved
from dcz.errors import locating
from dcz.io.sources import name_of
from dcz.jax.paths import flatten, nest
from dcz.jax.tensors import from_array


def save_delta(
    new: Any,
    filename: str | os.PathLike[str] | BinaryIO,
    *,
    base: Any,
    transform: str = "auto",
    renames: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    progress: Progress | None = None,
) -> Saved:
    """Writes a pytree of arrays as its differences to another; options as in `dcz.save_delta`.

    `base` is a pytree, or what `dcz.open` gives.

    >>> import io, jax.numpy as jnp, dcz.jax
    >>> old, file = {"w": jnp.zeros(1000)}, io.BytesIO()
    >>> dcz.jax.save_delta({"w": old["w"].at[3].set(1)}, file, base=old).changes
    1
    """
    return saving.save_delta(
        _arrays(new), filename, base=base if isinstance(base, (Reader, ShardedReader)) else _arrays(base),
        transform=transform, renames=renames, metadata=metadata, profile=profile, threads=threads,
        tensor_metadata=tensor_metadata, progress=progress,
    )  # fmt: skip


def apply_delta(
    base: Any,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    device: Any = None,
    *,
    nested: bool = False,
    threads: int | None = None,
) -> dict[str, Any]:
    """The arrays that a file of differences makes of a pytree, which stays as it is; base and result are compared with
    their checksums.

    Args:
        device, nested: as of `dcz.jax.load_file`.

    Raises:
        BaseError: another base than the file was made from.

    >>> import io, jax.numpy as jnp, dcz.jax
    >>> old, file = {"w": jnp.zeros(4)}, io.BytesIO()
    >>> saved = dcz.jax.save_delta({"w": old["w"].at[3].set(1)}, file, base=old)
    >>> dcz.jax.apply_delta(old, file.getvalue())
    {'w': Array([0., 0., 0., 1.], dtype=float32)}
    """
    with open_file(filename, base=_arrays(base)) as reader:
        arrays = reader.load(threads=threads)
    with locating(name_of(filename)):
        found = convert_all(lambda array, name: from_array(array, name, device), arrays)
    return nest(found) if nested else found


def _arrays(tree: Any) -> dict[str, NDArray[Any]]:
    """Leaves by path; on the CPU the same memory. A leaf that occurs twice is one array."""
    made: dict[int, NDArray[Any]] = {}
    leaves = flatten(tree).leaves
    return {name: made.setdefault(id(leaf), np.asarray(leaf)) for name, leaf in leaves.items()}
