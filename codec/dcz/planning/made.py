"""Tensors treated as a plan has it: each again only where the plan changes what is done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz.container.threads import each, thread_count
from dcz.lossy.compression import Compressed, RecipeRunner, TensorReport
from dcz.lossy.inputs import Inputs, tied_names
from dcz.lossy.moments import Calibration
from dcz.lossy.recipe import Settings
from dcz.planning.points import stored_bytes
from dcz.ties import Ties


@dataclass(frozen=True, slots=True)
class Made:
    """One tensor after its treatment; `nbytes` are those it is stored in, with its share of the index; `bias` is the
    name of what takes up `shift`, the change of its layer's mean outputs; `added` is what a bias itself took up."""

    settings: Settings
    array: np.ndarray
    report: TensorReport
    nbytes: int
    bias: str | None = None
    shift: NDArray[np.float64] | None = None
    added: NDArray[np.float64] | None = None

    @property
    def error(self) -> float:
        """Relative: of the layer's outputs where its inputs are known, else of the weights."""
        return self.report.rel_error if self.report.output_error is None else self.report.output_error


class Maker:
    """Applies recipes to the same tensors, one after another; the last outcome of each tensor is kept."""

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        profile: str,
        keep_nonfinite: bool,
        calibration: Calibration | None = None,
    ) -> None:
        self._tensors, self._profile, self._keep_nonfinite = tensors, profile, keep_nonfinite
        self._calibration, self._tied = calibration, tied_names(tensors)
        self._made: dict[str, Made] = {}

    def make(self, recipe: Mapping[str, object]) -> dict[str, Made]:
        """All tensors by this recipe. Names of one array that are treated alike have one outcome."""
        runner = RecipeRunner(recipe, self._tensors, self._read, self._keep_nonfinite)
        inputs = Inputs(
            self._calibration, self._tensors, self._tied, lambda name: runner.takes_shift(name, self._read(name))
        )
        ties = Ties()
        owners = {name: ties.owner(name, array, runner.settings(name)) for name, array in self._tensors.items()}

        def one(name: str) -> None:
            self._one(runner, inputs, name, runner.settings(name))

        # Those that have moments share what is known of their inputs, and wait for one another; biases for all of them.
        own = [name for name, owner in owners.items() if name == owner]
        each(one, [name for name in own if name in inputs], 1)
        each(one, [name for name in own if name not in inputs], thread_count(None))
        return {name: self._made[owner] for name, owner in owners.items()}

    def _read(self, name: str) -> np.ndarray:
        return np.asarray(self._tensors[name])

    def _one(self, runner: RecipeRunner, inputs: Inputs, name: str, settings: Settings) -> None:
        made, bias = self._made.get(name), inputs.bias_of(name)
        added = inputs.shifts.get(name)
        if made is None or made.settings != settings or made.bias != bias or made.added is not added:
            array, report = runner.apply(name, inputs.shifted(name, self._read(name)), inputs=inputs)
            shift = None if bias is None else inputs.shifts.get(bias)
            nbytes = stored_bytes(array, self._profile, name)
            self._made[name] = Made(settings, array, report, nbytes, bias, shift, added)
        elif bias is not None and made.shift is not None:
            inputs.shifts[bias] = made.shift


def arrays(made: Mapping[str, Made]) -> Compressed:
    """The tensors alone, as `compress` gives them."""
    out = Compressed((name, each.array) for name, each in made.items())
    out.reports = {name: each.report for name, each in made.items()}
    return out


def total(made: Mapping[str, Made]) -> int:
    """Bytes of all, each array once."""
    return sum({id(each.array): each.nbytes for each in made.values()}.values())
