"""Errors of a layer's outputs at each point, where the moments of its inputs are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from dcz.lossy.compression import RecipeRunner
from dcz.lossy.inputs import Inputs
from dcz.lossy.moments import Calibration, Moments
from dcz.planning.points import Point
from dcz.text import percent, plural

# Points of each kind at which error feedback is tried. Its gain changes slowly from step to step: between them it is
# interpolated.
_TRIES = 8
# Weights of a layer that are rounded for it: whole outputs, evenly spread, as feedback runs through all inputs of each.
_SAMPLE = 1 << 16
_LEAST = 8


class Layers:
    """The layers of a plan whose inputs are known."""

    def __init__(self, calibration: Calibration | None, base: Mapping[str, object]) -> None:
        self._calibration, self._base = calibration or Calibration({}), base
        self.key: Mapping[str, object] = {} if calibration is None else {"calibration": True}  # of the recipe

    def measured(self, names: Sequence[str], array: np.ndarray, points: list[Point]) -> list[Point]:
        """The points of the tensor of these names with what they change at the outputs, if its inputs are known."""
        moments = next((self._calibration[name] for name in names if name in self._calibration), None)
        if moments is None:
            return points
        some = _Some(array, moments, self._base)
        out: list[Point] = []
        for _, kind in groupby(points, key=lambda point: (point.step is None, point.density)):
            out += _of_kind(some, list(kind))
        return out

    def remarks(self, tensors: Mapping[str, np.ndarray], owners: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        """Says which tensors are planned without data; each of them has some names."""
        if not self._calibration:
            return ()
        without = [owner for owner, names in owners.items() if not any(name in self._calibration for name in names)]
        if not without:
            return ()
        share = sum(tensors[owner].size for owner in without) / sum(tensors[owner].size for owner in owners)
        unreached = [owner for owner in without if owner in self._calibration.unreached]
        why = "their inputs are unknown" if not unreached else (
            f"their inputs are unknown ({plural(len(unreached), 'layer')} of them no sample reached)"
        )  # fmt: skip
        listed = ", ".join(without[:3]) + (", ..." if len(without) > 3 else "")
        return (f"{percent(share)} of the weights are rounded without data, as {why}: {listed}",)


class _Some:
    """Some of a layer's outputs, with all their inputs; all of one with groups."""

    def __init__(self, array: np.ndarray, moments: Moments, base: Mapping[str, object]) -> None:
        self._part, self._base = _part(array, moments), base
        bias = None if moments.bias is None else "bias"
        shapes = {"w": self._part, "bias": np.zeros(moments.outputs(self._part.shape), np.float32)}
        self._inputs = Inputs(Calibration({"w": replace(moments, bias=bias)}), shapes, [], lambda name: True)

    def gain(self, point: Point) -> float:
        """The relative error of the outputs, with feedback, over that of the weights, rounded plainly."""
        runner = RecipeRunner({**self._base, **point.keys, "weight_threshold": 0}, ["w"], lambda name: self._part)
        _, plain = runner.apply("w", self._part)
        _, fed = runner.apply("w", self._part, inputs=self._inputs)
        return (fed.output_error or 0.0) / plain.rel_error if plain.rel_error else 0.0


def _part(array: np.ndarray, moments: Moments) -> np.ndarray:
    outputs = moments.outputs(array.shape)
    count = min(max(_SAMPLE // moments.inputs, _LEAST), outputs)
    if moments.groups > 1 or count == outputs:
        return array
    chosen = np.linspace(0, outputs - 1, count).astype(np.int64)
    if moments.inputs_first:
        return array.reshape(moments.inputs, outputs)[:, chosen]
    return array[chosen] if len(array) == outputs else array.reshape(outputs, moments.inputs)[chosen]


def _of_kind(some: _Some, points: list[Point]) -> list[Point]:
    """Points that differ in a step, or in bits."""
    changed = sorted((point for point in points if point.rel_error), key=lambda point: point.rel_error)
    logs, gains = [], []
    for at in sorted({round(i) for i in np.linspace(0, len(changed) - 1, min(len(changed), _TRIES))}):
        gain = some.gain(changed[at])
        if gain:
            logs.append(np.log(changed[at].rel_error))
            gains.append(np.log(gain))
    if not gains:  # nothing is done, or no input of a sample is other than zero: weights say more
        return points

    def at_outputs(error: float) -> float:
        return error * float(np.exp(np.interp(np.log(error), logs, gains))) if error else 0.0

    return [replace(point, output_error=at_outputs(point.rel_error)) for point in points]
