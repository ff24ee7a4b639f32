"""Cluster indices of a model: what peers that code integers are given. Finding them is not in their time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.suite.harness.storage import bits

MOST = 256
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Clustered:
    """A tensor as `codebook[codes]`, bit for bit. Code 0 is zero, whether it occurs or not."""

    codebook: np.ndarray
    codes: np.ndarray

    def dense(self, codes: np.ndarray | None = None) -> np.ndarray:
        """The tensor, looked up in blocks that stay in the cache."""
        flat = (self.codes if codes is None else codes).reshape(-1)
        out = np.empty(flat.size, self.codebook.dtype)
        for at in range(0, flat.size, 1 << 15):
            np.take(self.codebook, flat[at : at + (1 << 15)], out=out[at : at + (1 << 15)], mode="clip")
        return out


def find(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`NAME:codebook` and `NAME:codes` (uint8, the tensor's shape) for every tensor that has few enough values."""
    out = {}
    for name, array in tensors.items():
        words = bits(array)
        values = _distinct(words)
        if values is None or words.size <= MOST:
            continue
        order = np.searchsorted(values, words).astype(np.uint8)
        out[f"{name}:codebook"] = values.view(array.dtype)
        out[f"{name}:codes"] = order.reshape(array.shape)
    return out


def _distinct(words: np.ndarray) -> np.ndarray | None:
    """The sorted values with zero first, or None where there are more than `MOST`."""
    values = np.zeros(1, words.dtype)
    for at in range(0, words.size, _BLOCK):
        values = np.union1d(values, np.unique(words[at : at + _BLOCK]))
        if len(values) > MOST:
            return None
    return values


def gaps(codes: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative indices below `limit` and cluster indices of the nonzeros; `limit - 1` steps over that many zeros,
    as a filler, whose cluster index is 0."""
    flat = codes.reshape(-1)
    at = np.flatnonzero(flat)
    zeros = np.diff(at, prepend=-1) - 1
    fillers = zeros // limit
    place = np.cumsum(fillers + 1) - 1
    count = int(place[-1]) + 1 if len(place) else 0
    gap = np.full(count, limit - 1, np.uint8)
    index = np.zeros(count, np.uint8)
    gap[place] = zeros % limit
    index[place] = flat[at]
    return gap, index


def scatter(gap: np.ndarray, index: np.ndarray, codebook: np.ndarray, size: int) -> np.ndarray:
    """The dense tensor, flat."""
    out = np.zeros(size, codebook.dtype)
    at = np.cumsum(gap, dtype=np.int32)
    at += np.arange(len(gap), dtype=np.int32)
    out[at] = codebook[index]
    return out
