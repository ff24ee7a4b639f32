"""Lengths of Huffman codes, to know what cluster indices will take; the codec has its own."""

from __future__ import annotations

import heapq

import numpy as np

from dcz.lossy.flat import dot
from dcz.lossy.samples import F64

# Clusters that are coded as one symbol. More are coded in two planes, and counted by their entropy.
ONE_SYMBOL = 256


def code_lengths(counts: F64) -> F64:
    """Bits of each symbol's code, shape (k,); infinite for those that do not occur."""
    out = np.full(len(counts), np.inf)
    some = np.flatnonzero(counts > 0)
    if len(some) < 2:
        out[some] = 0
        return out
    heap = [(count, node) for node, count in enumerate(counts[some].tolist())]
    heapq.heapify(heap)
    parents = [0] * (2 * len(some) - 1)
    for node in range(len(some), 2 * len(some) - 1):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parents[left] = parents[right] = node
        heapq.heappush(heap, (a + b, node))
    depth = [0] * len(parents)
    for node in range(len(parents) - 2, -1, -1):
        depth[node] = depth[parents[node]] + 1
    out[some] = depth[: len(some)]
    return out


def ideal_lengths(counts: F64) -> F64:
    """Length of an ideal code, not rounded to whole bits: -log2 of the share; infinite for those that do not occur."""
    with np.errstate(divide="ignore"):
        return -np.log2(counts / counts.sum())


def mean_bits(counts: F64) -> float:
    """Bits a cluster index takes on average by Huffman's code, beyond 256 clusters by their entropy."""
    counts = counts[counts > 0].astype(np.float64)
    if len(counts) < 2:
        return 0.0
    lengths = code_lengths(counts) if len(counts) <= ONE_SYMBOL else ideal_lengths(counts)
    return dot(counts, lengths) / float(counts.sum())
