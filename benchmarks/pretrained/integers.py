"""Round to nearest integers, as most tools quantize without data: symmetric, a float16 scale for each group."""

from __future__ import annotations

import numpy as np


def codes_of(array: np.ndarray, bits: int, group: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Integers (int8, a row a group, the last one filled up with zeros) and scales (float16, one a row). `group`
    weights in order of memory share a scale; None gives each row of the first dimension one."""
    flat = array.astype(np.float32).reshape(-1)
    size = group or max(array.size // max(array.shape[0], 1), 1)
    padded = np.zeros(-(-flat.size // size) * size, np.float32)
    padded[: flat.size] = flat
    rows = padded.reshape(-1, size)
    scales = (np.abs(rows).max(axis=1) / (2 ** (bits - 1) - 1)).astype(np.float16)
    wide = scales.astype(np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.where(wide > 0, np.round(rows / wide), 0).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return codes.astype(np.int8), scales


def rounded(array: np.ndarray, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The array that integers and scales stand for."""
    out = (codes * scales.astype(np.float32)[:, None]).reshape(-1)[: array.size]
    return out.reshape(array.shape).astype(array.dtype)
