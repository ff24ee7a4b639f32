"""The weights of a module: which of them can be pruned or clustered, and their parametrizations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dcz.errors import DczError
from dcz.lossy.selection import check_patterns, matches, select
from dcz.torch.parametrizations import Mask, SharedWeights


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A parameter and all places where a model has it: more than one where weights are tied."""

    places: list[tuple[nn.Module, str]]
    names: list[str]

    def value(self) -> Tensor:
        module, name = self.places[0]
        return getattr(module, name)


def all_weights(model: nn.Module) -> dict[str, Weight]:
    """All parameters by their first name, those that are parametrized too."""
    found: dict[int, Weight] = {}
    for name, module, key, parameter in _parameters(model):
        weight = found.setdefault(id(parameter), Weight([], []))
        weight.names.append(name)
        if not any(module is known and key == name_ for known, name_ in weight.places):
            weight.places.append((module, key))
    return {weight.names[0]: weight for weight in found.values()}


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Name, module, name in the module, and what an optimizer sees of it."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, parametrize.ParametrizationList) or "parametrizations" in prefix.split("."):
            continue
        front = f"{prefix}." if prefix else ""
        for key, parameter in module.named_parameters(recurse=False):
            yield front + key, module, key, parameter
        if parametrize.is_parametrized(module):
            for key, each in module.parametrizations.items():
                if is_ours(each):
                    yield front + key, module, key, each.original


def is_ours(each: nn.Module) -> bool:
    return len(each) == 1 and isinstance(each[0], (Mask, SharedWeights))


def parametrization_of(weight: Weight) -> nn.Module | None:
    module, name = weight.places[0]
    if not parametrize.is_parametrized(module, name):
        return None
    return module.parametrizations[name][0]


def kind_of(weight: Weight) -> type | None:
    found = parametrization_of(weight)
    return None if found is None else type(found)


def eligible(
    model: nn.Module, names: Iterable[str] | None, weight_threshold: int
) -> tuple[dict[str, Weight], dict[str, np.ndarray], dict[str, str]]:
    """All weights, arrays of those to work on, and why the others are left alone.

    A tied weight goes by the first of its names that `names` matches: it is one tensor, whichever module is meant."""
    wanted = None if names is None else [names] if isinstance(names, str) else list(names)
    weights = {_called(weight, wanted): weight for weight in all_weights(model).values()}
    unfit = {name: reason for name, weight in weights.items() if (reason := _unfit(weight)) is not None}
    unfit.update(dict.fromkeys(_foreign(model), _FOREIGN))
    check_patterns(wanted or (), [*weights, *unfit], "names")
    for name in (name for name in wanted or () if name in unfit):
        raise DczError(f"tensor {name!r}: cannot be changed: {unfit[name]}")
    arrays = {name: to_numpy(weight.value()) for name, weight in weights.items() if name not in unfit}
    if wanted is not None:
        wanted = [pattern for pattern in wanted if any(matches(name, pattern) for name in arrays)]
    chosen, skipped = select(arrays, wanted, weight_threshold, False)
    return weights, {name: arrays[name] for name in chosen}, {**skipped, **unfit}


def _called(weight: Weight, wanted: list[str] | None) -> str:
    return next(
        (name for name in weight.names if any(matches(name, pattern) for pattern in wanted or ())), weight.names[0]
    )


_FOREIGN = (
    "another parametrization computes it (such as weight_norm or spectral_norm); take that off with "
    "torch.nn.utils.parametrize.remove_parametrizations, and put it on again afterwards if need be"
)


def _foreign(model: nn.Module) -> Iterator[str]:
    """Names of the tensors that parametrizations other than ours compute."""
    for prefix, module in model.named_modules(remove_duplicate=False):
        if parametrize.is_parametrized(module):
            for key, each in module.parametrizations.items():
                if not is_ours(each):
                    yield f"{prefix}.{key}" if prefix else key


def _unfit(weight: Weight) -> str | None:
    """The reason why torch cannot parametrize it; None if it can."""
    for module, name in weight.places:
        if isinstance(module, nn.RNNBase):
            return "recurrent layers keep a second list of their weights, which parametrizations do not reach"
        if getattr(module, "max_norm", None) is not None or getattr(module, "sparse", False) is True:
            return "embeddings with max_norm or sparse gradients change their weights in place"
        if isinstance(getattr(module, name), nn.parameter.UninitializedParameter):
            return "it has no shape yet; run the model once"
    return None


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The values, in float32 where numpy lacks the dtype."""
    tensor = tensor.detach().cpu()
    if tensor.dtype.is_floating_point and tensor.dtype not in (torch.float32, torch.float64, torch.float16):
        tensor = tensor.to(torch.float32)
    return tensor.numpy()


def put_mask(weight: Weight, mask: Tensor) -> None:
    """New values for the mask there is, or a first one."""
    found = parametrization_of(weight)
    if isinstance(found, Mask):
        found.mask.copy_(mask)
        return
    parametrization = Mask(mask.to(weight.value().device, copy=True))
    for module, name in weight.places:
        parametrize.register_parametrization(module, name, parametrization)


def put_codebook(weight: Weight, index: Tensor, codebook: Tensor) -> None:
    value = weight.value()
    parametrization = SharedWeights(index.to(value.device, copy=True), codebook.detach().to(value, copy=True))
    for module, name in weight.places:
        # Of tied weights the second is a codebook already, and would not pass the check of shapes.
        parametrize.register_parametrization(module, name, parametrization, unsafe=True)


def take_off(weight: Weight) -> None:
    """The parameter as the model computes with it; the same object."""
    if parametrization_of(weight) is None:
        return
    first = True
    for module, name in weight.places:
        if not is_ours(module.parametrizations[name]):
            return
        parametrize.remove_parametrizations(module, name, leave_parametrized=first)
        first = False  # tied: the parameter has its values back
