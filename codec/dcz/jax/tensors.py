"""Arrays of JAX in and out of dcz files."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, BinaryIO

import jax
import numpy as np
from numpy.typing import NDArray

from dcz.adapters import Adapter, Progress, load_tensors, save_bytes, save_tensors
from dcz.dtypes import by_numpy
from dcz.errors import DczError, UnsupportedError
from dcz.jax.paths import flatten, nest


def save_file(
    tensors: Any,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes a pytree of arrays to a dcz file, bit for bit; options as in `dcz.save_file`.

    A tensor's name is its path, joined by dots: `{"params": {"layers": [{"kernel": ...}]}}` is
    `params.layers.0.kernel`. Arrays that are in the tree twice are stored once.

    Raises:
        UnsupportedError: a leaf that is not an array, or of a dtype that cannot be stored.
        DczError: paths that make the same name; invalid metadata or options.

    >>> import jax.numpy as jnp, dcz.jax
    >>> data = dcz.jax.save({"params": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3, "bfloat16")}})
    >>> sorted(dcz.jax.load(data))
    ['params.bias', 'params.kernel']
    """
    leaves = flatten(tensors).leaves
    save_tensors(
        _ADAPTER, leaves, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Any,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> bytes:
    """The same file as bytes; see `save_file`."""
    return save_bytes(
        save_file, tensors, metadata=metadata, profile=profile, threads=threads, tensor_metadata=tensor_metadata,
        portable=portable,
    )  # fmt: skip


def load_file(
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    device: Any = None,
    *,
    backend: str = "mmap",
    nested: bool = False,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Reads arrays from a dcz file; options as in `dcz.load_file`.

    Args:
        filename: a path, bytes, or a seekable binary file object.
        device: a device or sharding for `jax.device_put`, or a name such as "cpu" or "gpu:1"; by default JAX's own.
        backend: "mmap" or "pread", as in safetensors; both read alike here.
        nested: nested dictionaries instead of names with dots.

    Returns:
        Names to arrays; names of the same tensor give the same object.

    Raises:
        UnsupportedError: a dtype of 64 bits while JAX is set to narrow them, or one that JAX lacks.

    >>> import jax.numpy as jnp, dcz.jax
    >>> data = dcz.jax.save({"params": {"kernel": jnp.arange(3)}})
    >>> dcz.jax.load_file(data, nested=True)
    {'params': {'kernel': Array([0, 1, 2], dtype=int32)}}
    """

    def convert(array: NDArray[Any], name: str) -> jax.Array:
        return from_array(array, name, device)

    found = load_tensors(
        convert, filename, names=names, threads=threads, max_bytes=max_bytes, progress=progress, backend=backend
    )
    return nest(found) if nested else found


def load(
    data: bytes,
    device: Any = None,
    *,
    nested: bool = False,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, device, nested=nested, names=names, threads=threads, max_bytes=max_bytes, progress=progress)


def from_array(array: NDArray[Any], name: str, device: Any = None) -> jax.Array:
    """The same bits as an array of JAX, which copies what its devices cannot use in place."""
    kept = jax.dtypes.canonicalize_dtype(array.dtype)
    if kept != array.dtype:
        raise UnsupportedError(
            f"tensor {name!r}: JAX would narrow {array.dtype} to {kept}; call "
            "jax.config.update('jax_enable_x64', True) first, or read it with dcz.load_file"
        )
    try:
        return jax.device_put(array, _device(device) if isinstance(device, str) else device)
    except (TypeError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, TypeError) and "PrimitiveType" not in str(error) and "dtype" not in str(error):
            raise  # memory, a device
        raise UnsupportedError(f"tensor {name!r}: JAX has no dtype {array.dtype}; read it with dcz.load_file") from None


def _device(name: str) -> jax.Device:
    """A device by its platform, such as "cpu", or by platform and number, such as "gpu:1"."""
    platform, _, number = name.partition(":")
    try:
        return jax.devices(platform)[int(number or 0)]
    except (RuntimeError, ValueError, IndexError):
        found = ", ".join(f"{each.platform}:{each.id}" for each in jax.devices())
        raise DczError(f"device: there is no {name!r}; expected one of {found}, cpu") from None


def _nbytes(tensor: object, name: str) -> int:
    if not isinstance(tensor, (jax.Array, np.ndarray, np.generic)):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        remedy = (
            "it has a shape and no values; restore the model first"
            if isinstance(tensor, jax.ShapeDtypeStruct)
            else "wrap numbers in jax.numpy.asarray, or store the tree with save_model"
        )
        raise UnsupportedError(f"tensor {name!r}: expected an array, found {kind}; {remedy}")
    if isinstance(tensor, jax.core.Tracer):
        raise DczError(f"tensor {name!r}: is being traced and has no values; save outside of jit")
    if isinstance(tensor, jax.Array) and tensor.is_deleted():
        raise UnsupportedError(f"tensor {name!r}: has been deleted or donated; save it before, or save the result")
    if isinstance(tensor, jax.Array) and not (tensor.is_fully_addressable or tensor.is_fully_replicated):
        raise UnsupportedError(
            f"tensor {name!r}: parts of it are on other hosts; gather it with "
            "jax.experimental.multihost_utils.process_allgather, or store its addressable_shards"
        )
    if jax.numpy.issubdtype(tensor.dtype, jax.dtypes.prng_key):
        raise UnsupportedError(f"tensor {name!r}: is a random key; store jax.random.key_data of it")
    by_numpy(np.dtype(tensor.dtype), f"tensor {name!r}")
    return tensor.nbytes


def _to_array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor)


def _identity(tensor: Any) -> Hashable:
    """Arrays of JAX never change, so that only the object counts."""
    return id(tensor) if isinstance(tensor, jax.Array) else None


_ADAPTER = Adapter(_nbytes, _to_array, _identity)
