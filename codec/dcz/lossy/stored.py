"""Pruning and clustering of tensors larger than memory: passes over their pieces, and weights treated as they are read.

All of it is exact. Thresholds are found by counting digits of bit patterns, for floats of any width; codebooks of
values of 16 bits from counts of their distinct values. Codebooks of wider values need all of them sorted, which is not
done here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.codebooks import Codebook, fit_samples
from dcz.lossy.config import ClusterConfig
from dcz.lossy.distortion import ErrorAccumulator
from dcz.lossy.flat import PIECE, Stored, pieces, working
from dcz.lossy.magnitudes import Threshold, last_tie
from dcz.lossy.pruning import threshold_of
from dcz.lossy.rate import mean_bits
from dcz.lossy.recipe import Settings
from dcz.lossy.samples import Samples


@dataclass(frozen=True, slots=True)
class Outcome:
    """The weights after their treatment, and the numbers of a report."""

    weights: Stored
    density: float
    clusters: int | None
    bits: float | None
    rel_error: float
    zeroed: int


def treatable(dtype: np.dtype, settings: Settings) -> bool:
    """Return whether a tensor can be treated piece by piece."""
    pruning, clustering = settings.pruning, settings.clustering
    if pruning is not None and (pruning.scope != "tensor" or pruning.n_m_ratio or pruning.block_size is not None):
        return False
    return clustering is None or (clustering.granularity == "per_tensor" and dtype.itemsize == 2)


def treat(stored: Stored, settings: Settings, name: str) -> Outcome:
    """Find threshold and codebook of finite weights, and what they come to."""
    threshold, last = None, -1
    if settings.pruning is not None:
        threshold = threshold_of(stored, settings.pruning)
        last = last_tie(stored, threshold)

    def prune(values: np.ndarray, ties: bool) -> np.ndarray:
        return values if threshold is None else _pruned(values, threshold, ties)

    pruned = _changed(stored, prune, last)
    book = None if settings.clustering is None else _book(pruned, settings.clustering, name)
    counts = np.zeros(0 if book is None else len(book.values))
    errors, nonzeros, before = ErrorAccumulator(), 0, 0
    out = pruned
    if book is not None:
        out = _changed(stored, lambda values, ties: _clustered(prune(values, ties), book), last)
    for part, values in pieces(stored):
        kept, found = pruned[part], out[part]
        errors.add(values, found.astype(values.dtype, copy=False))
        before += int(np.count_nonzero(kept))
        nonzeros += int(np.count_nonzero(found))
        if book is not None and len(counts):
            counts += np.bincount(book.assign(_nonzero(kept)), minlength=len(counts))
    density, error = nonzeros / stored.size, errors.read().relative
    if book is None:
        return Outcome(out, density, None, None, error, 0)
    return Outcome(out, density, len(book.values), mean_bits(counts), error, before - nonzeros)


# What becomes of weights; those that equal the threshold are kept, or not.
_Change = Callable[[np.ndarray, bool], np.ndarray]


def _changed(stored: Stored, change: _Change, last: int) -> Stored:
    """Return changed weights. Up to the place `last` those that equal the threshold are kept."""
    tables = [_table(stored.dtype, change, ties) for ties in (False, True)] if stored.dtype.itemsize == 2 else None

    def some(first: int, end: int, ties: bool) -> np.ndarray:
        values = stored[first:end]
        return change(values, ties) if tables is None else tables[ties][values.view(np.uint16)]

    def read(first: int, end: int) -> np.ndarray:
        out = np.empty(end - first, stored.dtype)
        middle = min(max(last + 1, first), end)
        for begin, stop, ties in ((first, middle, True), (middle, end, False)):
            for at in range(begin, stop, PIECE):
                to = min(at + PIECE, stop)
                out[at - first : to - first] = some(at, to, ties)
        return out

    return Stored(read, stored.dtype, stored.size)


def _table(dtype: np.dtype, change: _Change, ties: bool) -> np.ndarray:
    """Return what becomes of each bit pattern of 16 bits."""
    with np.errstate(all="ignore"):  # NaN, which no weight is
        return change(np.arange(1 << 16).astype(np.uint16).view(dtype), ties)


def _pruned(values: np.ndarray, threshold: Threshold, ties: bool) -> np.ndarray:
    magnitude = np.abs(values.astype(working(values.dtype), copy=False))
    kept = magnitude > threshold.score
    if ties:
        kept |= magnitude == threshold.score
    out = np.zeros(values.shape, values.dtype)
    np.copyto(out, values, where=kept)
    return out


def _nonzero(values: np.ndarray) -> NDArray[Any]:
    return values[values != 0].astype(working(values.dtype), copy=False)


def _clustered(values: np.ndarray, book: Codebook) -> np.ndarray:
    out = np.zeros(values.shape, values.dtype)
    mask = values != 0
    if mask.any():
        out[mask] = book.values[book.assign(values[mask].astype(working(values.dtype), copy=False))]
    return out


def _book(pruned: Stored, config: ClusterConfig, name: str) -> Codebook:
    samples = _counted(pruned)
    if not samples.n:
        return Codebook(np.zeros(0, pruned.dtype), np.zeros(0, working(pruned.dtype)), 0, True)
    return fit_samples(samples, pruned.dtype, config, name)


def _counted(pruned: Stored) -> Samples:
    counts = np.zeros(1 << 16, np.int64)
    for first in range(0, len(pruned), PIECE):
        values = pruned[first : min(first + PIECE, len(pruned))]
        counts += np.bincount(values[values != 0].view(np.uint16), minlength=len(counts))
    return Samples.of_counts(counts, pruned.dtype)
