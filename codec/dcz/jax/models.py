"""Models of JAX: a Flax NNX module, or any pytree whose arrays stand for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import jax
import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Progress, convert_all, match
from dcz.api import load_file
from dcz.container import Reader, ShardedReader
from dcz.dtypes import DTYPES
from dcz.jax.paths import Tree, flatten
from dcz.jax.tensors import from_array, save_file
from dcz.plain.opening import open_any

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader

# Python's numbers, and the dtypes that may stand for them in a file.
_NUMBERS = (bool, int, float, complex)
_KINDS = {bool: np.bool_, int: np.integer, float: np.floating, complex: np.complexfloating}


def save_model(
    model: Any,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a model to a dcz file: of a Flax NNX module its state without random keys, of any other pytree (Flax's
    variables, a training state) all arrays. Numbers, such as the step of a fresh Flax `TrainState`, are stored as
    scalars, in the dtypes that JAX gives them where these hold them exactly. Options and names as in `save_file`.

    >>> import io, jax.numpy as jnp, dcz.jax
    >>> file = io.BytesIO()
    >>> dcz.jax.save_model({"params": {"kernel": jnp.ones((2, 3))}}, file)
    >>> list(dcz.jax.load(file.getvalue()))
    ['params.kernel']
    """
    leaves = {name: _as_array(leaf) for name, leaf in flatten(_state(model)).leaves.items()}
    save_file(leaves, filename, metadata, profile=profile, threads=threads, progress=progress)


def load_model(
    model: Any,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Any:
    """Restores a dcz file onto an existing model, and returns it.

    A Flax NNX module is changed in place. Of any other pytree a new one of the same structure is returned, its
    arrays on the devices of the old: its leaves may be arrays, or `jax.ShapeDtypeStruct`s as `jax.eval_shape`
    makes them, so that no array is needed to restore onto.

    Args:
        strict: whether names must agree exactly; otherwise arrays that are not in the file stay as they are.
            A number in the model takes a scalar of any integer or float dtype, as the number is one, and stays a
            number.

    Raises:
        DczError: names, with `strict`, shapes or dtypes that do not agree; nothing has been changed then.

    >>> import io, jax, jax.numpy as jnp, dcz.jax
    >>> data = dcz.jax.save({"params": {"kernel": jnp.arange(3)}})
    >>> dcz.jax.load_model({"params": {"kernel": jax.ShapeDtypeStruct((3,), "int32")}}, data)
    {'params': {'kernel': Array([0, 1, 2], dtype=int32)}}
    """
    tree = flatten(_state(model))
    with open_any(filename) as reader:
        expected = {name: _expected(leaf, name, reader) for name, leaf in tree.leaves.items()}
        match(reader, expected, strict, "load_model")
        names = [name for name in expected if name in reader]
    arrays = load_file(filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress)
    restored = tree.rebuild({**tree.leaves, **_place(tree, arrays)})
    if not _is_module(model):
        return restored
    sys.modules["flax.nnx"].update(model, restored)
    return model


def _as_array(leaf: Any) -> Any:
    """A number as a scalar, in the dtype that JAX computes with if that holds it; anything else as it is."""
    if not isinstance(leaf, _NUMBERS):
        return leaf
    array = np.asarray(leaf)
    narrow = array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
    return narrow if narrow == array or array != array else array


def _expected(leaf: Any, name: str, reader: Reader | ShardedReader | SafetensorsReader) -> tuple[tuple[int, ...], str]:
    """Shape and dtype name that a leaf takes."""
    if not isinstance(leaf, _NUMBERS):
        return leaf.shape, np.dtype(leaf.dtype).name
    if name in reader:
        stored = DTYPES[reader.info(name).dtype].name
        if np.issubdtype(np.dtype(stored) if stored in np.sctypeDict else np.void, _KINDS[type(leaf)]):
            return (), stored
    return (), np.asarray(leaf).dtype.name


def _place(tree: Tree, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Each array where the one it takes the place of is; numbers for numbers."""

    def convert(array: NDArray[Any], name: str) -> Any:
        leaf = tree.leaves[name]
        if isinstance(leaf, _NUMBERS):
            return type(leaf)(array.item())
        return from_array(array, name, getattr(leaf, "sharding", None))

    return convert_all(convert, arrays)


def _is_module(model: object) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(model, nnx.Module)


def _state(model: Any) -> Any:
    """The pytree of a model's arrays."""
    if not _is_module(model):
        return model
    nnx = sys.modules["flax.nnx"]
    return nnx.state(model, nnx.Not(nnx.RngState))
