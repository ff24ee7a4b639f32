"""The choice of a point for each tensor: the least cost within a budget of bytes, by the slopes of convex hulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dcz.planning.points import Point

Choice = dict[str, Point]
Cost = Callable[[Point], float]


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


def path(curves: Mapping[str, Sequence[Point]], costs: Mapping[str, Cost]) -> list[Choice]:
    """Choices for all tensors from the largest file to the smallest, each a step of one tensor from the one before:
    that which costs the least per byte (Shoham and Gersho 1988)."""
    hulls = {name: hull(points, costs[name]) for name, points in curves.items()}
    steps = [
        (_slope(a, b, costs[name]), number, name, b)
        for name, points in hulls.items()
        for number, (a, b) in enumerate(zip(points, points[1:]))
    ]
    choice = {name: points[0] for name, points in hulls.items()}
    out = [choice]
    for _, _, name, point in sorted(steps, key=lambda step: step[:3]):
        choice = {**choice, name: point}
        out.append(choice)
    return out


def total(choice: Choice) -> int:
    """Bytes of all tensors."""
    return sum(point.nbytes for point in choice.values())


def within(
    choices: Sequence[Choice], curves: Mapping[str, Sequence[Point]], costs: Mapping[str, Cost], nbytes: int
) -> Choice | None:
    """The first choice of the path that takes at most so many bytes, with what is left of them spent where it
    lowers the cost most, unless it has steps of a grid, which can be made finer all together; None where none does."""
    found = next((choice for choice in choices if total(choice) <= nbytes), None)
    if found is None or any(point.step for point in found.values()):
        return found
    found = dict(found)
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
