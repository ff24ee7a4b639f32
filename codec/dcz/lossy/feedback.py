"""Rounding column by column with error feedback: what a weight's rounding costs at the outputs is made up for by the
weights that are still to be rounded.

Optimal Brain Surgeon (Hassibi and Stork 1993), made fast for layers by OBQ and GPTQ (Frantar et al. 2022,
arXiv 2210.17323, section 3.3) and for pruning by SparseGPT (Frantar and Alistarh 2023, arXiv 2301.00774, section 3).
Here it is written as QuIP does (Chee et al. 2023, arXiv 2307.13304, section 3, where the two are shown to be the same):
with H = M D M^T, M upper triangular of unit diagonal, the error tr(E H E^T) of E = W - Q is the sum over columns of
D_i |t_i - q_i|^2, where t_i = w_i + sum over j < i of (w_j - q_j) M_ji is known when column i is rounded. So no inverse
is needed, and t_i may be rounded by anything: to the nearest level, to zero, or, with an entropy coder behind it, to
the level of least D_i (t_i - q)^2 + lambda * bits(q)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.lloyd import midpoints
from dcz.lossy.samples import F64

# Columns whose errors are passed on one by one; to those behind them all at once, by a product of matrices.
_BLOCK = 128
# Part of the mean of the diagonal that is added to it, as in GPTQ: samples are few, and moments may be singular.
DAMPING = 0.01
_TURNS = 4


@dataclass(frozen=True, eq=False)
class Levels:
    """What weights are rounded to: `values` ascend, each with the `bits` that it takes, `price` what a bit is worth
    in squared error of the outputs."""

    values: F64
    bits: F64
    price: float

    @cached_property
    def middles(self) -> F64:
        """Between neighbours."""
        return midpoints(self.values)

    @cached_property
    def frequent(self) -> int:
        """The level of the shortest code."""
        return int(np.argmin(self.bits))


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """H = M D M^T in the order in which columns are rounded: those of the largest inputs first, as most columns are
    left then to make up for them."""

    order: NDArray[np.int64]
    unit: NDArray[np.float32]
    diagonal: F64


def factor(second: F64, name: str) -> Factor:
    """Of second moments, shape (n, n). Raises `DczError` where damping does not make them positive definite."""
    own = np.diagonal(second)
    order = np.argsort(-own, kind="stable")
    mean = float(own.mean())
    if not mean > 0:  # no sample makes any difference: all weights are as good as each other
        return Factor(order, np.eye(len(own), dtype=np.float32), np.ones(len(own)))
    flipped = second[np.ix_(order[::-1], order[::-1])] / mean
    for turn in range(_TURNS):
        damped = flipped + np.eye(len(own)) * DAMPING * 10**turn
        try:
            root = np.linalg.cholesky(damped)[::-1, ::-1]
        except np.linalg.LinAlgError:
            continue
        diagonal = np.diagonal(root)
        return Factor(order, (root / diagonal).astype(np.float32), np.square(diagonal) * mean)
    raise DczError(
        f"calibration of {name!r}: its second moments are not positive semidefinite, and damping does not mend "
        "that; make the calibration anew"
    )


def rounded(
    weights: NDArray[Any], found: Factor, levels: Levels | None, kept: NDArray[np.bool_] | None, density: float | None
) -> NDArray[Any]:
    """The matrix after pruning, rounding, or both; shape (inputs, outputs), as `weights`, which stay as they are.

    Args:
        levels: what weights that are kept become; None leaves them free to make up for those that are not.
        kept: false where a weight is to be zero.
        density: instead, the fraction to keep of each 128 columns: of least D_i t_i^2 are those that become zero.
    """
    original = weights[found.order]
    flags = None if kept is None else kept[found.order]
    out, errors = np.empty_like(original), np.zeros_like(original)
    for start in range(0, len(original), _BLOCK):
        stop = min(start + _BLOCK, len(original))
        targets = original[start:stop] + found.unit[:start, start:stop].T @ errors[:start]
        mask = None if flags is None else flags[start:stop]
        if density is not None:
            mask = _largest(np.square(targets) * found.diagonal[start:stop, None], density, original[start:stop] != 0)
        for i in range(stop - start):
            target, column = targets[i], start + i
            value = target if levels is None else _nearest(target, levels, float(found.diagonal[column]))
            if mask is not None:
                value = np.where(mask[i], value, 0)
            out[column] = value
            errors[column] = original[column] - value
            if i + 1 < stop - start:
                targets[i + 1 :] += np.outer(found.unit[column, column + 1 : stop], errors[column])
    back = np.empty_like(out)
    back[found.order] = out
    return back


def _nearest(targets: NDArray[Any], levels: Levels, weight: float) -> NDArray[Any]:
    """The level of least weight * (target - level)^2 + price * bits for each target, of the nearest, its neighbours
    and the most frequent one: others are farther and hardly shorter."""
    values = levels.values
    near = np.searchsorted(levels.middles, targets)
    if not levels.price:
        return values[near].astype(targets.dtype)
    last, price = len(values) - 1, levels.bits * (levels.price / weight)
    best, least = near, np.square(targets - values[near]) + price[near]
    for other in (np.maximum(near - 1, 0), np.minimum(near + 1, last), np.full_like(near, levels.frequent)):
        cost = np.square(targets - values[other]) + price[other]
        better = cost < least
        best, least = np.where(better, other, best), np.where(better, cost, least)
    return values[best].astype(targets.dtype)


def _largest(scores: NDArray[Any], density: float, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True for the fraction of largest scores among all; what is not allowed comes last, and never counts."""
    keep = round(scores.size * density)
    flat = np.where(allowed, scores, -1).reshape(-1)
    mask = np.zeros(scores.size, np.bool_)
    if keep:
        mask[np.argpartition(-flat, min(keep, scores.size) - 1)[:keep]] = True
    return mask.reshape(scores.shape) & allowed
