"""A grid whose step is a power of two times larger or smaller in each channel, and one codebook for all channels.

Channels of a network differ in scale by ten times and often count for as much, and a codebook for each of them takes
bytes. Multiples of one unit, shifted by a power of two, are mostly the same numbers in all channels, so they share a
codebook, along whatever dimension the channels are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.clusters import Clusters
from dcz.lossy.codebooks import fit
from dcz.lossy.config import MAX_BITS, ClusterConfig
from dcz.lossy.distortion import fidelity
from dcz.lossy.flat import dot, limits_of, working
from dcz.lossy.grid import short
from dcz.lossy.rate import mean_bits

# Bits of the unit's mantissa: multiples of it are exact, and low bytes of the codebook zeros.
_UNIT_BITS = 8


def cluster_by_channel(array: np.ndarray, config: ClusterConfig, importance: np.ndarray | None, name: str) -> Clusters:
    """One array of two or more dimensions, by `step`. Raises `DczError` that names it where it has fewer, or where its
    channels have too many different values."""
    if array.ndim < 2 or not -array.ndim <= config.axis < array.ndim:
        raise DczError(f"tensor {name!r}: shape {array.shape} has no channels along axis {config.axis}")
    mask = array != 0
    values = array.astype(working(array.dtype), copy=False)
    powers = np.broadcast_to(shifts(values, config.axis), array.shape)[mask]
    even = np.ldexp(values[mask], -powers)
    weights = None if importance is None else importance[mask].astype(np.float64)
    numbers, iterations = _numbers(even, config, weights, name)
    rounded = np.ldexp(numbers * _unit(even, numbers, config.rescale), powers)
    most = float(limits_of(array.dtype).max)
    out = np.zeros(array.shape, array.dtype)
    out[mask] = np.clip(rounded, -most, most).astype(array.dtype) + array.dtype.type(0)
    return _clusters(array, out, mask, weights, iterations, name)


def shifts(values: NDArray[Any], axis: int) -> NDArray[np.int32]:
    """The power of two nearest to each channel's root mean square over that of all, to be broadcast; 0 for a channel of
    zeros. Zeros do not count."""
    others = tuple(number for number in range(values.ndim) if number != axis % values.ndim)
    some = np.count_nonzero(values, axis=others, keepdims=True)
    squares = np.square(values, dtype=np.float64).sum(axis=others, keepdims=True)
    whole = squares.sum() / max(int(some.sum()), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log2(squares / some / whole) / 2
    return np.rint(np.where(np.isfinite(found), found, 0)).astype(np.int32)


def _numbers(
    even: NDArray[Any], config: ClusterConfig, weights: NDArray[np.float64] | None, name: str
) -> tuple[NDArray[np.float64], int]:
    """The multiple of the step that each value goes to, by rate and distortion, and the rounds that took."""
    assert config.step is not None
    if not len(even):
        return np.zeros(0), 0
    counted = np.ones(len(even)) if weights is None or not weights.any() else weights
    step = config.step * math.sqrt(float(np.einsum("i,i,i->", even, even, counted, dtype=np.float64) / counted.sum()))
    book = fit(even.copy(), config, weights, name)
    levels = np.rint(book.values.astype(np.float64) / step) if step > 0 else np.zeros(len(book.values))
    return levels[book.assign(even)], book.iterations


def _unit(even: NDArray[Any], numbers: NDArray[np.float64], rescale: bool) -> float:
    """The value of 1: that of least squared error, or that which keeps <w, w>."""
    wide = even.astype(np.float64)
    shared, squares = dot(wide, numbers), dot(numbers, numbers)
    if not shared > 0:
        return 0.0
    unit = np.array([dot(wide, wide) / shared if rescale else shared / squares])
    return float(short(unit, _UNIT_BITS)[0])


def _clusters(
    array: np.ndarray,
    out: np.ndarray,
    mask: NDArray[np.bool_],
    weights: NDArray[np.float64] | None,
    iterations: int,
    name: str,
) -> Clusters:
    """The codebook of all values, and how far they are from the weights."""
    rounded = out[mask]
    codebook, index = np.unique(rounded, return_inverse=True)
    if len(codebook) > 1 << MAX_BITS:
        raise DczError(
            f"tensor {name!r}: {len(codebook)} values for all channels are more than a codebook's {1 << MAX_BITS}; "
            "choose a larger step"
        )
    found = fidelity(array, out)
    squared = np.square(array[mask].astype(np.float64) - rounded.astype(np.float64))
    return Clusters(
        codebook=codebook[None],
        indices=index.astype(np.uint8 if len(codebook) <= 256 else np.uint16),
        mask=mask,
        group=max(array.size, 1),
        wcss=found.squared if weights is None else dot(squared, weights),
        max_error=found.largest,
        rel_error=found.relative,
        cosine=found.cosine,
        bits=mean_bits(np.bincount(index, minlength=len(codebook)).astype(np.float64)),
        iterations=iterations,
        converged=True,
        zeroed=len(rounded) - int(np.count_nonzero(rounded)),
    )
