"""The choice of a point for each tensor: the least cost within a budget of bytes, by the slopes of convex hulls."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import overload

from dcz.planning.points import Point

Choice = dict[str, Point]
Cost = Callable[[Point], float]
# Of two points of equal score, that of smaller error.
_TIE = 1e-6


def squared(point: Point) -> float:
    """By the squared relative error: of a layer's outputs where its inputs are known, else of its weights."""
    return point.error**2


def absolute(norm: float) -> Cost:
    """By the squared error of weights whose squares sum to `norm`: the least for one step for all tensors."""
    return lambda point: norm * point.rel_error**2


def by_score(lost: Callable[[float], float]) -> Cost:
    """By the score that a tensor loses at a squared relative error."""
    return lambda point: lost(squared(point)) + _TIE * squared(point)


def hull(points: Sequence[Point], cost: Cost) -> list[Point]:
    """Points that are the best for some price of a byte: from the largest with the least cost to the smallest, each
    step dearer than the one before."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (-p.nbytes, cost(p))):
        while best and cost(best[-1]) >= cost(point):
            best.pop()
        while len(best) > 1 and _slope(best[-2], best[-1], cost) >= _slope(best[-1], point, cost):
            best.pop()
        if not best or point.nbytes < best[-1].nbytes:
            best.append(point)
    return best


class Path(Sequence[Choice]):
    """Choices for all tensors from the largest file to the smallest, each a step of one tensor from the one before:
    that which costs the least per byte (Shoham and Gersho 1988). A choice is made when it is asked for."""

    def __init__(self, curves: Mapping[str, Sequence[Point]], costs: Mapping[str, Cost]) -> None:
        hulls = {name: hull(points, costs[name]) for name, points in curves.items()}
        steps = sorted(
            (_slope(a, b, costs[name]), number, name, a.nbytes - b.nbytes)
            for name, points in hulls.items()
            for number, (a, b) in enumerate(zip(points, points[1:]))
        )
        self._hulls, self._names = hulls, [name for _, _, name, _ in steps]
        largest = sum(points[0].nbytes for points in hulls.values())
        self._saved = list(accumulate((saved for *_, saved in steps), initial=0))
        self._largest = largest

    def __len__(self) -> int:
        return len(self._names) + 1

    @overload
    def __getitem__(self, number: int) -> Choice: ...
    @overload
    def __getitem__(self, number: slice) -> list[Choice]: ...
    def __getitem__(self, number: int | slice) -> Choice | list[Choice]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        at = range(len(self))[number]
        taken = dict.fromkeys(self._hulls, 0)
        for name in self._names[:at]:
            taken[name] += 1
        return {name: points[taken[name]] for name, points in self._hulls.items()}

    def first_within(self, nbytes: int) -> Choice | None:
        """The first choice that takes at most so many bytes."""
        at = bisect_left(self._saved, self._largest - nbytes)
        return None if at == len(self) else self[at]


def total(choice: Choice) -> int:
    """Bytes of all tensors."""
    return sum(point.nbytes for point in choice.values())


def within(path: Path, curves: Mapping[str, Sequence[Point]], costs: Mapping[str, Cost], nbytes: int) -> Choice | None:
    """The first choice of the path that takes at most so many bytes, with what is left of them spent where it
    lowers the cost most, unless it has steps of a grid, which can be made finer all together; None where none does."""
    found = path.first_within(nbytes)
    if found is None or any(point.step for point in found.values()):
        return found
    while True:
        spare = nbytes - total(found)
        better = [
            (cost(found[name]) - cost(point), name, point)
            for name, cost in costs.items()
            for point in curves[name]
            if point.nbytes - found[name].nbytes <= spare and cost(point) < cost(found[name])
        ]
        if not better:
            return found
        _, name, point = max(better, key=lambda item: item[:2])
        found[name] = point


def _slope(a: Point, b: Point, cost: Cost) -> float:
    """Cost per byte saved from a to b."""
    return (cost(b) - cost(a)) / max(a.nbytes - b.nbytes, 1)
