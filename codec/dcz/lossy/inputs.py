"""The moments of a model's layers, each with the tensor that it rounds and the bias that takes up the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.calibrated import Calibrated, Factors, calibrated, factors_of
from dcz.lossy.moments import Calibration, Moments, Shaped
from dcz.lossy.recipe import Settings
from dcz.ties import Ties


class Inputs:
    """What is known of the inputs of tensors. `shifts` has what rounding them adds to biases, once it is done."""

    def __init__(
        self,
        calibration: Calibration | None,
        tensors: Mapping[str, Shaped],
        tied: Iterable[Sequence[str]],
        takes_shift: Callable[[str], bool],
    ) -> None:
        """`tied` are names of the same tensor; others stand alone. `takes_shift` says
        that something may be added to a bias before what else is done to it."""
        self.shifts: dict[str, NDArray[np.float64]] = {}
        self._moments: dict[str, Moments] = {}
        self._takes_shift = takes_shift
        self._last: tuple[str, str | None, Factors] | None = None
        self._free: dict[str, bool] = {}
        if not calibration:
            return
        calibration.check(tensors)
        self._moments.update(calibration)
        shared: set[str] = set()
        for names in tied:
            # One array, one treatment: that of the first of its names that has moments.
            found = next((calibration[name] for name in names if name in calibration), None)
            if len(names) > 1:
                shared.update(names)
                if found is not None:
                    self._moments.update(dict.fromkeys(names, found))
        users = Counter(moments.bias for moments in calibration.values())
        busy = shared | {bias for bias, count in users.items() if bias and (count > 1 or bias not in tensors)}
        self._free = dict.fromkeys(busy, False)
        self._layers = {moments.bias: name for name, moments in self._moments.items() if name in tensors}

    def __contains__(self, name: str) -> bool:
        return name in self._moments

    def bias_of(self, name: str) -> str | None:
        """The bias that takes up the change of the mean, if there is one that can."""
        moments = self._moments.get(name)
        bias = None if moments is None else moments.bias
        if bias is None:
            return None
        if bias not in self._free:
            self._free[bias] = self._takes_shift(bias)
        return bias if self._free[bias] else None

    def order(self, names: Iterable[str]) -> list[str]:
        """Names with biases behind their layers."""
        return sorted(names, key=lambda name: self.layer_of(name) is not None)

    def layer_of(self, bias: str) -> str | None:
        """The tensor whose rounding shifts a bias."""
        layer = self._layers.get(bias) if self._moments else None
        return layer if layer is not None and self.bias_of(layer) == bias else None

    def apply(self, name: str, array: np.ndarray, settings: Settings, kept: NDArray[np.bool_] | None) -> Calibrated:
        """A tensor that has moments, by its settings."""
        bias, moments = self.bias_of(name), self._moments[name]
        if self._last is None or self._last[:2] != (name, bias):
            self._last = name, bias, factors_of(moments, bias is not None, name)
        found = calibrated(
            array, moments, settings.pruning, settings.clustering, kept=kept, centred=bias is not None, name=name,
            factors=self._last[2],
        )  # fmt: skip
        if bias is not None and found.shift is not None:
            self.shifts[bias] = found.shift
        return found

    def shifted(self, bias: str, array: np.ndarray) -> np.ndarray:
        """A bias with what its layer's rounding adds to it; the array itself if that is nothing."""
        shift = self.shifts.get(bias)
        if shift is None:
            return array
        return (array.astype(np.float64) + shift.reshape(array.shape)).astype(array.dtype)


def tied_names(tensors: Mapping[str, Any]) -> list[list[str]]:
    """Names of the same array together.

    >>> w = np.zeros(3)
    >>> tied_names({"a": w, "b": w, "c": w.copy()})
    [['a', 'b'], ['c']]
    """
    ties = Ties()
    names: dict[str, list[str]] = {}
    for name, array in tensors.items():
        names.setdefault(ties.owner(name, array), []).append(name)
    return list(names.values())
