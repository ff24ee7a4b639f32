"""The stages of Deep Compression on a network: pruning while training, shared weights while training, plain arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

import dcz
import dcz.torch as integration
from dcz.container.summary import StoredFile, stored_file

from .accounting import Network as Accounted
from .accounting import network
from .digits import Digits
from .networks import Network
from .training import train

# The densities fall during this share of the epochs, as 1 - (1 - t)^3 (Zhu and Gupta, arXiv 1710.01878), then rest.
_FALLING = 0.6
# A codebook's gradient is the sum over a cluster, so steps are smaller than in training.
_CLUSTER_STEP = 3e-4

Densities = Mapping[str, float]
Schemes = Mapping[str, Mapping[str, object]]


def arrays(model: Network) -> dict[str, np.ndarray]:
    """The values a network computes with: names to arrays."""
    return {name: tensor.detach().numpy().copy() for name, tensor in integration.fuse(model.state_dict()).items()}


def weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that the paper counts, by the layer's name: no biases."""
    return {name.removesuffix(".weight"): array for name, array in tensors.items() if name.endswith(".weight")}


def filled(kind: type[Network], tensors: Mapping[str, np.ndarray]) -> Network:
    """A plain network of these values."""
    model = kind()
    model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()})
    return model.eval()


def revived(kind: type[Network], tensors: Mapping[str, np.ndarray]) -> Network:
    """A network of these values, in which what is zero stays so."""
    model = filled(kind, tensors)
    for layer, array in weights(tensors).items():
        if np.count_nonzero(array) < array.size:
            integration.prune_(model, threshold=0, names=[f"{layer}.weight"])
    return model.eval()


def prune(
    model: Network, digits: Digits, densities: Densities, epochs: int, *, seed: int, step: float = 1e-3
) -> Network:
    """A copy, pruned to the densities little by little while it is trained."""
    model = revived(type(model), arrays(model))
    first = {layer: float(np.count_nonzero(array) / array.size) for layer, array in weights(arrays(model)).items()}

    def each_epoch(epoch: int) -> None:
        left = max(0.0, 1 - (epoch + 1) / (_FALLING * epochs)) ** 3
        mask(model, {layer: last + (first[layer] - last) * left for layer, last in densities.items()})

    mask(model, {layer: first[layer] for layer in densities})
    train(model, digits, epochs, seed=seed, step=step, each_epoch=each_epoch)
    mask(model, densities)
    return model


def mask(model: Network, densities: Densities) -> None:
    """Masks by magnitude, each layer on its own, in place."""
    for layer, density in densities.items():
        integration.prune_(model, density=density, names=[f"{layer}.weight"])


def share(model: Network, schemes: Schemes, digits: Digits, epochs: int, *, seed: int) -> Network:
    """A copy whose tensors share weights by these schemes (names to arguments of `dcz.cluster`), codebooks trained."""
    model = revived(type(model), arrays(model))
    for name, scheme in schemes.items():
        integration.cluster_(model, names=[name], **scheme)  # type: ignore[arg-type]
    if epochs:
        train(model, digits, epochs, seed=seed, step=_CLUSTER_STEP)
    return model.eval()


def paper_schemes(bits: Mapping[str, int]) -> dict[str, dict[str, object]]:
    """The paper's quantization of each layer: linear initialisation, 2^bits codebook entries of which one is the
    fillers' zero."""
    return {f"{layer}.weight": {"n_clusters": (1 << each) - 1, "init": "linear"} for layer, each in bits.items()}


def accounted(tensors: Mapping[str, np.ndarray], index_bits: int = 5) -> Accounted:
    """The paper's arithmetic on a network's weights."""
    return network(weights(tensors).items(), index_bits)


def packed(tensors: Mapping[str, np.ndarray], profile: str = "auto") -> StoredFile:
    """What is in the network's `.dcz` file, biases, index and checksums too."""
    with dcz.open(dcz.save(dict(tensors), profile=profile)) as reader:
        return stored_file(reader)
