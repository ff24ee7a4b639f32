"""Models to measure on, made here: shapes and densities of published networks, weights by a seeded generator.

The statistics are those of Han, Mao and Dally (ICLR 2016), Tables 2 to 5: density after pruning, bits of the
cluster index, bits per weight after Huffman coding. Positions are independent of each other, which real ones
are not quite, so index sizes here are a little pessimistic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

_BINS = 1 << 17
_MAX_ROUNDS = 400


@dataclass(frozen=True)
class Layer:
    """One row of the paper's tables: fraction of weights kept, index bits, Huffman bits per weight."""

    name: str
    shape: tuple[int, ...]
    density: float
    bits: int
    huffman_bits: float


LENET_300_100 = (
    Layer("ip1", (300, 784), 0.08, 6, 4.4),
    Layer("ip2", (100, 300), 0.09, 6, 4.4),
    Layer("ip3", (10, 100), 0.26, 6, 4.3),
)
ALEXNET = (
    Layer("conv1", (96, 3, 11, 11), 0.84, 8, 6.3),
    Layer("conv2", (256, 48, 5, 5), 0.38, 8, 5.5),
    Layer("conv3", (384, 256, 3, 3), 0.35, 8, 5.1),
    Layer("conv4", (384, 192, 3, 3), 0.37, 8, 5.2),
    Layer("conv5", (256, 192, 3, 3), 0.37, 8, 5.6),
    Layer("fc6", (4096, 9216), 0.09, 5, 3.9),
    Layer("fc7", (4096, 4096), 0.09, 5, 3.6),
    Layer("fc8", (1000, 4096), 0.25, 5, 4.0),
)
VGG_16 = (
    Layer("conv1_1", (64, 3, 3, 3), 0.58, 8, 6.8),
    Layer("conv1_2", (64, 64, 3, 3), 0.22, 8, 6.5),
    Layer("conv2_1", (128, 64, 3, 3), 0.34, 8, 5.6),
    Layer("conv2_2", (128, 128, 3, 3), 0.36, 8, 5.9),
    Layer("conv3_1", (256, 128, 3, 3), 0.53, 8, 4.8),
    Layer("conv3_2", (256, 256, 3, 3), 0.24, 8, 4.6),
    Layer("conv3_3", (256, 256, 3, 3), 0.42, 8, 4.6),
    Layer("conv4_1", (512, 256, 3, 3), 0.32, 8, 4.6),
    Layer("conv4_2", (512, 512, 3, 3), 0.27, 8, 4.2),
    Layer("conv4_3", (512, 512, 3, 3), 0.34, 8, 4.4),
    Layer("conv5_1", (512, 512, 3, 3), 0.35, 8, 4.7),
    Layer("conv5_2", (512, 512, 3, 3), 0.29, 8, 4.6),
    Layer("conv5_3", (512, 512, 3, 3), 0.36, 8, 4.6),
    Layer("fc6", (4096, 25088), 0.04, 5, 3.6),
    Layer("fc7", (4096, 4096), 0.04, 5, 4.0),
    Layer("fc8", (1000, 4096), 0.23, 5, 4.0),
)


def build(layers: tuple[Layer, ...], seed: int = 151000149, biases: bool = False) -> dict[str, np.ndarray]:
    """A pruned and clustered float32 model: names to arrays."""
    model = {}
    for number, layer in enumerate(layers):
        rng = np.random.Generator(np.random.PCG64([seed, number]))
        model[f"{layer.name}.weight"] = clustered(layer, rng)
        if biases:
            model[f"{layer.name}.bias"] = (0.01 * rng.standard_normal(layer.shape[0])).astype(np.float32)
    return model


def clustered(layer: Layer, rng: np.random.Generator) -> np.ndarray:
    """Gaussian (fully connected) or Laplacian (convolution) weights, pruned by magnitude to the density and
    clustered as the paper does: linear initialisation, then Lloyd's algorithm."""
    n = int(np.prod(layer.shape))
    kept = round(n * layer.density)
    weights = rng.standard_normal(n, np.float32) if len(layer.shape) == 2 else rng.laplace(size=n).astype(np.float32)
    weights *= np.float32(np.prod(layer.shape[1:]) ** -0.5)
    magnitude = np.abs(weights)
    mask = magnitude >= np.partition(magnitude, n - kept)[n - kept]
    values = weights[mask]
    centroids = _lloyd(values, (1 << layer.bits) - 1, layer.huffman_bits).astype(np.float32)
    edges = (centroids[1:] + centroids[:-1]) / 2
    weights[~mask] = 0
    weights[mask] = centroids[np.searchsorted(edges, values)]
    return weights.reshape(layer.shape)


def _lloyd(values: np.ndarray, k: int, bits: float) -> np.ndarray:
    """Centroids by Lloyd's algorithm on a histogram, stopped where the entropy of the cluster indices first
    reaches the published bits per weight."""
    low, high = float(values.min()), float(values.max())
    scaled = ((values - low) * ((_BINS - 1) / (high - low))).astype(np.int32)
    counts = np.bincount(scaled, minlength=_BINS).astype(np.float64)
    centers = low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS
    count = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * centers)])
    centroids = np.linspace(low, high, k)
    for _ in range(_MAX_ROUNDS):
        inner = np.searchsorted(centers, (centroids[1:] + centroids[:-1]) / 2)
        edges = np.concatenate([[0], inner, [_BINS]])
        each, total = np.diff(count[edges]), np.diff(moment[edges])
        share = each[each > 0] / each.sum()
        if -(share * np.log2(share)).sum() >= bits:
            break
        centroids = np.where(each > 0, total / np.maximum(each, 1), centroids)
    return centroids


def palette(rows: int, columns: int, entries: int, dtype: str, seed: int = 16) -> dict[str, np.ndarray]:
    """A dense model whose weights take `entries` values, with the frequencies of a clustered Gaussian."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = rng.standard_normal((rows, columns), np.float32)
    book = np.linspace(-2.6, 2.6, entries, dtype=np.float32)
    step = book[1] - book[0]
    index = np.clip(np.rint((weights - book[0]) / step), 0, entries - 1).astype(np.uint8)
    return {"palette.weight": (0.02 * book).astype(dtype)[index]}


def bfloat16(rows: int, columns: int, seed: int = 20261123) -> dict[str, np.ndarray]:
    """A dense Gaussian tensor in bfloat16."""
    import ml_dtypes

    rng = np.random.Generator(np.random.PCG64(seed))
    return {"dense.weight": (0.02 * rng.standard_normal((rows, columns), np.float32)).astype(ml_dtypes.bfloat16)}


def pruned(rows: int, columns: int, density: float, seed: int = 7) -> dict[str, np.ndarray]:
    """A pruned tensor that is not clustered: every nonzero is its own value."""
    rng = np.random.Generator(np.random.PCG64(seed))
    weights = 0.02 * rng.standard_normal((rows, columns), np.float32)
    magnitude = np.abs(weights).reshape(-1)
    kept = round(magnitude.size * density)
    weights[np.abs(weights) < np.partition(magnitude, -kept)[-kept]] = 0
    return {"pruned.weight": weights}


def scaled(layers: tuple[Layer, ...], factor: float) -> tuple[Layer, ...]:
    """The same network with fewer outputs in every layer: `factor` times as many weights."""
    return tuple(replace(layer, shape=(max(1, round(layer.shape[0] * factor)), *layer.shape[1:])) for layer in layers)
