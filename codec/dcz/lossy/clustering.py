"""Clustering: weights share the values of a codebook (Han et al. 2016, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.channels import cluster_by_channel
from dcz.lossy.clusters import Clusters, runs
from dcz.lossy.codebooks import Codebook, fit
from dcz.lossy.config import ClusterConfig
from dcz.lossy.distortion import ErrorAccumulator
from dcz.lossy.flat import dot, flat, working
from dcz.lossy.lloyd import MAX_ITER
from dcz.lossy.rate import mean_bits
from dcz.lossy.selection import WEIGHT_THRESHOLD, check_tensors, select
from dcz.text import plural


@dataclass(frozen=True, slots=True)
class Clustered:
    """The result of `cluster`: `tensors` are all tensors, those that were clustered as new arrays; `clusters` has
    codebook, indices and errors of each of these; `skipped` says why the others were left alone."""

    tensors: dict[str, np.ndarray]
    clusters: dict[str, Clusters]
    skipped: dict[str, str]


def cluster(
    tensors: Mapping[str, np.ndarray],
    *,
    n_bits: int | None = None,
    n_clusters: int | None = None,
    method: str | None = None,
    step: float | None = None,
    step_absolute: float | None = None,
    init: str = "linear",
    entropy: float = 0.0,
    importance: Mapping[str, np.ndarray] | None = None,
    codebook_dtype: str | None = None,
    rescale: bool = False,
    granularity: str = "per_tensor",
    group_size: int | None = None,
    axis: int = 0,
    seed: int = 0,
    max_iter: int = MAX_ITER,
    names: Iterable[str] | None = None,
    weight_threshold: int = WEIGHT_THRESHOLD,
    keep_nonfinite: bool = False,
) -> Clustered:
    """Replaces the nonzero weights of each tensor by 2^n_bits values, which minimise the within-cluster sum of
    squares (Han et al. 2016, section 3.1), or by the multiples of a step, which are the smallest for their error once
    they are entropy-coded. Zeros stay zeros and take no cluster; -0.0 becomes 0. The arrays given stay as they are.

    Biases, norms (all of fewer than two dimensions), tensors of fewer than `weight_threshold` weights and of
    other dtypes than floats are left alone.

    Args:
        tensors: names to numpy arrays.
        n_bits: 2^n_bits clusters, from 1 to 16 bits; fewer where there are fewer distinct weights.
        n_clusters: their number instead.
        method: "kmeans", the paper's, which goes with `n_bits` or `n_clusters`, or "grid", which goes with `step` or
            `step_absolute`; None takes the one that fits the size given.
        step: the distance between the levels of a grid, in units of the root of the tensor's mean squared nonzero
            weight; 0.05 to 0.5 are usual. A weight goes to a farther level where that saves more bits than it adds
            error, and each level but zero becomes the mean of its weights.
        step_absolute: the distance in units of the weights.
        init: where centroids begin: "linear" (the paper's best), "density", "random" (its Forgy), "kmeans++", or
            "optimal", the global optimum by dynamic programming.
        entropy: lambda of entropy-constrained clustering, which minimises squared error + lambda * Huffman bits
            (arXiv 1612.01543): in units of the tensor's mean squared nonzero weight, so that one number suits
            all tensors; 0.001 to 0.01 are usual, with `n_bits` of 8 or more. It starts from a grid unless `init`
            is given. With a grid it replaces the lambda that suits the step, step^2 * ln(2) / 6.
        importance: how much each weight counts, e.g. the diagonal of the Fisher matrix: arrays of the tensors'
            shapes, not negative, for those that have one.
        codebook_dtype: a narrower float that codebook values are rounded to; tensors keep their dtype. A value
            beyond its range is refused; weights whose value rounds to zero are counted in `Clusters.zeroed`.
        rescale: multiplies each codebook by <w, w> / <w, q>, w the weights and q the values they become. Clusters'
            means shrink what a layer puts out by the square of the relative error; this undoes it. No byte more, and
            a larger error of weights; measure outputs.
        granularity: "per_tensor"; "per_grouped_channel": a codebook for each `group_size` channels of the first
            dimension; or, with `step`, "per_channel": the step is a power of two larger or smaller in each channel, so
            that it is `step` root mean squares of it, about, and all channels share a codebook.
        axis: the dimension of the channels: 0 in PyTorch and ONNX, -1 in Keras, TensorFlow and Flax.
        seed: of "random" and "kmeans++".
        max_iter: rounds of Lloyd's algorithm at most; it usually settles much earlier.
        names, weight_threshold, keep_nonfinite: as in `prune`.

    Raises:
        DczError: invalid arguments, NaN or infinity, patterns that match nothing, a `codebook_dtype` that
            cannot hold the weights.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).laplace(size=(64, 64)).astype("float32")
    >>> found = dcz.cluster({"w": w}, n_bits=4)
    >>> len(numpy.unique(found.tensors["w"])), found.clusters["w"].codebook.shape
    (16, (1, 16))
    """
    config = ClusterConfig(
        n_bits=n_bits,
        n_clusters=n_clusters,
        method=method,
        step=step,
        step_absolute=step_absolute,
        init=init,
        entropy=entropy,
        codebook_dtype=codebook_dtype,
        rescale=rescale,
        granularity=granularity,
        group_size=group_size,
        axis=axis,
        seed=seed,
        max_iter=max_iter,
    )
    chosen, skipped = select(tensors, names, weight_threshold, keep_nonfinite)
    importance = check_importance(importance, tensors)
    found = {name: cluster_array(tensors[name], config, importance=importance.get(name), name=name) for name in chosen}
    out = {name: found[name].array() if name in found else array for name, array in tensors.items()}
    return Clustered(out, found, skipped)


def check_importance(
    importance: Mapping[str, np.ndarray] | None, tensors: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """Names, shapes and values that fit the tensors."""
    if importance is None:
        return {}
    check_tensors(importance)
    for name, weights in importance.items():
        if name not in tensors:
            raise DczError(f"importance: there is no tensor {name!r}")
        if weights.shape != tensors[name].shape:
            raise DczError(f"importance of {name!r}: shape {weights.shape}, the tensor has {tensors[name].shape}")
        lowest, highest = (float(weights.min()), float(weights.max())) if weights.size else (0.0, 0.0)
        if not (lowest >= 0 and highest < np.inf):
            raise DczError(f"importance of {name!r}: expected finite numbers that are not negative")
    return importance


def cluster_array(
    array: np.ndarray, config: ClusterConfig, *, importance: np.ndarray | None = None, name: str = "array"
) -> Clusters:
    """One array of floats without NaN or infinity, of any shape."""
    array = np.asarray(array)
    if config.granularity == "per_channel":
        return cluster_by_channel(array, config, importance, name)
    words = flat(array)
    group = _group(array.shape, config, name)
    mask = words != 0
    weights = None if importance is None else flat(importance)
    books = []
    for start in range(0, max(len(words), 1), group):
        part = slice(start, start + group)
        values = words[part][mask[part]]
        each = None if weights is None else weights[part][mask[part]].astype(np.float64)
        books.append(fit(values, config, each, name))
        del values, each  # before the next: one group's weights in memory
    return _assemble(array, words, mask.reshape(array.shape), weights, group, books)


def _group(shape: tuple[int, ...], config: ClusterConfig, name: str) -> int:
    """Weights that share a codebook."""
    size = int(np.prod(shape, dtype=np.int64))
    if config.group_size is None:
        return max(size, 1)
    if len(shape) < 2 or shape[0] % config.group_size:
        raise DczError(
            f"tensor {name!r}: groups of {plural(config.group_size, 'channel')} do not divide its first "
            f"dimension, shape {shape}"
        )
    return max(size // shape[0] * config.group_size, 1)


def _assemble(
    array: np.ndarray,
    words: np.ndarray,
    mask: NDArray[np.bool_],
    weights: NDArray[Any] | None,
    group: int,
    books: list[Codebook],
) -> Clusters:
    """Assigns every weight and measures what that costs, a piece at a time."""
    k = max(len(book.values) for book in books)
    codebook = np.stack([np.pad(book.values, (0, k - len(book.values)), "edge") if len(book.values) else
                         np.zeros(k, array.dtype) for book in books])  # fmt: skip
    indices = np.empty(int(np.count_nonzero(mask)), np.uint8 if k <= 256 else np.uint16)
    errors, counts, flags = ErrorAccumulator(), np.zeros(k), mask.reshape(-1)
    wcss, done, zeroed = 0.0, 0, 0
    for start, size, book_values in runs(codebook, group, mask.size):
        part = slice(start, start + size)
        values = words[part][flags[part]].astype(working(array.dtype), copy=False)
        index = books[start // group].assign(values)
        indices[done : done + len(index)] = index
        done += len(index)
        counts += np.bincount(index, minlength=k)
        rounded = book_values[index]
        errors.add(values, rounded)
        zeroed += len(rounded) - int(np.count_nonzero(rounded))
        if weights is not None:
            wcss += dot(np.square(values.astype(np.float64) - rounded), weights[part][flags[part]])
    found = errors.read()
    return Clusters(
        codebook=codebook,
        indices=indices,
        mask=mask,
        group=group,
        wcss=found.squared if weights is None else wcss,
        max_error=found.largest,
        rel_error=found.relative,
        cosine=found.cosine,
        bits=mean_bits(counts),
        iterations=max(book.iterations for book in books),
        converged=all(book.converged for book in books),
        zeroed=zeroed,
    )
