"""Tensors of PyTorch in and out of dcz files: the data is shared with numpy's arrays, never copied on the CPU."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch._C._functorch import is_functorch_wrapped_tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.parameter import UninitializedTensorMixin
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from dcz.adapters import Adapter, Progress, check_backend, convert_all, save_bytes, save_tensors
from dcz.api import load_file as load_arrays
from dcz.dtypes import DTYPES, Dtype, by_numpy
from dcz.errors import DczError, UnsupportedError, locating
from dcz.io.sources import name_of
from dcz.plain.opening import open_any

# Of integers narrower than a byte torch has the names alone: no tensor of them can be made or converted.
_NAMES_ONLY = ("I2", "U2", "I4", "U4")
# Those of dcz's dtypes that this version of torch has; they are called the same.
_TORCH = {
    code: getattr(torch, dtype.name)
    for code, dtype in DTYPES.items()
    if hasattr(torch, dtype.name) and code not in _NAMES_ONLY
}
CODES = {dtype: code for code, dtype in _TORCH.items()}
# Two elements to a byte, the first in the low bits; in a file, as in numpy, each has a byte of its own.
_PAIRS = getattr(torch, "float4_e2m1fn_x2", None)
if _PAIRS is not None:
    _TORCH["F4"] = _PAIRS
    CODES[_PAIRS] = "F4"
# Those that numpy has too; of the others torch sees the bytes.
_SHARED = frozenset(DTYPES[code].numpy() for code in _TORCH if DTYPES[code].in_numpy)


def save_file(
    tensors: Mapping[str, torch.Tensor],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    portable: bool = False,
) -> None:
    """Writes tensors to a dcz file, bit for bit; options as in `dcz.save_file`.

    Tensors on any device, of any strides; those that are the same memory (tied weights) are stored once, under
    all their names. What has no values or no dense memory (meta, sparse, quantized) is refused.

    Raises:
        UnsupportedError: a dtype or kind of tensor that cannot be stored.
        DczError: invalid names, metadata or options.

    >>> import torch, dcz.torch
    >>> weight = torch.zeros(256, 256, dtype=torch.bfloat16)
    >>> data = dcz.torch.save({"embed": weight, "head": weight})
    >>> tensors = dcz.torch.load(data)
    >>> tensors["embed"] is tensors["head"], tensors["head"].dtype
    (True, torch.bfloat16)
    """
    save_tensors(
        _ADAPTER, tensors, filename, metadata=metadata, profile=profile, threads=threads, progress=progress,
        tensor_metadata=tensor_metadata, portable=portable,
    )  # fmt: skip


def save(
    tensors: Mapping[str, torch.Tensor],
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
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, torch.Tensor] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """Reads tensors from a dcz file; options as in `dcz.load_file`.

    Args:
        filename: a path, bytes, or a seekable binary file object.
        device: where the tensors go. On "cpu" they are the decoded memory itself; to another device each is copied
            and then freed; on "meta" nothing is read but the index.
        backend: "mmap" or "pread", as in safetensors; both read alike here.
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
    check_backend(backend)
    device = torch.device(device)
    if device.type == "meta":
        if out:
            raise DczError("out: the meta device has no memory to decode into")
        with locating(name_of(filename)):
            return _load_meta(filename, names)
    targets = {name: _memory(tensor, name) for name, tensor in (out or {}).items()}
    with locating(name_of(filename)):
        found = load_arrays(filename, names=names, threads=threads, out=targets, max_bytes=max_bytes, progress=progress)
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


def load(
    data: bytes,
    device: str | int | torch.device = "cpu",
    *,
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, torch.Tensor] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors of a dcz file held in memory; see `load_file`."""
    return load_file(data, device, names=names, threads=threads, out=out, max_bytes=max_bytes, progress=progress)


def from_array(array: NDArray[Any], name: str, device: str | int | torch.device = "cpu") -> torch.Tensor:
    """The tensor over a C-contiguous array's memory, or on another device its copy."""
    return _on_cpu(array, name).to(device)


def _on_cpu(array: NDArray[Any], name: str) -> torch.Tensor:
    if array.dtype in _SHARED:
        return torch.from_numpy(array)
    dtype = torch_dtype(by_numpy(array.dtype, name), name)
    if dtype == _PAIRS:
        return _packed(array, name)
    return torch.from_numpy(array.reshape(-1).view(np.uint8)).view(dtype).reshape(array.shape)


def torch_dtype(dtype: Dtype, name: str) -> torch.dtype:
    """Torch's name of a dtype."""
    found = _TORCH.get(dtype.code)
    if found is None:
        raise UnsupportedError(f"tensor {name!r}: torch has no dtype {dtype.name}; read it with dcz.load_file")
    return found


def _packed(array: NDArray[Any], name: str) -> torch.Tensor:
    """Elements of four bits two to a byte, as torch has them."""
    if not array.ndim or array.shape[-1] % 2:
        raise UnsupportedError(
            f"tensor {name!r}: torch has no {array.dtype} but in pairs, and shape {array.shape} has an odd last "
            "dimension; read it with dcz.load_file"
        )
    each = array.view(np.uint8)
    return torch.from_numpy(each[..., ::2] | each[..., 1::2] << 4).view(_PAIRS)


