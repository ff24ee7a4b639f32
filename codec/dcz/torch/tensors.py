"""Tensors of PyTorch in and out of dcz files: the data is shared with numpy's arrays, never copied on the CPU."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from dcz import numpy as arrays
from dcz.adapters import Adapter, Progress, convert_all, save_bytes, save_tensors
from dcz.container.opening import open_file
from dcz.dtypes import DTYPES, Dtype, by_numpy
from dcz.errors import DczError, UnsupportedError

# Those of dcz's dtypes that this version of torch has; they are called the same.
_TORCH = {code: getattr(torch, dtype.name) for code, dtype in DTYPES.items() if hasattr(torch, dtype.name)}
CODES = {dtype: code for code, dtype in _TORCH.items()}
# Those that numpy has too; of the others torch sees the bytes.
_SHARED = frozenset(DTYPES[code].numpy() for code in _TORCH if DTYPES[code].in_numpy)


def save_file(
    tensors: Mapping[str, torch.Tensor],
    file: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes tensors to a dcz file, bit for bit; options as in `dcz.save_file`.

    Tensors on any device, of any strides; those that are the same memory (tied weights) are stored once, under
    all their names. What has no values or no dense memory (meta, sparse, quantized) is refused.

    Raises:
        UnsupportedError: a dtype or kind of tensor that cannot be stored.
        DczError: names, metadata or options that make no sense.

    >>> import torch, dcz.torch
    >>> weight = torch.zeros(256, 256, dtype=torch.bfloat16)
    >>> data = dcz.torch.save({"embed": weight, "head": weight})
    >>> tensors = dcz.torch.load(data)
    >>> tensors["embed"] is tensors["head"], tensors["head"].dtype
    (True, torch.bfloat16)
    """
    save_tensors(_ADAPTER, tensors, file, metadata=metadata, profile=profile, threads=threads, progress=progress)


def save(
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
) -> bytes:
    """The same file as bytes; see `save_file`."""
    return save_bytes(save_file, tensors, metadata=metadata, profile=profile, threads=threads)


def load_file(
    file: str | os.PathLike[str] | bytes | BinaryIO,
    device: str | int | torch.device = "cpu",
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, torch.Tensor] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Reads tensors from a dcz file; options as in `dcz.load_file`.

    Args:
        file: a path, bytes, or a seekable binary file object.
        device: where the tensors go. On "cpu" they are the decoded memory itself; to another device each is copied
            and then let go; on "meta" nothing is read but the index.
        out: contiguous tensors on the CPU to decode into, with the shapes and dtypes of the file.

    Returns:
        Names to contiguous tensors; names of the same tensor give the same object.

    >>> import torch, dcz.torch
    >>> data = dcz.torch.save({"w": torch.arange(3)})
    >>> dcz.torch.load_file(data)
    {'w': tensor([0, 1, 2])}
    >>> dcz.torch.load_file(data, device="meta")["w"].shape
    torch.Size([3])
    """
    device = torch.device(device)
    if device.type == "meta":
        if out:
            raise DczError("out: the meta device has no memory to decode into")
        return _load_meta(file, names)
    targets = {name: _memory(tensor, name) for name, tensor in (out or {}).items()}
    found = arrays.load_file(file, names=names, threads=threads, out=targets, max_bytes=max_bytes, progress=progress)
    made = {id(array): out[name] for name, array in targets.items()} if out else {}
    if device.type != "cpu":
        return convert_all(lambda array, name: made.get(id(array), from_array(array, name)).to(device), found)
    tensors: dict[str, torch.Tensor] = {}
    for name, array in found.items():
        tensor = made.get(id(array))
        if tensor is None:
            tensor = made[id(array)] = from_array(array, name)
        tensors[name] = tensor
    return tensors


def load(data: bytes, device: str | int | torch.device = "cpu", **options: object) -> dict[str, torch.Tensor]:
    """The tensors of a dcz file held in memory; options as in `load_file`."""
    return load_file(data, device, **options)  # type: ignore[arg-type]


def from_array(array: NDArray, name: str) -> torch.Tensor:
    """The tensor over a C-contiguous array's memory."""
    if array.dtype in _SHARED:
        return torch.from_numpy(array)
    dtype = torch_dtype(by_numpy(array.dtype, name), name)
    return torch.from_numpy(array.reshape(-1).view(np.uint8)).view(dtype).reshape(array.shape)


def torch_dtype(dtype: Dtype, name: str) -> torch.dtype:
    """What torch calls a dtype."""
    found = _TORCH.get(dtype.code)
    if found is None:
        raise UnsupportedError(f"tensor {name!r}: torch has no dtype {dtype.name}; read it with dcz.load_file")
    return found


def _load_meta(file: str | os.PathLike[str] | bytes | BinaryIO, names: Iterable[str] | None) -> dict[str, torch.Tensor]:
    """Shapes and dtypes alone."""
    with open_file(file) as reader:
        made: dict[str, torch.Tensor] = {}
        out = {}
        for name in reader if names is None else names:
            info = reader.info(name)
            if info.name not in made:
                made[info.name] = torch.empty(info.shape, dtype=torch_dtype(DTYPES[info.dtype], name), device="meta")
            out[name] = made[info.name]
        return out


def nbytes(tensor: object, name: str) -> int:
    """The bytes of a tensor's elements; raises `UnsupportedError` for what cannot be stored."""
    if not isinstance(tensor, torch.Tensor):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected a torch.Tensor, found {kind}")
    if tensor.layout != torch.strided or tensor.is_nested:
        raise UnsupportedError(f"tensor {name!r}: its layout is {tensor.layout}; store .to_dense(), dcz packs zeros")
    if tensor.is_quantized:
        raise UnsupportedError(f"tensor {name!r}: is quantized; store .int_repr(), .q_scale() and .q_zero_point()")
    if tensor.is_meta:
        raise UnsupportedError(f"tensor {name!r}: is on the meta device and has no values")
    if tensor.dtype not in CODES:
        allowed = ", ".join(str(dtype) for dtype in CODES)
        raise UnsupportedError(f"tensor {name!r}: dtype {tensor.dtype} cannot be stored; allowed are {allowed}")
    return tensor.numel() * tensor.element_size()


def to_array(tensor: torch.Tensor) -> NDArray:
    """The tensor's elements; the same memory where it is on the CPU and contiguous."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if plain.numel() and plain.stride(0) != 1:  # a single element may still have any stride
        plain = plain.clone(memory_format=torch.contiguous_format).as_strided((1,), (1,))
    return plain.view(torch.uint8).numpy().view(DTYPES[CODES[tensor.dtype]].numpy()).reshape(tuple(tensor.shape))


def identity(tensor: torch.Tensor) -> Hashable:
    """Equal for tensors that are the same memory, read the same way; None for one without memory."""
    memory = tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
    return (*memory, tensor.is_conj(), tensor.is_neg()) if tensor.data_ptr() else None


def _memory(tensor: object, name: str) -> NDArray:
    """The array over the memory of a tensor to decode into."""
    nbytes(tensor, f"out: {name}")
    assert isinstance(tensor, torch.Tensor)
    if tensor.device.type != "cpu" or not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
        raise DczError(f"out: tensor {name!r} must be contiguous and on the CPU")
    return to_array(tensor)


_ADAPTER = Adapter(nbytes, to_array, identity)
