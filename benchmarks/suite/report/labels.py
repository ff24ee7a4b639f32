"""Names beside the points of a plot, none over another or over a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_SIZE = 8
# Points of distance from a name to its point that are tried, the nearest first.
_FAR = (6, 12, 20, 30, 42, 56, 72, 90)
# Where a name may be: right, left, above, below, and between them.
_SIDES = ((1, 0), (-1, 0), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7), (0, 1), (0, -1))


class Named(Protocol):
    """A point with a name."""

    title: str
    color: str
    share: float
    speed: float


def keep_clear(axes: Axes, points: Sequence[Named]) -> None:
    """Writes the names. One that is not beside its point is joined to it by a line."""
    from matplotlib.text import Text

    figure = axes.figure
    renderer = figure.canvas.get_renderer()  # type: ignore[union-attr]
    places = [axes.transData.transform((point.share, point.speed)) for point in points]
    taken: list[Bbox] = []
    # Those with the most neighbours are the hardest to place, and dcz's own are to be beside their points.
    order = sorted(range(len(points)), key=lambda i: (points[i].color != "tab:red", -_crowd(places, i)))
    for i in order:
        point = points[i]
        text = None
        for far, (across, up) in _tried():
            text = axes.annotate(
                point.title, (point.share, point.speed), (far * across, far * up), textcoords="offset points",
                fontsize=_SIZE, color=point.color, ha=_side(across, "left", "center", "right"),
                va=_side(up, "bottom", "center", "top"),
                arrowprops={"arrowstyle": "-", "color": "silver", "lw": 0.6} if far > _FAR[0] else None,
            )  # fmt: skip
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer).padded(1.5)  # without its line
            if (far, across, up) == (_FAR[-1], *_SIDES[-1]) or _free(box, taken, places, axes.bbox):
                taken.append(box)
                break
            text.remove()


def _tried() -> Iterator[tuple[int, tuple[float, float]]]:
    return ((far, side) for far in _FAR for side in _SIDES)


def _side(toward: float, after: str, middle: str, before: str) -> str:
    return after if toward > 0 else before if toward < 0 else middle


def _crowd(places: Sequence[Sequence[float]], i: int) -> int:
    """How many points are near."""
    x, y = places[i]
    return sum(abs(other[0] - x) < 60 and abs(other[1] - y) < 20 for other in places)


def _free(box: Bbox, taken: Sequence[Bbox], places: Sequence[Sequence[float]], frame: Bbox) -> bool:
    inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
    covers = any(box.x0 - 2 < x < box.x1 + 2 and box.y0 - 2 < y < box.y1 + 2 for x, y in places)
    return inside and not covers and not any(box.overlaps(other) for other in taken)