def _unpacked(tensor: torch.Tensor) -> NDArray[Any]:
    """The inverse of `_packed`."""
    pairs = tensor.detach().cpu().contiguous().view(torch.uint8).numpy()
    each = np.stack([pairs & 15, pairs >> 4], axis=-1)
    return each.reshape(*pairs.shape[:-1], -1).view(DTYPES["F4"].numpy())


def _load_meta(
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO, names: Iterable[str] | None
) -> dict[str, torch.Tensor]:
    """Shapes and dtypes alone."""
    with open_any(filename) as reader:
        made: dict[str, torch.Tensor] = {}
        out = {}
        for name in reader if names is None else names:
            info = reader.info(name)
            if info.name not in made:
                dtype, shape = torch_dtype(DTYPES[info.dtype], name), info.shape
                if dtype == _PAIRS:
                    shape = (*shape[:-1], shape[-1] // 2)
                made[info.name] = torch.empty(shape, dtype=dtype, device="meta")
            out[name] = made[info.name]
        return out


def nbytes(tensor: object, name: str) -> int:
    """The bytes of a tensor's elements; raises `UnsupportedError` for what cannot be stored."""
    if not isinstance(tensor, torch.Tensor):
        kind = f"{type(tensor).__module__}.{type(tensor).__qualname__}"
        raise UnsupportedError(f"tensor {name!r}: expected a torch.Tensor, found {kind}")
    reason = _without_values(tensor)
    if reason is not None:
        raise UnsupportedError(f"tensor {name!r}: {reason}")
    if tensor.dtype not in CODES:
        allowed = ", ".join(str(dtype) for dtype in CODES)
        raise UnsupportedError(f"tensor {name!r}: dtype {tensor.dtype} cannot be stored; expected one of {allowed}")
    return math.prod(stored_shape(tensor)) * DTYPES[CODES[tensor.dtype]].itemsize


def stored_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape in a file: torch counts two elements of four bits as one."""
    shape = tuple(tensor.shape)
    return (*shape[:-1], 2 * shape[-1]) if tensor.dtype == _PAIRS else shape


def _without_values(tensor: torch.Tensor) -> str | None:
    """The reason why a tensor has no dense values of its own in memory, with a remedy; None if it has."""
    if isinstance(tensor, UninitializedTensorMixin):
        return "has no shape yet; run the model once, then save it"
    if isinstance(tensor, FakeTensor):
        return "is a fake tensor, which has a shape and no values; save outside of FakeTensorMode"
    if tensor.is_nested:
        return "is nested; store the tensors of .unbind() under names of their own, or .to_padded_tensor(0)"
    if tensor.layout != torch.strided:
        return f"its layout is {tensor.layout}; store .to_dense(), whose zeros take next to nothing here"
    if tensor.is_quantized:
        return "is quantized; store .int_repr(), .q_scale() and .q_zero_point()"
    if tensor.is_meta:
        return "is on the meta device and has no values; load or initialize them first"
    distributed = sys.modules.get("torch.distributed.tensor")
    if distributed is not None and isinstance(tensor, distributed.DTensor):
        return "is a distributed tensor; store .full_tensor(), which all ranks must call, or each rank's .to_local()"
    if is_traceable_wrapper_subclass(tensor):
        return f"is a {type(tensor).__qualname__}, made of other tensors; store those, or what .dequantize() gives"
    if is_functorch_wrapped_tensor(tensor):
        return "is being transformed by torch.func and has no values; save outside of vmap and grad"
    return None


def to_array(tensor: torch.Tensor) -> NDArray[Any]:
    """The tensor's elements; the same memory where it is on the CPU and contiguous."""
    if tensor.dtype == _PAIRS:
        return _unpacked(tensor)
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if plain.numel() and plain.stride(0) != 1:  # a single element may still have any stride
        plain = plain.clone(memory_format=torch.contiguous_format).as_strided((1,), (1,))
    return plain.view(torch.uint8).numpy().view(DTYPES[CODES[tensor.dtype]].numpy()).reshape(tuple(tensor.shape))


def identity(tensor: torch.Tensor) -> Hashable:
    """Equal for tensors that are the same memory, read the same way; None for one without memory."""
    memory = tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
    return (*memory, tensor.is_conj(), tensor.is_neg()) if tensor.data_ptr() else None


def _memory(tensor: object, name: str) -> NDArray[Any]:
    """The array over the memory of a tensor to decode into."""
    return memory(tensor, name, "out: ")


def memory(tensor: object, name: str, where: str = "") -> NDArray[Any]:
    """The array over the memory of a tensor that is written to; `where` begins the error for one without."""
    nbytes(tensor, f"{where}{name}")
    assert isinstance(tensor, torch.Tensor)
    if tensor.device.type != "cpu" or not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
        raise DczError(f"{where}tensor {name!r} must be contiguous and on the CPU")
    if tensor.dtype == _PAIRS:
        raise UnsupportedError(f"{where}tensor {name!r}: {_PAIRS} is packed after decoding; load it as a new tensor")
    return to_array(tensor)


_ADAPTER = Adapter(nbytes, to_array, identity)
