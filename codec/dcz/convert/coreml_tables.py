"""Arithmetic of Core ML's compressed weights: packed numbers, masks and look-up tables."""

from __future__ import annotations

from math import prod

import numpy as np

from dcz.text import plural


def bits_of(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Return numbers of `bits` bits each, the first in the lowest bits."""
    if bits == 0:
        return np.zeros(count, np.uint8)
    if len(data) != -(-count * bits // 8):
        raise ValueError(f"{plural(len(data), 'byte')} for {plural(count, 'number')} of {bits} bits")
    each = np.unpackbits(np.ascontiguousarray(data).view(np.uint8), bitorder="little", count=count * bits).reshape(
        count, bits
    )
    return np.packbits(each, axis=1, bitorder="little").reshape(-1) if count else np.zeros(0, np.uint8)


def scatter(values: np.ndarray, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return values where a mask is one, zeros elsewhere."""
    chosen = mask.reshape(-1).astype(bool)
    if np.count_nonzero(chosen) != values.size:
        raise ValueError(f"{plural(values.size, 'value')} for {plural(int(np.count_nonzero(chosen)), 'place')}")
    out = np.zeros(prod(shape), values.dtype)
    out[chosen] = values.reshape(-1)
    return out.reshape(shape)


def look_up(index: np.ndarray, lut: np.ndarray, axis: int | None) -> np.ndarray:
    """Look up vectors in tables: `lut` has shape (groups along each dimension, entries, length of a vector)."""
    if lut.ndim != index.ndim + 2 or any(n % g if g else n for n, g in zip(index.shape, lut.shape)):
        raise ValueError(f"tables of shape {lut.shape} for indices of shape {index.shape}")
    groups = [np.arange(n) // max(n // max(g, 1), 1) for n, g in zip(index.shape, lut.shape)]
    key = (*np.ix_(*groups), index)
    found = lut[key] if index.ndim else lut[int(index)]
    if lut.shape[-1] == 1:
        return found[..., 0]
    if axis is None:
        raise ValueError("vectors without their axis")
    axis %= index.ndim
    shape = (*index.shape[:axis], index.shape[axis] * lut.shape[-1], *index.shape[axis + 1 :])
    return np.moveaxis(found, -1, axis + 1).reshape(shape)
