"""Prune, cluster and train a model in place (Han et al. 2016, sections 2 and 3.3), with any optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dcz.errors import DczError
from dcz.lossy.clustering import check_importance, cluster_array
from dcz.lossy.config import ClusterConfig, PruneConfig
from dcz.lossy.lloyd import MAX_ITER
from dcz.lossy.pruning import masks
from dcz.lossy.selection import WEIGHT_THRESHOLD, check_patterns, matches, select
from dcz.torch.parametrizations import Mask, SharedWeights, index_of
from dcz.torch.state_dicts import parametrized


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of `prune_` or `cluster_`: `density` is the fraction of weights each tensor keeps, `skipped` says why
    others were left alone."""

    density: dict[str, float]
    skipped: dict[str, str]


def prune_(
    model: nn.Module,
    *,
    density: float | None = None,
    threshold: float | None = None,
    quality: float | None = None,
    n_m_ratio: tuple[int, int] | None = None,
    block_size: int | tuple[int, ...] | None = None,
    dim: int | None = None,
    scope: str = "tensor",
    names: Iterable[str] | None = None,
    weight_threshold: int = WEIGHT_THRESHOLD,
) -> Changed:
    """Prunes a model's weights in place and keeps them pruned while it is trained.

    Arguments are those of `dcz.prune`. The optimizer may exist already: parameters stay the same objects. Called
    again, as in iterative pruning, it makes new masks from the masked weights: what was pruned stays so. Masks are
    buffers, so `model.state_dict()` is a checkpoint; `resume_` puts it back into a fresh model.

    Raises:
        DczError: as `dcz.prune`; or a weight that is clustered already.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(64, 64)
    >>> dcz.torch.prune_(model, density=0.1).density
    {'weight': 0.10009765625}
    >>> optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    >>> model(torch.ones(1, 64)).sum().backward(); optimizer.step()
    >>> int((model.weight != 0).sum())
    410
    """
    config = PruneConfig(
        density=density,
        threshold=threshold,
        quality=quality,
        n_m_ratio=n_m_ratio,
        block_size=block_size,
        dim=dim,
        scope=scope,
    )
    weights, arrays, skipped = _eligible(model, names, weight_threshold)
    for name in arrays:
        if _kind(weights[name]) is SharedWeights:
            raise DczError(f"tensor {name!r}: is clustered already; prune first, or call finalize_ before")
    with torch.no_grad():
        found = masks(arrays, config)
        for name, mask in found.items():
            _mask(weights[name], torch.from_numpy(mask))
    return Changed({name: float(np.count_nonzero(mask)) / mask.size for name, mask in found.items()}, skipped)


def cluster_(
    model: nn.Module,
    *,
    n_bits: int | None = None,
    n_clusters: int | None = None,
    init: str = "linear",
    entropy: float = 0.0,
    importance: Mapping[str, np.ndarray] | None = None,
    codebook_dtype: str | None = None,
    granularity: str = "per_tensor",
    group_size: int | None = None,
    seed: int = 0,
    max_iter: int = MAX_ITER,
    names: Iterable[str] | None = None,
    weight_threshold: int = WEIGHT_THRESHOLD,
) -> Changed:
    """Replaces a model's weights in place by codebook values that are shared and trained: the gradient of each is
    the sum of those of its weights (Han et al. 2016, section 3.3, Figure 3). Zeros stay zeros.

    Arguments are those of `dcz.cluster`. Make the optimizer afterwards: parameters are the same objects, but now
    hold codebooks, which the state that an optimizer has kept of them does not fit.

    Raises:
        DczError: as `dcz.cluster`; or a weight that is clustered already.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(64, 64)
    >>> touched = dcz.torch.cluster_(model, n_bits=3)
    >>> [tuple(parameter.shape) for parameter in model.parameters()], len(model.weight.unique())
    ([(64,), (1, 8)], 8)
    """
    config = ClusterConfig(
        n_bits=n_bits,
        n_clusters=n_clusters,
        init=init,
        entropy=entropy,
        codebook_dtype=codebook_dtype,
        granularity=granularity,
        group_size=group_size,
        seed=seed,
        max_iter=max_iter,
    )
    weights, arrays, skipped = _eligible(model, names, weight_threshold)
    importance = check_importance(importance, arrays)
    for name in arrays:
        if _kind(weights[name]) is SharedWeights:
            raise DczError(f"tensor {name!r}: is clustered already; call finalize_ before clustering it again")
    density = {}
    for name, array in arrays.items():
        found = cluster_array(array, config, importance=importance.get(name), name=name)
        weight = weights[name]
        mask = torch.from_numpy(found.mask)
        index = index_of(torch.from_numpy(found.indices.astype(np.int32)), mask, found.k)
        codebook = torch.from_numpy(np.ascontiguousarray(found.codebook))
        _plain(weight)
        _share(weight, index, codebook)
        density[name] = len(found.indices) / max(found.mask.size, 1)
    return Changed(density, skipped)


def finalize_(model: nn.Module) -> nn.Module:
    """Makes what `prune_` and `cluster_` left of a model plain parameters again, in place, with the values it
    computes with, and returns the model. Pruned weights are 0, never -0.0.

    >>> import torch, dcz.torch
    >>> model = torch.nn.Linear(64, 64)
    >>> touched = dcz.torch.cluster_(model, n_bits=3)
    >>> sorted(dcz.torch.finalize_(model).state_dict())
    ['bias', 'weight']
    """
    for weight in _weights(model).values():
        _plain(weight)
    return model


