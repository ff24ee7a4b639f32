"""Models of PyTorch: their state dicts, with tied weights and pruning masks as a file should have them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from dcz.adapters import Progress
from dcz.errors import DczError
from dcz.text import plural
from dcz.torch.parametrizations import masked
from dcz.torch.state_dicts import fuse, pruned_by_torch, split
from dcz.torch.tensors import load_file, save_file


def save_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    force_contiguous: bool = True,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a model's state dict to a dcz file; options as in `save_file`.

    Tied weights are stored once, under all their names. A parameter that `prune_`, `cluster_` or
    `torch.nn.utils.prune` has taken apart is stored as the `weight` the model computes with.

    Args:
        force_contiguous: store tensors of any memory layout, in C order. False refuses those that are not contiguous.

    >>> import io, torch, dcz.torch
    >>> file, model = io.BytesIO(), torch.nn.Linear(3, 2)
    >>> dcz.torch.save_model(model, file)
    >>> sorted(dcz.torch.load(file.getvalue()))
    ['bias', 'weight']
    """
    state = fuse(model.state_dict(), pruned_by_torch(model))
    if not force_contiguous:
        for name, tensor in state.items():
            if not tensor.is_contiguous():
                raise DczError(
                    f"tensor {name!r}: is not contiguous, its strides are {tuple(tensor.stride())}; make it so with "
                    ".contiguous(), or use save_model(..., force_contiguous=True)"
                )
    save_file(state, filename, metadata, profile=profile, threads=threads, progress=progress)


class _Tie(NamedTuple):
    """Names of one tensor of a model; `parameter` says that it is one object, and not two of the same memory."""

    names: list[str]
    parameter: bool


def load_model(
    model: torch.nn.Module,
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    assign: bool = False,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[str], list[str]]:
    """Loads a dcz file into a model by `model.load_state_dict`, and returns missing and unexpected keys, as that does.

    Args:
        strict: whether names must agree exactly; one of several names of a tied weight is enough. Otherwise a second
            tensor for a tied weight is left out, and returned as unexpected.
        device: where the tensors are decoded to; the model's own stay where they are unless `assign`.
        backend: "mmap" or "pread", as in safetensors; both read alike here.
        assign: make the decoded tensors the model's own, without a copy and in the file's dtypes. This is how a
            model made on the meta device gets its weights. What was tied stays tied.

    Raises:
        RuntimeError: names, with `strict`, and shapes that do not agree; two different tensors in the file for a
            weight that the model ties; values that the model's dtype cannot hold. The last two leave the model
            unchanged.

    >>> import io, torch, dcz.torch
    >>> file = io.BytesIO()
    >>> dcz.torch.save_model(torch.nn.Linear(3, 2), file)
    >>> with torch.device("meta"):
    ...     model = torch.nn.Linear(3, 2)
    >>> dcz.torch.load_model(model, file.getvalue(), assign=True)
    <All keys matched successfully>
    >>> model(torch.zeros(1, 3)).shape
    torch.Size([1, 2])
    """
    state = load_file(filename, device, backend=backend, threads=threads, max_bytes=max_bytes, progress=progress)
    expected = model.state_dict()
    masks = split(state, expected.keys())
    ties = _ties(model)
    refused = [name for tie in ties for name in _join(tie.names, state, masks)]
    if strict and refused:
        raise RuntimeError(_conflict(model, ties, refused))
    if not assign:
        _check_ranges(state, expected)
    for tie in ties:
        state.update({name: state[tie.names[0]] for name in tie.names if name in refused})
    result = model.load_state_dict(state, strict=strict, assign=assign)
    if assign:
        for tie in ties:
            if tie.parameter and tie.names[0] in state:
                _tie(model, tie.names)
    result.unexpected_keys.extend(refused)
    return result


def _ties(model: torch.nn.Module) -> list[_Tie]:
    """Names that are one and the same parameter or buffer, or have the same memory."""
    objects: dict[object, list[str]] = {}
    for named in (model.named_parameters, model.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            objects.setdefault(id(tensor), []).append(name)
    memories: dict[object, list[str]] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if type(tensor) in (torch.nn.Parameter, Tensor) and tensor.layout == torch.strided and tensor.data_ptr():
            memory = tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()
            memories.setdefault(memory, []).append(name)
    same = [_Tie(names, True) for names in objects.values() if len(names) > 1]
    return same + [_Tie(names, False) for names in memories.values() if len(names) > 1]


def _join(names: list[str], state: dict[str, Tensor], masks: Mapping[str, Tensor]) -> list[str]:
    """Gives all names of a tied tensor the one that the file has, under whichever of them. Returns names that the
    file has another tensor for, which are taken out. `masks` are of weights that are stored without what they mask:
    such a one is the tied tensor if it is so under its mask."""
    present = sorted((name for name in names if name in state), key=lambda name: name in masks)
    if not present:
        return []
    first, refused = state[present[0]], []
    for name in present[1:]:
        tensor = state[name]
        whole = masked(first, masks[name]) if name in masks and masks[name].shape == first.shape else first
        if tensor is not first and not _same_bits(tensor, whole):
            refused.append(name)
            del state[name]
    state.update({name: first for name in names if name not in refused})
    return refused


def _same_bits(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def _conflict(model: torch.nn.Module, ties: list[_Tie], refused: list[str]) -> str:
    """torch's own message for names too many, and why they are."""
    listed = ", ".join(f'"{name}"' for name in sorted(refused))
    text = f"Error(s) in loading state_dict for {type(model).__name__}:\n    Unexpected key(s) in state_dict: {listed}"
    for tie in ties:
        others = [name for name in tie.names if name in refused]
        if others:
            text += (
                f"\n    The model ties {', '.join(tie.names)}, and the file has different tensors for them; untie the "
                f"model, or load with strict=False, which leaves {', '.join(others)} out"
            )
    return text


def _check_ranges(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuses to narrow finite values to infinities, which `load_state_dict` does silently."""
    for name, tensor in state.items():
        own = expected.get(name)
        if own is None or own.dtype == tensor.dtype or not (tensor.is_floating_point() and own.is_floating_point()):
            continue
        if torch.finfo(own.dtype).max >= torch.finfo(tensor.dtype).max:
            continue
        beyond = int((torch.isfinite(tensor) & ~torch.isfinite(tensor.to(own.dtype).to(tensor.dtype))).sum())
        if beyond:
            raise RuntimeError(
                f"tensor {name!r}: {plural(beyond, 'value')} of {tensor.dtype} beyond the range of the model's "
                f"{own.dtype}; convert the model, or load with assign=True"
            )


def _tie(model: torch.nn.Module, names: list[str]) -> None:
    """Makes all of these names the first one's tensor again: assigning has given each a Parameter of its own."""

    def owner(name: str) -> tuple[torch.nn.Module, str]:
        path, _, leaf = name.rpartition(".")
        return model.get_submodule(path), leaf

    shared = getattr(*owner(names[0]))
    for name in names[1:]:
        module, leaf = owner(name)
        setattr(module, leaf, shared)
