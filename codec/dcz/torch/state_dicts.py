"""State dicts of models that are being pruned or clustered, and the plain tensors they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod

from dcz.torch.parametrizations import masked, spread

# Names that parametrizations, and `torch.nn.utils.prune`, give to what a weight is made from.
_ORIGINAL = ".original"
_PREFIX = "parametrizations."
_PRUNED, _MASK = "_orig", "_mask"


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


def pruned_by_torch(model: nn.Module) -> set[str]:
    """Names of the parameters that `torch.nn.utils.prune` has split in a model: its hooks say so. A module may have a
    `weight_orig` and a `weight_mask` of its own, which mean something else."""
    out = set()
    for prefix, module in model.named_modules(remove_duplicate=False):
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, BasePruningMethod):
                out.add(f"{prefix}.{hook._tensor_name}" if prefix else hook._tensor_name)
    return out


def fuse(state: Mapping[str, Tensor], pruned: Iterable[str] | None = None) -> dict[str, Tensor]:
    """A state dict without parametrizations: `weight` for what `prune_` and `cluster_` made of it, and for the
    `weight_orig` and `weight_mask` of `torch.nn.utils.prune`. Pruned weights are 0, never -0.0. What was tied stays
    one tensor.

    Args:
        state: of a model.
        pruned: names of the weights that `torch.nn.utils.prune` has split. By default every pair of `*_orig` and
            `*_mask` of one shape whose mask holds only zeros and ones: a state dict alone does not tell.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(64, 64)
    >>> changed = dcz.torch.prune_(model, density=0.1)
    >>> list(model.state_dict())
    ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0.mask']
    >>> sorted(dcz.torch.fuse(model.state_dict()))
    ['bias', 'weight']
    """
    gone: set[str] = set()
    out: dict[str, Tensor] = {}
    shared: dict[tuple[object, ...], Tensor] = {}
    twins: dict[int, list[tuple[Tensor, Tensor]]] = {}  # masks of one original, and the weight under each
    with torch.no_grad():
        for name, (kind, tensors) in parametrized(state).items():
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
        for base in _pairs(state) if pruned is None else pruned:
            if base + _PRUNED in state and base + _MASK in state and base not in state:
                original, mask = state[base + _PRUNED].detach(), state[base + _MASK]
                twin = next((at for at in twins.get(original.data_ptr(), ()) if torch.equal(at[0], mask)), None)
                if twin is None or not original.numel():
                    twin = mask, masked(original * mask, mask != 0)
                    twins.setdefault(original.data_ptr(), []).append(twin)
                out[base] = twin[1]
                gone |= {base + _PRUNED, base + _MASK}
    return {**{key: tensor for key, tensor in state.items() if key not in gone}, **out}


def _pairs(state: Mapping[str, Tensor]) -> list[str]:
    """Weights that look as `torch.nn.utils.prune` leaves them."""
    out = []
    for key, tensor in state.items():
        base = key.removesuffix(_PRUNED)
        mask = state.get(base + _MASK)
        if base != key and mask is not None and mask.shape == tensor.shape and bool(((mask == 0) | (mask == 1)).all()):
            out.append(base)
    return out


def split(state: dict[str, Tensor], expected: Iterable[str]) -> dict[str, Tensor]:
    """The inverse of `fuse`, in place, for a model that is still being pruned and `expects` both tensors: the mask is
    where the weight is not zero. Returns the masks of what was split, by the name of the weight."""
    expected = set(expected)
    masks = {}
    for name in expected:
        base = name.removesuffix(_PRUNED)
        if base != name and base in state and base not in expected and base + _MASK in expected and name not in state:
            weight = state.pop(base)
            masks[name] = weight != 0
            state[name], state[base + _MASK] = weight, masks[name].to(weight.dtype)
    return masks
