"""Masks with structure: whole blocks, and n zeros in every m weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.flat import working


def block_shape(
    shape: tuple[int, ...], block_size: int | tuple[int, ...], dim: int | None, name: str
) -> tuple[int, ...]:
    """The block in all dimensions: `block_size` along `dim` (by default 0), or over the first dimensions."""
    sizes = (block_size,) if isinstance(block_size, int) else block_size
    first = (dim or 0) if isinstance(block_size, int) else 0
    if first + len(sizes) > len(shape):
        raise DczError(f"tensor {name!r}: block_size {block_size} along dim {first} does not fit its shape {shape}")
    out = [1] * len(shape)
    out[first : first + len(sizes)] = [min(size, length) for size, length in zip(sizes, shape[first:])]
    return tuple(out)


def block_scores(array: np.ndarray, block: tuple[int, ...]) -> NDArray[Any]:
    """Root mean square of each block, shape (blocks along each dimension); those at the edge may be smaller."""
    squares = np.square(array.astype(np.float64))
    counts = np.ones((1,) * array.ndim)
    for axis, size in enumerate(block):
        edges = np.arange(0, array.shape[axis], size)
        squares = np.add.reduceat(squares, edges, axis=axis)
        lengths = np.diff(np.append(edges, array.shape[axis]))
        counts = counts * lengths.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
    return np.sqrt(squares / counts).astype(working(array.dtype))


def spread_blocks(blocks: NDArray[np.bool_], block: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask of the weights of a mask of blocks."""
    for axis, size in enumerate(block):
        blocks = np.repeat(blocks, size, axis=axis)
        blocks = blocks[(slice(None),) * axis + (slice(shape[axis]),)]
    return blocks


def n_of_m(array: np.ndarray, n: int, m: int, dim: int | None, name: str) -> NDArray[np.bool_]:
    """The mask that clears the `n` smallest magnitudes of every `m` along `dim` (by default 1, the inputs)."""
    dim = min(1, array.ndim - 1) if dim is None else dim
    if not 0 <= dim < array.ndim:
        raise DczError(f"tensor {name!r}: n_m_ratio along dim {dim} does not fit its shape {array.shape}")
    moved = np.moveaxis(np.abs(array.astype(working(array.dtype))), dim, -1)
    length = moved.shape[-1]
    padded = np.full((*moved.shape[:-1], math.ceil(length / m) * m), -1, moved.dtype)
    padded[..., :length] = moved
    rows = padded.reshape(-1, m)
    mask = np.ones(rows.shape, bool)
    np.put_along_axis(mask, np.argsort(rows, axis=1, kind="stable")[:, :n], False, axis=1)
    mask = mask.reshape(padded.shape)[..., :length] & (moved > 0)
    return np.ascontiguousarray(np.moveaxis(mask, -1, dim))
