"""Step, or density and bit-width, of each tensor, chosen for a size, for an error, or for an accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from dcz.errors import DczError
from dcz.lossy.compression import Compressed, compress
from dcz.lossy.flat import dot, flat, pieces
from dcz.lossy.selection import WEIGHT_THRESHOLD, select
from dcz.planning import search
from dcz.planning.outcome import Planned, dense_bytes, outcome
from dcz.planning.points import GONE, Point, Tries, curve, stored_bytes
from dcz.planning.search import Choice, Cost
from dcz.planning.targets import check_base, check_target
from dcz.tensor.choose import check_profile
from dcz.ties import Ties

Costs = Mapping[str, Cost]
Evaluate = Callable[[Mapping[str, np.ndarray]], float]
Progress = Callable[[int, int], None]

# How often bytes that the estimate missed are taken off the target.
_CORRECTIONS = 12
# How often steps are made finer, and the fraction of the bytes for which it is not worth it.
_FINER = 4
_SPARE = 0.002
# Points of a tensor at which its loss of score is measured.
_READINGS = 4
# Of two points of equal score, that of smaller error.
_TIE = 1e-6
# Keys that have no meaning, or another one, for a grid.
_KMEANS = {"init", "entropy"}


def plan(
    tensors: Mapping[str, np.ndarray],
    *,
    target_ratio: float | None = None,
    target_bytes: int | None = None,
    max_rel_error: float | None = None,
    max_drop: float | None = None,
    evaluate: Evaluate | None = None,
    steps: Iterable[float] | None = None,
    densities: Iterable[float] | None = None,
    n_bits: Iterable[int] | None = None,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    keep_nonfinite: bool = False,
    progress: Progress | None = None,
) -> Planned:
    """Chooses a step, or a density and a bit-width, for each tensor by measurement, and gives the recipe.

    Every eligible tensor is rounded to the grid of each step, or pruned and clustered as asked, and sized by the codec
    (large ones on a sample). For a size, the plan minimises the sum over tensors of the squared relative error: by the
    slopes of the convex hulls, what costs the least per byte first (Shoham and Gersho 1988). With `evaluate` it also
    tries the sum of squared errors, and of the score that each tensor loses alone, measured at four points, and keeps
    the plan that scores best. The file is then made, and the plan corrected by its size.

    Args:
        tensors: names to numpy arrays; they stay as they are.
        target_ratio: dense bytes per byte of the file, at least.
        target_bytes: bytes of the file, at most.
        max_rel_error: for each tensor the smallest size at which the root of the sum of squared errors is at most
            this fraction of that of the squared weights.
        max_drop: the smallest file whose score is at most this below that of the tensors given; needs `evaluate`.
        evaluate: takes tensors, gives a score, larger is better: an accuracy. What it raises passes through.
        steps: of a grid, in units of each tensor's root mean square. Without `steps`, `densities` and `n_bits`, 26 of
            them are tried, and a few densities for where a grid would leave nothing.
        densities, n_bits: every density is tried with every number of bits of k-means. 1.0 stands for no pruning.
        recipe: keys for all tensors, as `init`, `entropy` and `weight_threshold`; the first two go with k-means, which
            is tried then.
        names: names or patterns of the tensors to plan for; others are left alone.
        profile: as in `save_file`.
        keep_nonfinite: leaves tensors with NaN or infinity alone instead of refusing them.
        progress: called with (tensors measured, tensors in all).

    Raises:
        DczError: invalid arguments, or a target that cannot be met; the error says what can.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).laplace(size=(128, 128)).astype("float32")
    >>> planned = dcz.plan({"w": w, "bias": w[0]}, target_ratio=10, densities=[1, 0.3, 0.1], n_bits=[2, 4])
    >>> planned.ratio >= 10, list(planned.recipe["tensors"])
    (True, ['w'])
    >>> small = dcz.compress({"w": w, "bias": w[0]}, planned.recipe)
    """
    check_profile(profile)
    given = check_target(target_ratio, target_bytes, max_rel_error, max_drop)
    if max_drop is not None and evaluate is None:
        raise DczError("max_drop: needs evaluate, a function from tensors to a score")
    base = check_base(recipe)
    tries = Tries.of(steps, densities, n_bits, kmeans=bool(base.keys() & _KMEANS))
    threshold = base.get("weight_threshold", WEIGHT_THRESHOLD)
    chosen, _ = select(tensors, names, threshold, keep_nonfinite)  # type: ignore[arg-type]
    if not chosen:
        raise DczError("tensors: none is eligible; see names and weight_threshold")
    planner = _Planner(tensors, base, profile, keep_nonfinite, evaluate)
    chosen = planner.tie(chosen)
    for number, name in enumerate(chosen):
        points = curve(name, np.asarray(tensors[name]), tries, base, profile)
        planner.curves[name] = [point for point in points if evaluate is not None or point.rel_error < GONE]
        if progress is not None:
            progress(number + 1, len(chosen))
    if given == "max_rel_error":
        assert max_rel_error is not None
        return planner.finish(planner.by_error(max_rel_error))
    costs = planner.costs()
    if given == "max_drop":
        assert max_drop is not None
        return planner.by_drop(costs, max_drop)
    dense = dense_bytes(tensors)
    wanted = target_bytes if target_bytes is not None else int(dense / float(target_ratio or 1))
    return planner.best(costs, wanted)


class _Planner:
    """The curves of the tensors that are planned for, and what may be asked of them."""

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        base: dict[str, object],
        profile: str,
        keep_nonfinite: bool,
        evaluate: Evaluate | None,
    ) -> None:
        self.curves: dict[str, list[Point]] = {}
        self._names: dict[str, list[str]] = {}
        self._tensors, self._base, self._profile = tensors, base, profile
        self._keep_nonfinite, self._evaluate = keep_nonfinite, evaluate
        self._baseline = None if evaluate is None else float(evaluate(dict(tensors)))

    def tie(self, names: list[str]) -> list[str]:
        """The names without those of an array that an earlier one has; these will be treated as it is."""
        ties = Ties()
        for name in names:
            self._names.setdefault(ties.owner(name, self._tensors[name]), []).append(name)
        return list(self._names)

    def costs(self) -> list[Costs]:
        """Ways to weigh the points of each tensor, the best one to be found by evaluating their choices: by squared
        relative error; with `evaluate` also by the score that each tensor loses alone, and by squared error, where one
        step for all tensors is the least."""
        relative: Costs = dict.fromkeys(self.curves, _squared)
        if self._evaluate is None:
            return [relative]
        absolute: Costs = {name: _scaled(self._norm(name)) for name in self.curves}
        return [{name: self._measured(name) for name in self.curves}, relative, absolute]

    def _norm(self, name: str) -> float:
        """Sum of a tensor's squared weights."""
        words = flat(np.asarray(self._tensors[name]))
        return sum(dot(values, values) for _, values in pieces(words))

    def _measured(self, name: str) -> Cost:
        """The score that a tensor loses alone: measured at a few points of its hull, between them in proportion to the
        squared error."""
        points = [point for point in search.hull(self.curves[name], _squared) if point.rel_error]
        errors, lost = [0.0], [0.0]
        for at in sorted({round(i) for i in np.linspace(0, len(points) - 1, min(len(points), _READINGS))}):
            drop = self._drop(self._score(self._compressed({name: points[at]})))
            errors.append(_squared(points[at]))
            lost.append(max(lost[-1], drop))
        return lambda point: float(np.interp(_squared(point), errors, lost)) + _TIE * _squared(point)

    def by_error(self, most: float) -> Choice:
        """For each tensor the smallest point of at most this relative error."""
        return {
            name: min((p for p in points if p.rel_error <= most), key=lambda p: (p.nbytes, p.rel_error))
            for name, points in self.curves.items()
        }

    def by_drop(self, costs: Iterable[Costs], most: float) -> Planned:
        """The smallest file of those that bisection finds on each path down, where the score is still good enough."""
        found = []
        for each in costs:
            choices = search.path(self.curves, each)
            good, bad = 0, len(choices)
            while bad - good > 1:
                middle = (good + bad) // 2
                if self._drop(self._score(self._compressed(choices[middle]))) <= most:
                    good = middle
                else:
                    bad = middle
            found.append(self.finish(choices[good]))
        return min(found, key=lambda planned: planned.file_bytes)

    def best(self, costs: Iterable[Costs], wanted: int) -> Planned:
        """Of the plans for a size by each of the costs that of the best score."""
        found = [self.by_size(each, wanted) for each in costs]
        return max(found, key=lambda planned: 0.0 if planned.score is None else planned.score)

    def by_size(self, costs: Costs, wanted: int) -> Planned:
        """The choice of least cost whose file has at most so many bytes."""
        choices = search.path(self.curves, costs)
        fixed = sum(
            stored_bytes(np.asarray(array), self._profile, name)
            for name, array in self._tensors.items()
            if not any(name in names for names in self._names.values())
        )
        budget = wanted - fixed
        smallest: Planned | None = None
        for turn in range(_CORRECTIONS):
            choice = search.within(choices, self.curves, costs, budget)
            planned = self.finish(choices[-1] if choice is None else choice)
            if planned.file_bytes <= wanted:
                return self._finer(choice or choices[-1], planned, wanted)
            smallest = planned if smallest is None or planned.file_bytes < smallest.file_bytes else smallest
            if choice is None:
                break
            # The index and what a sample missed: so much less, and a little more each time.
            budget = min(budget, search.total(choice)) - (planned.file_bytes - wanted) - turn * wanted // 500
        assert smallest is not None
        raise DczError(
            f"target: a file of {wanted} bytes cannot be made; the smallest plan takes {smallest.file_bytes} bytes, "
            f"a ratio of {smallest.ratio:.1f}; try larger steps, smaller densities or fewer n_bits"
        )

    def _finer(self, choice: Choice, planned: Planned, wanted: int) -> Planned:
        """The plan with all steps smaller by one factor, which spends the bytes that the tries leave between them."""
        gridded = sum(self._tensors[name].size for name, point in choice.items() if point.step)
        bits, most = 0.0, np.inf  # how much finer is known to fit, and how much is not
        for _ in range(_FINER):
            spare = wanted - planned.file_bytes
            if not gridded or spare < wanted * _SPARE:
                break
            more = bits + 8 * spare / gridded
            more = more if more < most else (bits + most) / 2
            found = self.finish({name: point.scaled(2**-more) for name, point in choice.items()})
            if found.file_bytes > wanted or (planned.score or 0.0) > (found.score or 0.0):
                most = more
            else:
                bits, planned = more, found
        return planned

    def finish(self, choice: Choice) -> Planned:
        """The recipe of a choice, and what it comes to."""
        compressed = self._compressed(choice)
        score = None if self._evaluate is None else self._score(compressed)
        return outcome(self._recipe(choice), self._tensors, compressed, self._profile, score, self._baseline)

    def _recipe(self, choice: Choice) -> dict[str, object]:
        return {**self._base, "tensors": {
            name: dict(point.keys) for owner, point in choice.items() for name in self._names[owner]
        }}  # fmt: skip

    def _compressed(self, choice: Choice) -> Compressed:
        return compress(self._tensors, self._recipe(choice), keep_nonfinite=self._keep_nonfinite)

    def _score(self, tensors: Mapping[str, np.ndarray]) -> float:
        assert self._evaluate is not None
        return float(self._evaluate(tensors))

    def _drop(self, score: float) -> float:
        assert self._baseline is not None
        return self._baseline - score


def _scaled(norm: float) -> Cost:
    return lambda point: norm * _squared(point)


def _squared(point: Point) -> float:
    return point.rel_error**2
