"""Prune, cluster and train a model in place (Han et al. 2016, sections 2 and 3.3), with any optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dcz.errors import DczError
from dcz.lossy.clustering import check_importance, cluster_array
from dcz.lossy.config import ClusterConfig, PruneConfig
from dcz.lossy.lloyd import MAX_ITER
from dcz.lossy.pruning import masks
from dcz.lossy.selection import WEIGHT_THRESHOLD
from dcz.torch.parametrizations import SharedWeights, index_of
from dcz.torch.state_dicts import parametrized
from dcz.torch.weights import all_weights, eligible, kind_of, put_codebook, put_mask, take_off


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
    weights, arrays, skipped = eligible(model, names, weight_threshold)
    for name in arrays:
        if kind_of(weights[name]) is SharedWeights:
            raise DczError(f"tensor {name!r}: is clustered already; prune first, or call finalize_ before")
    with torch.no_grad():
        found = masks(arrays, config)
        for name, mask in found.items():
            put_mask(weights[name], torch.from_numpy(mask))
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
    weights, arrays, skipped = eligible(model, names, weight_threshold)
    importance = check_importance(importance, arrays)
    for name in arrays:
        if kind_of(weights[name]) is SharedWeights:
            raise DczError(f"tensor {name!r}: is clustered already; call finalize_ before clustering it again")
    density = {}
    for name, array in arrays.items():
        found = cluster_array(array, config, importance=importance.get(name), name=name)
        weight = weights[name]
        mask = torch.from_numpy(found.mask)
        index = index_of(torch.from_numpy(found.indices.astype(np.int32)), mask, found.k)
        codebook = torch.from_numpy(np.ascontiguousarray(found.codebook))
        take_off(weight)
        put_codebook(weight, index, codebook)
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
    for weight in all_weights(model).values():
        take_off(weight)
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
    weights = all_weights(model)
    owners = {name: weight for weight in weights.values() for name in weight.names}
    done: set[int] = set()
    for name, (kind, tensors) in parametrized(state).items():
        if name not in owners:
            raise DczError(f"the checkpoint has {kind} weights for {name!r}, which the model lacks")
        weight = owners[name]
        if id(weight) in done:
            continue
        done.add(id(weight))
        take_off(weight)
        with torch.no_grad():
            if kind == "pruned":
                put_mask(weight, tensors["mask"])
            else:
                put_codebook(weight, tensors["index"], tensors["original"])
    return model.load_state_dict(state, strict=strict)
