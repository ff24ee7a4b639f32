"""Round to nearest integers, as most tools quantize without data: symmetric, a float16 scale for each group."""

from __future__ import annotations

import numpy as np


def rounded(array: np.ndarray, bits: int, group: int | None) -> tuple[np.ndarray, int]:
    """The array after rounding, and the bits that integers and scales take. `group` weights in order of memory share a
    scale; None gives each row of the first dimension one."""
    flat = array.astype(np.float32).reshape(-1)
    size = group or max(array.size // max(array.shape[0], 1), 1)
    padded = np.zeros(-(-flat.size // size) * size, np.float32)
    padded[: flat.size] = flat
    rows = padded.reshape(-1, size)
    scale = (np.abs(rows).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)).astype(np.float16).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.where(scale > 0, np.round(rows / scale), 0).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    out = (codes * scale).reshape(-1)[: flat.size].reshape(array.shape)
    return out.astype(array.dtype), array.size * bits + 16 * len(rows)
