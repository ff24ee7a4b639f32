"""A uniform grid: multiples of a step, zero among them, as the start of entropy-constrained clustering.

With an entropy coder behind it, a uniform quantizer is within a quarter of a bit of the best at every rate (Gish and
Pierce 1968, "Asymptotically efficient quantizing"), whatever the weights' distribution. What is left to win is rounding
by rate and distortion, and a reconstruction of each level at the mean of its weights."""

from __future__ import annotations

import math

import numpy as np

from dcz.errors import DczError
from dcz.lossy.config import MAX_BITS, ClusterConfig
from dcz.lossy.lloyd import Partition, midpoints
from dcz.lossy.samples import F64, Samples

# Steps per square root of lambda: the squared error of a grid is step^2 / 12, and a bit more divides it by four, so
# that a bit is worth step^2 * ln(2) / 6.
_STEPS = math.sqrt(6 / math.log(2))
# Levels that a codebook can hold.
_MOST = 1 << MAX_BITS


class TooFine(DczError):
    """A grid of this step has more levels than a codebook has entries."""


def step_of(samples: Samples, config: ClusterConfig) -> float:
    """The step in units of the weights: `step_absolute`, or `step` times the root of the mean squared nonzero one."""
    if config.step_absolute is not None:
        return config.step_absolute
    assert config.step is not None
    return config.step * math.sqrt(samples.squares / samples.mass)


def step_for(price: float) -> float:
    """The step for which `price_of` is lambda."""
    return math.sqrt(price) * _STEPS


def price_of(step: float) -> float:
    """Lambda at which a bit and the squared error of a grid of this step are worth the same.

    >>> round(price_of(1.0), 4)
    0.1155
    """
    return (step / _STEPS) ** 2


def short(numbers: F64, bits: int) -> F64:
    """The nearest numbers of so many bits: those of eight have zeros for the two low bytes of a float32.

    >>> short(np.array([0.1]), 8)
    array([0.10009766])
    """
    mantissas, exponents = np.frexp(numbers)
    return np.ldexp(np.rint(mantissas * 2.0**bits), exponents - bits)


def fits(samples: Samples, step: float, k: int) -> bool:
    """True if weights that are more than `k` distinct ones are at most `k` levels of this step."""
    reach = float(samples.points[-1]) - float(samples.points[0])
    return samples.distinct > k and step > 0 and reach / step < k - 1


def grid(samples: Samples, step: float, name: str) -> Partition:
    """The levels from the least to the greatest weight that have weights, exactly 0.0 among them if it has.

    Raises `TooFine` that names the tensor where the levels are more than a codebook holds."""
    low, high = float(samples.points[0]), float(samples.points[-1])
    if not math.isfinite(step):
        raise DczError(f"tensor {name!r}: the step for weights from {low:.6g} to {high:.6g} is beyond float64")
    if not step > 0 or max(abs(low), abs(high)) / step >= _MOST or high / step - low / step >= _MOST - 2:
        raise TooFine(
            f"tensor {name!r}: weights from {low:.6g} to {high:.6g} are more than {_MOST} levels of step {step:.6g}; "
            "choose a larger step"
        )
    numbers = np.arange(math.floor(low / step + 0.5), math.floor(high / step + 0.5) + 1)
    levels = numbers.astype(np.float64) * step
    cuts = samples.cuts(midpoints(levels))
    some = np.diff(cuts) > 0
    return Partition(levels[some], np.append(cuts[:-1][some], samples.n), 0, True)
