"""The inputs of convolutions as vectors: what each output is the product of (im2col), at a few places of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Vectors of one call of a layer that are looked at: more of them say nearly the same.
MOST = 4096


def some(vectors: NDArray[Any], most: int = MOST) -> NDArray[Any]:
    """At most so many of the vectors, evenly spread, shape (vectors, inputs)."""
    flat = vectors.reshape(-1, vectors.shape[-1])
    return flat if len(flat) <= most else flat[_spread(len(flat), most)]


def patches(
    images: NDArray[Any],
    kernel: Sequence[int],
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[tuple[int, int]],
    groups: int = 1,
    mode: str = "constant",
    most: int = MOST,
) -> NDArray[Any]:
    """The inputs of a convolution's outputs, shape (vectors, groups, channels of a group x kernel), in the order of
    its weights.

    Args:
        images: shape (batch, channels, ...).
        kernel, stride, dilation, padding: of each spatial dimension; padding in front and behind.
        mode: how `numpy.pad` pads.
        most: vectors at most, evenly spread over all outputs.

    >>> import numpy
    >>> row = numpy.arange(4.0).reshape(1, 1, 4)
    >>> patches(row, [2], stride=[1], dilation=[1], padding=[(0, 0)])[:, 0]
    array([[0., 1.],
           [1., 2.],
           [2., 3.]])
    """
    padded = np.pad(images, [(0, 0), (0, 0), *padding], mode=mode)  # type: ignore[call-overload]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    batch, channels = padded.shape[:2]
    if any(size < need for size, need in zip(padded.shape[2:], reach)):
        return np.zeros((0, groups, channels // groups * int(np.prod(kernel))), images.dtype)
    axes = tuple(range(2, padded.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
    every = (slice(None), slice(None), *(slice(None, None, step) for step in (*stride, *dilation)))
    windows = windows[every]
    places = (batch, *windows.shape[2 : 2 + len(axes)])
    count = int(np.prod(places))
    at = np.unravel_index(_spread(count, min(most, count)), places)
    where: Any = (at[0], slice(None), *at[1:])
    found = windows[where]
    return found.reshape(len(found), groups, -1)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """So many of `count` numbers, in ascending order, one at random in each of ranges of equal length: an even
    distance would see the same column of every image."""
    rng = np.random.Generator(np.random.PCG64(count))
    cuts = np.linspace(0, count, most + 1)
    return np.minimum((cuts[:-1] + rng.random(most) * np.diff(cuts)).astype(np.int64), count - 1)
