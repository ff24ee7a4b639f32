"""Weights for models whose parameters `torch.nn.utils.prune` has split into `weight_orig` and `weight_mask`."""

from __future__ import annotations

from collections.abc import Iterable

import torch

_ORIGINAL, _MASK = "_orig", "_mask"


def split(state: dict[str, torch.Tensor], expected: Iterable[str]) -> None:
    """The inverse of `trained.fuse`, in place, for a model that is still being pruned and `expects` both: the mask
    is where the weight is not zero."""
    expected = set(expected)
    for name in expected:
        base = name.removesuffix(_ORIGINAL)
        if base != name and base in state and base not in expected and base + _MASK in expected and name not in state:
            weight = state.pop(base)
            state[name], state[base + _MASK] = weight, (weight != 0).to(weight.dtype)
