"""Plans made and measured: the drafts that a search draws from the curves of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.errors import DczError
from dcz.lossy.flat import dot, flat, pieces
from dcz.lossy.grid import TooFine
from dcz.lossy.moments import Calibration
from dcz.planning import made, search
from dcz.planning.curves import Curves, Measured
from dcz.planning.layers import Layers
from dcz.planning.made import Made, Maker
from dcz.planning.outcome import Planned, dense_bytes, file_bytes, outcome
from dcz.planning.points import Point, stored_bytes
from dcz.planning.scores import Scores
from dcz.planning.search import Choice, Cost, Path
from dcz.planning.small import BFLOAT16
from dcz.text import plural

Costs = Mapping[str, Cost]

# How often bytes that the estimate missed are taken off the target.
_CORRECTIONS = 12
# How often steps are made finer, and the fraction of the bytes for which it is not worth it.
_FINER = 4
_SPARE = 0.002
# Of the way to a size that is known to be too large, what is gone next.
_SHORT = 0.97
# Bits a weight by which steps are made coarser at most: the tries are a third of a bit apart.
_COARSER = 0.4
# How much coarser steps become at most to make room for something else, and more at a time than is expected to do.
_FAR = 2.0
_STRIDE = 0.01
# Points of a tensor at which its loss of score is measured.
_READINGS = 4


class OutOfReach(DczError):
    """No plan has a file so small."""


@dataclass(slots=True)
class Draft:
    """A choice that was made: its tensors, the bytes of their file, and their score once it is asked for."""

    choice: Choice
    recipe: dict[str, object]
    made: dict[str, Made]
    file_bytes: int
    score: float | None = None


class Drafts:
    """The drafts made by the curves of tensors, which are measured once for all targets."""

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        base: dict[str, object],
        profile: str,
        keep_nonfinite: bool,
        scores: Scores | None,
        validation: Scores | None,
        calibration: Calibration | None = None,
        measured: Measured | None = None,
    ) -> None:
        """`measured` is as in `Curves`."""
        self.scores = scores
        self._tensors, self._base, self._profile, self._validation = tensors, base, profile, validation
        self._maker, self._layers = Maker(tensors, profile, keep_nonfinite, calibration), Layers(calibration, base)
        self.curves = Curves(tensors, base, profile, self._layers, scores is not None, measured)
        self._lost: dict[str, Callable[[float], float]] = {}
        self._small: Choice = {}

    def measure_small(self, names: list[str]) -> None:
        """Lets these, biases and norms and what else is small, be rounded to bfloat16 where that scores better."""
        self._small = {name: Point(BFLOAT16, 0, 0.0) for name in names}

    # -- what an error costs

    def costs(self) -> list[Costs]:
        """Ways to weigh the points of each tensor: by squared relative error; with a score also by what each tensor
        loses of it alone, and by squared error, where one step for all tensors is the least. The best is found by the
        scores of the plans that they make."""
        relative: Costs = dict.fromkeys(self.curves.points, search.squared)
        if self.scores is None:
            return [relative]
        absolute: Costs = {name: search.absolute(self._norm(name)) for name in self.curves.points}
        self._lost = {name: self._measured(name) for name in self.curves.points}
        return [{name: search.by_score(lost) for name, lost in self._lost.items()}, relative, absolute]

    def _norm(self, name: str) -> float:
        """Sum of a tensor's squared weights."""
        return sum(dot(values, values) for _, values in pieces(flat(np.asarray(self._tensors[name]))))

    def _measured(self, name: str) -> Callable[[float], float]:
        """The score that a tensor loses alone at a squared relative error: measured at a few points of its hull, and
        in proportion between and beyond them."""
        assert self.scores is not None
        points = [point for point in search.hull(self.curves.points[name], search.squared) if point.rel_error]
        errors, lost = [0.0], [0.0]
        for at in sorted({round(i) for i in np.linspace(0, len(points) - 1, min(len(points), _READINGS))}):
            made_ = self._maker.make(self._recipe({name: points[at]}))
            errors.append(made_[name].error ** 2)
            lost.append(max(lost[-1], self.scores.drop(made.arrays(made_))))

        def at_error(squared: float) -> float:
            return float(np.interp(squared, errors, lost)) * max(1.0, squared / errors[-1] if errors[-1] else 1.0)

        return at_error

    # -- drafts

    def draft(self, choice: Choice) -> Draft:
        """The tensors by a choice, and the size of their file."""
        recipe = self._recipe(choice)
        found = self._maker.make(recipe)
        return Draft(choice, recipe, found, file_bytes(made.arrays(found), self._profile))

    def _recipe(self, choice: Choice) -> dict[str, object]:
        return {**self._base, "tensors": {
            name: dict(point.keys) for owner, point in choice.items() for name in self.curves.names.get(owner, [owner])
        }}  # fmt: skip

    def score(self, draft: Draft) -> float:
        """Of all tensors of a draft."""
        assert self.scores is not None
        if draft.score is None:
            draft.score = self.scores.of(made.arrays(draft.made))
        return draft.score

    def by_error(self, most: float) -> Choice:
        """For each tensor the smallest point of at most this relative error."""
        return {
            name: min((p for p in points if p.error <= most), key=lambda p: (p.nbytes, p.error))
            for name, points in self.curves.points.items()
        }

    def by_size(self, costs: Costs, wanted: int) -> Draft:
        """The choice of least cost whose file has at most so many bytes."""
        curves, smallest = self.curves.points, None
        budget = wanted - sum(
            stored_bytes(np.asarray(array), self._profile, name)
            for name, array in self._tensors.items()
            if not any(name in names for names in self.curves.names.values())
        )
        for turn in range(_CORRECTIONS):
            path = Path(curves, costs)
            choice = search.within(path, curves, costs, budget)
            if choice is None and self.curves.add_harsher():
                curves = self.curves.points
                continue
            draft = self.draft(path[-1] if choice is None else choice)
            if draft.file_bytes <= wanted:
                return self._finer(draft, wanted)
            smallest = draft if smallest is None or draft.file_bytes < smallest.file_bytes else smallest
            if choice is None:
                break
            # The index and what samples missed are known now; from then on a little less each time.
            treated = {name: draft.made[name].nbytes for name in choice}
            curves = {name: _learnt(curves[name], choice[name], nbytes) for name, nbytes in treated.items()}
            budget = wanted - (draft.file_bytes - sum(treated.values())) - turn * wanted // 500
        assert smallest is not None
        asked = plural(wanted, "byte") if wanted else "less than one byte"
        raise OutOfReach(
            f"target: a file of {asked} cannot be made; the smallest plan takes {smallest.file_bytes} bytes, "
            f"a ratio of {dense_bytes(self._tensors) / smallest.file_bytes:.1f}; try larger steps, smaller densities "
            "or fewer n_bits"
        )

    def by_drop(self, costs: list[Costs], most: float) -> Draft:
        """The smallest file that a search finds whose score is at most so much below that of the tensors given. Errors
        are weighed in the way that scores best at the size where the search begins."""
        path = Path(self.curves.points, costs[0])
        draft = self._bisected(path, most, "path")
        best, drop = costs[0], self._drop(draft)
        for other in costs[1:]:
            found = self._drop(self.by_size(other, draft.file_bytes))
            if found < drop:
                best, drop = other, found
        if best is not costs[0]:
            draft = min(
                draft, self._bisected(Path(self.curves.points, best), most, "other"), key=lambda each: each.file_bytes
            )
        draft = self._coarser(draft, most)
        return self._coarser(self.improved(draft, draft.file_bytes), most)

    def _bisected(self, path: Path, most: float, series: str) -> Draft:
        """The smallest draft of a path that loses no more than `most`, if smaller ones lose more."""
        good, bad, best = 0, len(path), self.draft(path[0])
        while bad - good > 1:
            middle = (good + bad) // 2
            draft = self.draft(path[middle])
            if self._drop(draft, series) <= most:
                good, best = middle, draft
            else:
                bad = middle
        return best

    def _drop(self, draft: Draft, series: str | None = None) -> float:
        assert self.scores is not None
        score = self.score(draft)
        if series is not None:
            self.scores.saw(series, draft.file_bytes, score)
        return self.scores.baseline - score

    def _scaled(self, draft: Draft, bits: float) -> Draft:
        """A draft with steps of so many bits a weight more."""
        return self.draft({name: point.scaled(2**-bits) for name, point in draft.choice.items()})

    def _finer(self, draft: Draft, wanted: int) -> Draft:
        """The draft with all steps smaller by one factor, which spends the bytes that the tries leave between them."""
        gridded = sum(self._tensors[name].size for name, point in draft.choice.items() if point.step)
        first, best, bits, most = draft, draft, 0.0, math.inf
        beyond: tuple[float, int] | None = None  # how much finer is too much, and the bytes that it took
        for _ in range(_FINER):
            spare = wanted - best.file_bytes
            if not gridded or spare < wanted * _SPARE:
                break
            more = bits + 8 * spare / gridded
            if beyond is not None:
                more = bits + _SHORT * (beyond[0] - bits) * spare / (beyond[1] - best.file_bytes)
            more = min(more, (bits + most) / 2)
            try:
                found = self._scaled(first, more)
            except TooFine:  # the bytes that are left would take more levels than a codebook holds
                most = more
                continue
            if found.file_bytes > wanted:
                beyond = more, found.file_bytes
            else:
                bits, best = more, found
        return best

    def _coarser(self, draft: Draft, most: float) -> Draft:
        """The draft with all steps larger by one factor, which spends the loss that the tries leave between them."""
        if not any(point.step for point in draft.choice.values()):
            return draft
        best, good, bad = draft, 0.0, _COARSER
        for _ in range(_FINER):
            middle = (good + bad) / 2
            found = self._scaled(draft, -middle)
            if self._drop(found) <= most and found.file_bytes < best.file_bytes:
                good, best = middle, found
            else:
                bad = middle
        return best

    def improved(self, draft: Draft, wanted: int) -> Draft:
        """The draft with what scores better in a file of this size at most: steps by channel, small tensors in
        bfloat16, and codebooks rescaled."""
        for axis in (0, -1):
            draft = self._better(draft, self._with(draft, _by_channel(axis)), wanted)
        draft = self._better(draft, {**draft.choice, **self._small}, wanted)
        return self._better(draft, self._with(draft, _rescaled), wanted)

    def _with(self, draft: Draft, change: Callable[[Point], Point]) -> Choice:
        return {
            name: change(point) if self._tensors[name].ndim > 1 or point.step is None else point
            for name, point in draft.choice.items()
        }

    def _better(self, draft: Draft, choice: Choice, wanted: int) -> Draft:
        """The draft, or that of another choice if it scores better at the same size."""
        if choice == draft.choice:
            return draft
        found = self._sized(choice, wanted)
        return found if found is not None and self.score(found) > self.score(draft) else draft

    def _sized(self, choice: Choice, wanted: int) -> Draft | None:
        """A choice with all steps larger or smaller by one factor, so that its file has at most so many bytes and few
        less; None where steps that are `_FAR` bits a weight coarser do not do."""
        gridded = sum(self._tensors[name].size for name, point in choice.items() if point.step)
        draft, bits = self.draft(choice), 0.0
        while draft.file_bytes > wanted:
            if not gridded or bits > _FAR:
                return None
            bits += 8 * (draft.file_bytes - wanted) / gridded + _STRIDE
            draft = self.draft({name: point.scaled(2**bits) for name, point in choice.items()})
        return self._finer(draft, wanted)

    def planned(self, draft: Draft) -> Planned:
        """All that is known of a draft."""
        plain, warnings, score, baseline = made.arrays(draft.made), [], None, None
        if self.scores is not None:
            baseline, score = self.scores.baseline, self.score(draft)
            self.scores.saw("plans", draft.file_bytes, score)
            expected = sum(lost(draft.made[name].error ** 2) for name, lost in self._lost.items())
            warnings += self.scores.warnings(score, expected)
        validated = None
        if self._validation is not None:
            validated = self._validation.of(plain)
            assert self.scores is not None and score is not None
            warnings += self._validation.apart(validated, self.scores.baseline - score)
        said = warnings, self._layers.remarks(self._tensors, self.curves.names)
        recipe = {**self._layers.key, **draft.recipe}
        return outcome(recipe, self._tensors, draft.made, draft.file_bytes, score, baseline, validated, *said)


def _learnt(points: list[Point], taken: Point, nbytes: int) -> list[Point]:
    """A tensor's points where one of them is known to take so many bytes."""
    if not taken.rel_error or not taken.nbytes:
        return points
    return [point.sized(nbytes / taken.nbytes) if point.rel_error else point for point in points]


def _rescaled(point: Point) -> Point:
    rounded = (point.step or point.n_bits) and "codebook_dtype" not in point.keys
    return point.changed(rescale=True) if rounded else point


def _by_channel(axis: int) -> Callable[[Point], Point]:
    return lambda point: point if point.step is None else point.changed(granularity="per_channel", axis=axis)
