"""Masks of `torch.nn.utils.prune`: `weight_orig` and `weight_mask`, of which a file needs the product alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

_ORIGINAL, _MASK = "_orig", "_mask"


def fuse(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict in which pruned parameters are `weight` again: the original where the mask is not zero, and
    zero, never -0.0, elsewhere.

    >>> import torch
    >>> state = {"fc.weight_orig": torch.tensor([-1.0, 2.0]), "fc.weight_mask": torch.tensor([0.0, 1.0])}
    >>> fuse(state)
    {'fc.weight': tensor([0., 2.])}
    """
    out = {}
    for name, tensor in state.items():
        base = name.removesuffix(_ORIGINAL)
        if name.endswith(_MASK) and name.removesuffix(_MASK) + _ORIGINAL in state:
            continue
        if name.endswith(_ORIGINAL) and base + _MASK in state and base not in state:
            mask = state[base + _MASK]
            out[base] = torch.where(mask != 0, tensor * mask, torch.zeros((), dtype=tensor.dtype, device=tensor.device))
        else:
            out[name] = tensor
    return out


def split(state: dict[str, torch.Tensor], expected: Iterable[str]) -> None:
    """The other way round, in place, for a model that is still being pruned and `expects` both: the mask is where
    the weight is not zero."""
    expected = set(expected)
    for name in expected:
        base = name.removesuffix(_ORIGINAL)
        if base != name and base in state and base not in expected and base + _MASK in expected and name not in state:
            weight = state.pop(base)
            state[name], state[base + _MASK] = weight, (weight != 0).to(weight.dtype)