def resume_(model: nn.Module, state: Mapping[str, Tensor], strict: bool = True) -> object:
    """Loads a checkpoint made between `prune_` or `cluster_` and `finalize_` into a model as it was before them, or
    as it is now: whatever the checkpoint has pruned or clustered is so again. Returns what `load_state_dict` does.

    Make the optimizer, and load its state, afterwards.

    Raises:
        DczError: masks or codebooks for a parameter that the model lacks.

    >>> import torch, dcz.torch
    >>> model, fresh = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)
    >>> touched = dcz.torch.prune_(model, density=0.1)
    >>> dcz.torch.resume_(fresh, model.state_dict())
    <All keys matched successfully>
    >>> bool((fresh.weight == model.weight).all())
    True
    """
    weights = _weights(model)
    owners = {name: weight for weight in weights.values() for name in weight.names}
    done: set[int] = set()
    for name, (kind, tensors) in parametrized(state).items():
        if name not in owners:
            raise DczError(f"the checkpoint has {kind} weights for {name!r}, which the model lacks")
        weight = owners[name]
        if id(weight) in done:
            continue
        done.add(id(weight))
        _plain(weight)
        with torch.no_grad():
            if kind == "pruned":
                _mask(weight, tensors["mask"])
            else:
                _share(weight, tensors["index"], tensors["original"])
    return model.load_state_dict(state, strict=strict)


@dataclass(frozen=True, slots=True, eq=False)
class _Weight:
    """A parameter and all places where a model has it: more than one where weights are tied."""

    places: list[tuple[nn.Module, str]]
    names: list[str]

    def value(self) -> Tensor:
        module, name = self.places[0]
        return getattr(module, name)


def _weights(model: nn.Module) -> dict[str, _Weight]:
    """All parameters by their first name, those that are parametrized too."""
    found: dict[int, _Weight] = {}
    for name, module, key, parameter in _parameters(model):
        weight = found.setdefault(id(parameter), _Weight([], []))
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
                if _ours(each):
                    yield front + key, module, key, each.original


def _ours(each: nn.Module) -> bool:
    return len(each) == 1 and isinstance(each[0], (Mask, SharedWeights))


def _parametrization(weight: _Weight) -> nn.Module | None:
    module, name = weight.places[0]
    if not parametrize.is_parametrized(module, name):
        return None
    return module.parametrizations[name][0]


def _kind(weight: _Weight) -> type | None:
    found = _parametrization(weight)
    return None if found is None else type(found)


def _eligible(
    model: nn.Module, names: Iterable[str] | None, weight_threshold: int
) -> tuple[dict[str, _Weight], dict[str, np.ndarray], dict[str, str]]:
    """All weights, arrays of those to work on, and why the others are left alone.

    A tied weight goes by the first of its names that `names` matches: it is one tensor, whichever module is meant."""
    wanted = None if names is None else [names] if isinstance(names, str) else list(names)
    weights = {_called(weight, wanted): weight for weight in _weights(model).values()}
    unfit = {name: reason for name, weight in weights.items() if (reason := _unfit(weight)) is not None}
    unfit.update(dict.fromkeys(_foreign(model), _FOREIGN))
    check_patterns(wanted or (), [*weights, *unfit], "names")
    for name in (name for name in wanted or () if name in unfit):
        raise DczError(f"tensor {name!r}: cannot be changed: {unfit[name]}")
    arrays = {name: _array(weight.value()) for name, weight in weights.items() if name not in unfit}
    if wanted is not None:
        wanted = [pattern for pattern in wanted if any(matches(name, pattern) for name in arrays)]
    chosen, skipped = select(arrays, wanted, weight_threshold, False)
    return weights, {name: arrays[name] for name in chosen}, {**skipped, **unfit}


def _called(weight: _Weight, wanted: list[str] | None) -> str:
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
                if not _ours(each):
                    yield f"{prefix}.{key}" if prefix else key


def _unfit(weight: _Weight) -> str | None:
    """The reason why torch cannot parametrize it; None if it can."""
    for module, name in weight.places:
        if isinstance(module, nn.RNNBase):
            return "recurrent layers keep a second list of their weights, which parametrizations do not reach"
        if getattr(module, "max_norm", None) is not None or getattr(module, "sparse", False) is True:
            return "embeddings with max_norm or sparse gradients change their weights in place"
        if isinstance(getattr(module, name), nn.parameter.UninitializedParameter):
            return "it has no shape yet; run the model once"
    return None


def _array(tensor: Tensor) -> np.ndarray:
    """The values, in float32 where numpy lacks the dtype."""
    tensor = tensor.detach().cpu()
    if tensor.dtype.is_floating_point and tensor.dtype not in (torch.float32, torch.float64, torch.float16):
        tensor = tensor.to(torch.float32)
    return tensor.numpy()


def _mask(weight: _Weight, mask: Tensor) -> None:
    """New values for the mask there is, or a first one."""
    found = _parametrization(weight)
    if isinstance(found, Mask):
        found.mask.copy_(mask)
        return
    parametrization = Mask(mask.to(weight.value().device, copy=True))
    for module, name in weight.places:
        parametrize.register_parametrization(module, name, parametrization)


def _share(weight: _Weight, index: Tensor, codebook: Tensor) -> None:
    value = weight.value()
    parametrization = SharedWeights(index.to(value.device, copy=True), codebook.detach().to(value, copy=True))
    for module, name in weight.places:
        # Of tied weights the second is a codebook already, and would not pass the check of shapes.
        parametrize.register_parametrization(module, name, parametrization, unsafe=True)


def _plain(weight: _Weight) -> None:
    """The parameter as the model computes with it; the same object."""
    if _parametrization(weight) is None:
        return
    first = True
    for module, name in weight.places:
        if not _ours(module.parametrizations[name]):
            return
        parametrize.remove_parametrizations(module, name, leave_parametrized=first)
        first = False  # tied: the parameter has its values back
