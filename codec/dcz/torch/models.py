"""Models of PyTorch: their state dicts, with tied weights and pruning masks as a file should have them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple

import torch

from dcz.adapters import Progress
from dcz.torch import masks
from dcz.torch.tensors import load_file, save_file
from dcz.torch.trained import fuse


def save_model(
    model: torch.nn.Module,
    file: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a model's state dict to a dcz file; options as in `save_file`.

    Tied weights are stored once, under all their names. A parameter that `prune_`, `cluster_` or
    `torch.nn.utils.prune` has taken apart is stored as the `weight` the model computes with.

    >>> import io, torch, dcz.torch
    >>> file, model = io.BytesIO(), torch.nn.Linear(3, 2)
    >>> dcz.torch.save_model(model, file)
    >>> sorted(dcz.torch.load(file.getvalue()))
    ['bias', 'weight']
    """
    state = fuse(model.state_dict())
    save_file(state, file, metadata, profile=profile, threads=threads, progress=progress)


def load_model(
    model: torch.nn.Module,
    file: str | os.PathLike[str] | bytes | BinaryIO,
    strict: bool = True,
    device: str | int | torch.device = "cpu",
    *,
    assign: bool = False,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> NamedTuple:
    """Loads a dcz file into a model by `model.load_state_dict`, and returns what that returns: missing and
    unexpected keys.

    Args:
        strict: whether names must agree exactly; one of several names of a tied weight is enough.
        device: where the tensors are decoded to; the model's own stay where they are unless `assign`.
        assign: make the decoded tensors the model's own, without a copy and in the file's dtypes. This is how a
            model made on the meta device gets its weights. What was tied stays tied.

    Raises:
        RuntimeError: torch's own, for names, with `strict`, and for shapes that do not agree.

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
    ties = _ties(model)
    state = load_file(file, device, threads=threads, max_bytes=max_bytes, progress=progress)
    masks.split(state, model.state_dict().keys())
    for names in ties:
        present = [name for name in names if name in state]
        for name in names:
            if present and name not in state:
                state[name] = state[present[0]]
    result = model.load_state_dict(state, strict=strict, assign=assign)
    if assign:
        for names in ties:
            if all(name in state and state[name] is state[names[0]] for name in names):
                _tie(model, names)
    return result


def _ties(model: torch.nn.Module) -> list[list[str]]:
    """Names that are one and the same parameter or buffer."""
    groups: dict[int, list[str]] = {}
    for named in (model.named_parameters, model.named_buffers):
        for name, tensor in named(remove_duplicate=False):
            groups.setdefault(id(tensor), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _tie(model: torch.nn.Module, names: list[str]) -> None:
    """Makes all of these names the first one's tensor again: assigning has given each a Parameter of its own."""

    def owner(name: str) -> tuple[torch.nn.Module, str]:
        path, _, leaf = name.rpartition(".")
        return model.get_submodule(path), leaf

    shared = getattr(*owner(names[0]))
    for name in names[1:]:
        module, leaf = owner(name)
        setattr(module, leaf, shared)
