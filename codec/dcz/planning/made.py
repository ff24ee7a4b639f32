"""Tensors treated as a plan has it: each again only where the plan changes what is done to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dcz.lossy.compression import Compressed, RecipeRunner, TensorReport
from dcz.lossy.recipe import Settings
from dcz.planning.points import stored_bytes
from dcz.ties import Ties


@dataclass(frozen=True, slots=True)
class Made:
    """One tensor after its treatment; `nbytes` are those it is stored in, with its share of the index."""

    settings: Settings
    array: np.ndarray
    report: TensorReport
    nbytes: int


class Maker:
    """Applies recipes to the same tensors, one after another; the last outcome of each tensor is kept."""

    def __init__(self, tensors: Mapping[str, np.ndarray], profile: str, keep_nonfinite: bool) -> None:
        self._tensors, self._profile, self._keep_nonfinite = tensors, profile, keep_nonfinite
        self._made: dict[str, Made] = {}

    def make(self, recipe: Mapping[str, object]) -> dict[str, Made]:
        """All tensors by this recipe. Names of one array that are treated alike have one outcome."""
        runner = RecipeRunner(recipe, self._tensors, lambda name: self._tensors[name], self._keep_nonfinite)
        ties = Ties()
        out: dict[str, Made] = {}
        for name, array in self._tensors.items():
            settings = runner.settings(name)
            owner = ties.owner(name, array, settings)
            out[name] = out[owner] if owner != name else self._one(runner, name, settings)
        return out

    def _one(self, runner: RecipeRunner, name: str, settings: Settings) -> Made:
        made = self._made.get(name)
        if made is None or made.settings != settings:
            array, report = runner.apply(name, np.asarray(self._tensors[name]))
            nbytes = stored_bytes(array, self._profile, name)
            self._made[name] = made = Made(settings, array, report, nbytes)
        return made


def arrays(made: Mapping[str, Made]) -> Compressed:
    """The tensors alone, as `compress` gives them."""
    out = Compressed((name, each.array) for name, each in made.items())
    out.reports = {name: each.report for name, each in made.items()}
    return out


def total(made: Mapping[str, Made]) -> int:
    """Bytes of all, each array once."""
    return sum({id(each.array): each.nbytes for each in made.values()}.values())
