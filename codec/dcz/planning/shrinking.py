"""The smallest file that keeps a network's outputs: steps by sensitivity, error feedback, a search, a verification."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.errors import DczError
from dcz.lossy.compression import Compressed, compress
from dcz.lossy.moments import Calibration
from dcz.lossy.selection import check_number, select
from dcz.planning.outcome import dense_bytes, file_bytes
from dcz.planning.small import BFLOAT16, SMALL, small_names
from dcz.text import percent, plural
from dcz.ties import Ties

Tensors = Mapping[str, np.ndarray]
# Given tensors, a figure that larger is better of.
Judge = Callable[[Tensors], float]
Progress = Callable[[int, int], None]

# The step at which each tensor alone is measured, in units of its root mean square.
_PROBE = 0.25
# Against the mean one, a step from which on a tensor is measured at a coarse one too.
_LARGE, _COARSE_PROBE = 2.0, 1.5
# Steps that a tensor may get, and the mean ones that are tried, until all tensors have the coarsest.
_FINEST, _COARSEST = 0.005, 3.0
_LADDER = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2)
# Halvings of the interval in which the target lies: 1 % of the step then.
_HALVINGS = 4
# Of the score that may be lost, the share that small tensors may lose in bfloat16.
_UNNOTICED = 0.1
# How much better a smaller file may score before the figure is called not monotone.
_SLACK = 0.002


@dataclass(frozen=True, slots=True)
class Tried:
    """A file that was tried: the `step` of its tensors in the mean, its bytes, and the score on the samples that were
    searched on, as a fraction of the original's."""

    step: float
    nbytes: int
    score: float


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The result of `shrink`.

    Attributes:
        tensors: names to arrays, rounded.
        recipe: what `dcz.compress` makes them by, with the same calibration, which it then asks for.
        curve: all that was tried, from large to small.
        chosen: the one of the curve that was taken.
        kept: the score on samples that were not searched on, as a fraction of the original's.
        keep: what was asked for.
        dense: bytes of the arrays.
        remarks: what a user should know besides: one sentence each.
        calibration: the moments that the tensors were rounded by, if there are any; see `dcz.save_calibration`.
    """

    tensors: Compressed
    recipe: dict[str, object]
    curve: tuple[Tried, ...]
    chosen: Tried
    kept: float
    keep: float
    dense: int
    remarks: tuple[str, ...]
    calibration: Calibration | None = None

    @property
    def ratio(self) -> float:
        """Dense bytes per byte of the file."""
        return self.dense / self.chosen.nbytes


def shrink(
    tensors: Tensors,
    calibration: Calibration | None,
    *,
    keep: float,
    searched: Judge,
    held_out: Judge,
    change: Judge,
    metric: str = "score",
    names: list[str] | None = None,
    profile: str = "auto",
    progress: Progress | None = None,
) -> Shrunk:
    """Finds the smallest file whose score is at least `keep` of the original's, on samples that are not searched on.

    Each tensor is rounded alone and the change of the outputs measured; steps are then such that a bit more is worth
    the same everywhere (Shoham and Gersho 1988), and one factor for all of them is searched by bisection.

    Args:
        searched, held_out: the score for two sets of samples; the first is searched on, the second verifies.
        change: how much the outputs change, squared and relative; 0 for the tensors given.

    Raises:
        DczError: no tensor to round, scores that are no positive numbers, a target out of reach.
    """
    keep = check_number(keep, "keep", 0, 1, open_left=True)
    search = Search(tensors, calibration, keep, searched, change, metric, names, profile, progress)
    curve = search.curve()
    base = _score(held_out(tensors), f"{metric} of the model itself on held-out samples", positive=True)
    failed: list[float] = []
    for tried in sorted((each for each in curve if search.safe(each)), key=lambda each: each.nbytes):
        made = search.made(tried.step)
        kept = _score(held_out({**tensors, **made}), metric) / base
        if kept >= keep:
            asks: dict[str, object] = {"calibration": True} if calibration else {}
            return Shrunk(
                made, asks | search.recipe(tried.step), tuple(curve), tried, kept, keep, dense_bytes(tensors),
                search.remarks(failed), calibration or None,
            )  # fmt: skip
        failed.append(kept)
    best = max(curve, key=lambda each: each.score)
    found = f"{max(failed):.5f} on held-out samples" if failed else f"{best.score:.5f} on the samples searched"
    largest = max(each.nbytes for each in curve)
    raise DczError(
        f"keep: {keep:.7g} of {metric} is out of reach: the finest of {plural(len(curve), 'file')} tried, of "
        f"{plural(largest, 'byte')}, has {found}; ask for less, give more samples, or leave the most sensitive tensors "
        f"alone: {', '.join(search.sensitive())}"
    )


class Search:
    """Steps of all tensors by one factor, and what was found at each."""

    def __init__(
        self,
        tensors: Tensors,
        calibration: Calibration | None,
        keep: float,
        judge: Judge,
        change: Judge,
        metric: str,
        names: list[str] | None,
        profile: str,
        progress: Progress | None,
    ) -> None:
        self._tensors, self._calibration, self._keep, self._profile = tensors, calibration, keep, profile
        self._judge, self._metric, self._progress = judge, metric, progress
        chosen, skipped = select(tensors, names, SMALL, False)
        ties = Ties()
        tied: dict[str, list[str]] = {}
        for name in chosen:
            tied.setdefault(ties.owner(name, tensors[name]), []).append(name)
        if not tied:
            raise DczError("tensors: none is large enough to be rounded, or none is of floats")
        self._tied = tied
        self._steps_done, self._steps = 0, len(tied) + len(_LADDER) + _HALVINGS
        self._base = _score(judge(tensors), f"{metric} of the model itself", positive=True)
        self._small = self._harmless([] if names is not None else small_names(tensors, skipped))
        self._relative = self._sensitivities(change)
        self._found: dict[float, Tried] = {}

    def _harmless(self, small: list[str]) -> dict[str, dict[str, object]]:
        """Biases, norms and small weights in bfloat16, unless that loses a noticeable part of what may be lost."""
        keys = dict.fromkeys(small, BFLOAT16)
        if not small:
            return keys
        made = compress(self._tensors, {"tensors": keys})
        lost = 1 - _score(self._judge({**self._tensors, **made}), self._metric) / self._base
        return keys if lost <= _UNNOTICED * (1 - self._keep) else {}

    def _sensitivities(self, change: Judge) -> dict[str, float]:
        """The step of each tensor against the mean one: its size over what it changes at the outputs, the root. Where
        that is a large one, the change is measured at a large step too: rounding to nothing may do what a fine one,
        for which other weights make up, does not."""
        found = self._changes(self._tied, _PROBE, change)
        steps = self._relative_steps(found)
        coarse = {owner: self._tied[owner] for owner, step in steps.items() if step > _LARGE}
        self._steps += len(coarse)
        for owner, each in self._changes(coarse, _COARSE_PROBE, change).items():
            found[owner] = max(found[owner], each)
        return self._relative_steps(found)

    def _changes(self, tied: Mapping[str, list[str]], step: float, change: Judge) -> dict[str, float]:
        """For each tensor what it alone, rounded to a step, changes at the outputs over the square of the step."""
        alone = compress(
            self._tensors, self._recipe(dict.fromkeys(self._tied, step)), calibration=self._calibration
        ) if tied else {}  # fmt: skip
        out: dict[str, float] = {}
        for owner, names in tied.items():
            own = {name: alone[name] for name in names}
            moments = None if self._calibration is None else self._calibration.get(owner)
            bias = None if moments is None else moments.bias
            if bias is not None:
                own[bias] = alone[bias]
            out[owner] = _score(change({**self._tensors, **own}), "change of the outputs") / step**2
            self._advance()
        return out

    def _relative_steps(self, changes: Mapping[str, float]) -> dict[str, float]:
        """Steps of which a bit more is worth the same in each tensor; their mean, by size, is 1."""
        logs = {
            owner: math.log(self._tensors[owner].size / max(change, 1e-12)) / 2 for owner, change in changes.items()
        }
        mean = float(np.average(list(logs.values()), weights=[self._tensors[owner].size for owner in logs]))
        return {owner: math.exp(log - mean) for owner, log in logs.items()}

    def _advance(self) -> None:
        self._steps_done += 1
        if self._progress is not None:
            self._progress(min(self._steps_done, self._steps), self._steps)

    def _recipe(self, steps: Mapping[str, float]) -> dict[str, object]:
        stepped: dict[str, dict[str, object]] = {
            name: {"step": round(min(max(step, _FINEST), _COARSEST), 5)}
            for owner, step in steps.items() for name in self._tied[owner]
        }  # fmt: skip
        return {"tensors": {**stepped, **self._small}}

    def recipe(self, step: float) -> dict[str, object]:
        """The recipe for a mean step."""
        return self._recipe({owner: step * factor for owner, factor in self._relative.items()})

    def made(self, step: float) -> Compressed:
        """The tensors for a mean step."""
        return compress(self._tensors, self.recipe(step), calibration=self._calibration)

    def _try(self, step: float) -> Tried:
        made = self.made(step)
        score = _score(self._judge({**self._tensors, **made}), self._metric) / self._base
        self._found[step] = Tried(step, file_bytes(made, self._profile), score)
        self._advance()
        return self._found[step]

    def curve(self) -> list[Tried]:
        """Coarser and coarser steps until the score is lost, then halvings in between."""
        good, bad = 0.0, 0.0
        for step in _LADDER:
            if self._found and self.recipe(step) == self.recipe(max(self._found)):
                break  # all tensors have the coarsest step
            if self._try(step).score >= self._keep and not bad:
                good = step
            elif not bad:
                bad = step
            elif self._found[step].score < self._keep - (1 - self._keep):
                break  # far gone: the curve needs no more
        for _ in range(_HALVINGS if good and bad else 0):
            middle = math.sqrt(good * bad)
            if self._try(middle).score >= self._keep:
                good = middle
            else:
                bad = middle
        return sorted(self._found.values(), key=lambda each: -each.nbytes)

    def safe(self, tried: Tried) -> bool:
        """True if it keeps the score, and all larger files do."""
        return all(each.score >= self._keep for each in self._found.values() if each.nbytes >= tried.nbytes)

    def sensitive(self) -> list[str]:
        """The tensors of the smallest steps."""
        return sorted(self._relative, key=lambda owner: self._relative[owner])[:3]

    def remarks(self, failed: list[float]) -> tuple[str, ...]:
        """What is to be said besides."""
        out = []
        if failed:
            out.append(
                f"{plural(len(failed), 'smaller file')} kept enough on the samples searched and not on those held out "
                f"({failed[0]:.5f}): give more samples"
            )
        ordered = sorted(self._found.values(), key=lambda each: -each.nbytes)
        for large, small in zip(ordered, ordered[1:]):
            if small.score > large.score + _SLACK:
                out.append(
                    f"{self._metric} is not monotone: {small.score:.5f} at {small.nbytes} bytes, {large.score:.5f} at "
                    f"{large.nbytes}; a smaller file may do by luck, and was not taken"
                )
                break
        if self._calibration is None:
            out.append("no layer's inputs could be measured: all tensors are rounded without data")
        else:
            without = [owner for owner, names in self._tied.items() if not any(n in self._calibration for n in names)]
            if without:
                weights = sum(self._tensors[owner].size for owner in without)
                share = weights / sum(self._tensors[owner].size for owner in self._tied)
                listed = ", ".join(without[:3]) + (", ..." if len(without) > 3 else "")
                out.append(
                    f"{percent(share)} of the weights are rounded without data, as their inputs are unknown: {listed}"
                )
        return tuple(out)


def _score(value: object, what: str, *, positive: bool = False) -> float:
    """A finite number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DczError(f"{what}: expected a number, found {type(value).__name__}") from None
    if not math.isfinite(number) or (positive and number <= 0):
        wanted = "a positive number" if positive else "a finite number"
        raise DczError(f"{what}: expected {wanted}, found {number:g}")
    return number
