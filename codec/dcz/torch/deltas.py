"""Differences to a base for PyTorch: saved from state dicts, applied to tensors on the CPU and to living models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, BinaryIO

import torch
from numpy.typing import NDArray

from dcz.adapters import Progress
from dcz.delta import apply as applying
from dcz.delta import save as saving
from dcz.delta.apply import Applied
from dcz.delta.opening import open_stores
from dcz.delta.writer import Saved
from dcz.errors import DczError
from dcz.ties import Ties
from dcz.torch.tensors import from_array, identity, memory, nbytes, to_array


def save_delta(
    new: Mapping[str, torch.Tensor],
    filename: str | os.PathLike[str] | BinaryIO,
    *,
    base: Mapping[str, Any],
    transform: str = "auto",
    renames: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    progress: Progress | None = None,
) -> Saved:
    """Writes tensors as their differences to others; options as in `dcz.save_delta`.

    `base` has tensors or arrays: a dictionary, or what `dcz.open` gives.

    >>> import io, torch, dcz.torch
    >>> old, file = {"w": torch.zeros(1000, dtype=torch.bfloat16)}, io.BytesIO()
    >>> new = {"w": old["w"].clone()}
    >>> new["w"][3] = 1
    >>> dcz.torch.save_delta(new, file, base=old).changes
    1
    """
    return saving.save_delta(
        Arrays(new), filename, base=Arrays(base), transform=transform,
        renames=renames, metadata=metadata, profile=profile, threads=threads, tensor_metadata=tensor_metadata,
        progress=progress,
    )  # fmt: skip


def apply_delta(
    model: torch.nn.Module | MutableMapping[str, torch.Tensor],
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    verify: str = "full",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    state: Applied | None = None,
) -> Applied:
    """Turns the base into the new model where it is, as `dcz.apply_delta` does, whose options these are.

    Args:
        model: a module, whose parameters and buffers keep their memory, optimizers and graphs what they hold of them;
            or a dictionary of tensors, in which tensors come, move and go as the file says. What changes is contiguous
            and on the CPU.

    Raises:
        DczError: a tensor that cannot be changed in place; a module that would get, lose, rename or reshape a tensor.

    >>> import io, torch, dcz.torch
    >>> model, file = torch.nn.Linear(100, 100), io.BytesIO()
    >>> new = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    >>> new["bias"][:3] += 1
    >>> saved = dcz.torch.save_delta(new, file, base=model.state_dict())
    >>> dcz.torch.apply_delta(model, file.getvalue()).words
    3
    """
    if isinstance(model, torch.nn.Module):
        with open_stores(filename) as stores:
            return applying.apply_delta(
                _Memory(model.state_dict(keep_vars=True)), stores, verify=verify, names=names, threads=threads,
                state=state, fixed=True,
            )  # fmt: skip
    if not isinstance(model, MutableMapping):
        raise DczError(f"model: expected a module or a dictionary of tensors, found {type(model).__name__}")
    arrays = {name: memory(tensor, name) for name, tensor in model.items()}
    owners = {_address(array): model[name] for name, array in arrays.items()}
    with open_stores(filename) as stores:
        applied = applying.apply_delta(arrays, stores, verify=verify, names=names, threads=threads, state=state)
    made: dict[int, torch.Tensor] = {}
    result = {}
    for name, array in arrays.items():
        owner = owners.get(_address(array)) if array.nbytes else model.get(name)
        if owner is None or owner.numel() != array.size:
            owner = made.setdefault(id(array), from_array(array, name))
        result[name] = owner if tuple(owner.shape) == array.shape else owner.reshape(array.shape)
    for name in [name for name in model if name not in result]:
        del model[name]
    model.update(result)
    return applied


def undo_delta(
    model: torch.nn.Module | Mapping[str, torch.Tensor],
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    threads: int | None = None,
) -> int:
    """Takes back what `apply_delta` changed; see `dcz.undo_delta`.

    >>> import io, torch, dcz.torch
    >>> model, file = torch.nn.Linear(100, 100), io.BytesIO()
    >>> new = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    >>> saved = dcz.torch.save_delta(new, file, base=model.state_dict(), transform="step")
    >>> applied = dcz.torch.apply_delta(model, file.getvalue())
    >>> dcz.torch.undo_delta(model, file.getvalue())
    2
    """
    tensors = model.state_dict(keep_vars=True) if isinstance(model, torch.nn.Module) else model
    with open_stores(filename) as stores:
        return sum(applying.undo_delta(_Memory(tensors), store, threads=threads) for store in stores)


class Arrays(Mapping[str, NDArray[Any]]):
    """Tensors as arrays, converted when they are asked for; names of the same memory are `aliases` of the first."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors
        ties = Ties(lambda tensor: identity(tensor) if isinstance(tensor, torch.Tensor) else None)
        owners = {name: ties.owner(name, tensors[name]) for name in sorted(tensors)}
        self.aliases = {name: owner for name, owner in owners.items() if owner != name}

    def __getitem__(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        if not isinstance(tensor, torch.Tensor):
            return tensor
        nbytes(tensor, name)
        return to_array(tensor)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class _Memory(Mapping[str, NDArray[Any]]):
    """The memory of tensors on the CPU as arrays, each checked when it is asked for and then the same one."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}
        self._made: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            self._made[name] = memory(self._tensors[name], name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
