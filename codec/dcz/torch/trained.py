"""What `prune_` and `cluster_` leave in a state dict, and the plain tensors it stands for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dcz.torch.parametrizations import masked, spread

_ORIGINAL = ".original"
_PREFIX = "parametrizations."


def parametrized(state: Mapping[str, Tensor]) -> dict[str, tuple[str, dict[str, Tensor]]]:
    """Parameters that are pruned ("pruned": original, mask) or clustered ("clustered": original, index)."""
    out: dict[str, tuple[str, dict[str, Tensor]]] = {}
    for key, original in state.items():
        stem = key.removesuffix(_ORIGINAL)
        before, found, name = stem.rpartition(_PREFIX)
        if stem == key or not found or "." in name:
            continue
        mask, index = state.get(f"{stem}.0.mask"), state.get(f"{stem}.0.index")
        if mask is not None and mask.dtype == torch.bool:
            out[before + name] = "pruned", {"original": original, "mask": mask}
        elif index is not None:
            out[before + name] = "clustered", {"original": original, "index": index}
    return out


def fuse(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict without parametrizations: `weight` for what `prune_` and `cluster_` made of it, and for the
    `weight_orig` and `weight_mask` of `torch.nn.utils.prune`. Pruned weights are 0, never -0.0. What was tied stays
    one tensor.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(64, 64)
    >>> touched = dcz.torch.prune_(model, density=0.1)
    >>> list(model.state_dict())
    ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0.mask']
    >>> sorted(dcz.torch.fuse(model.state_dict()))
    ['bias', 'weight']
    """
    found = parametrized(state)
    gone = set()
    out: dict[str, Tensor] = {}
    shared: dict[tuple, Tensor] = {}
    with torch.no_grad():
        for name, (kind, tensors) in found.items():
            before, _, last = name.rpartition(".")
            stem = f"{before}{'.' if before else ''}{_PREFIX}{last}"
            other = "mask" if kind == "pruned" else "index"
            gone |= {stem + _ORIGINAL, f"{stem}.0.{other}"}
            make = masked if kind == "pruned" else spread
            original, buffer = tensors["original"].detach(), tensors[other]
            same = (original.data_ptr(), original.shape, original.dtype, buffer.data_ptr(), buffer.shape)
            if same not in shared or not original.numel():
                shared[same] = make(original, buffer)
            out[name] = shared[same]
        for key, tensor in state.items():
            base = key.removesuffix("_orig")
            if base != key and f"{base}_mask" in state and base not in state:
                mask = state[f"{base}_mask"]
                out[base] = masked(tensor.detach() * mask, mask != 0)
                gone |= {key, f"{base}_mask"}
    return {**{key: tensor for key, tensor in state.items() if key not in gone}, **out}
