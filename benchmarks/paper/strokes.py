"""Handwritten digits made here: strokes through points that are moved about, as a pen or finger draws them.

Every digit has several ways to be written, each a list of strokes, and each stroke a list of points in a square of
side 1 (x to the right, y down) that a smooth curve passes through. The page in `codec/js/digits` puts what is drawn on
it into 28 by 28 pixels the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
SIDE, BOX = 28, 20.0  # pixels of an image, and of the square that a digit is fitted into
SPACING = 0.6  # pixels between points of a stroke

# Points in hundredths of the side, x then y; strokes of a way are parted by a bar.
_WAYS = {
    0: [
        "5005 2220 1550 2585 5095 7882 8550 7718 5005",
        "6206 3015 1450 2484 5095 7680 8445 7014 4808",
        "4008 7210 8848 7088 4294 1770 1634 4206",
    ],
    1: [
        "5005 5035 5065 5095",
        "5805 5335 4865 4395",
        "3324 4414 5405 5406 | 5405 5435 5465 5495",
        "3324 5405 5406 | 5405 5450 5494 | 3295 5595 7695",
    ],
    2: [
        "2025 3209 5505 7618 7440 5562 3480 1794 | 1794 5093 8593",
        "2220 4505 7214 7238 5066 2586 2095 3286 5088 6695 8586",
        "2516 5005 7220 6446 3674 2090 3095 4084 2878 2088 5092 8292",
    ],
    3: [
        "2215 4205 6810 7428 6043 4247 | 4247 6852 8070 6690 4295 2084",
        "2410 5006 7608 | 7608 6026 4642 | 4642 7250 7872 6092 3894 2084",
        "2518 5005 7020 6040 4548 5547 7662 7086 4695 2286",
    ],
    4: [
        "2807 2230 1652 | 1652 5055 8454 | 7207 7050 6695",
        "6205 4032 1462 | 1462 5063 8862 | 6305 6450 6495",
        "2410 2034 2650 5052 7444 | 7608 7440 7294",
    ],
    5: [
        "3007 5207 7806 | 3007 2725 2544 | 2544 5037 7450 7674 5693 3493 2085",
        "7607 5208 3409 | 3409 2826 2642 | 2642 5240 7255 7080 4895 2290",
        "7406 4210 3028 3644 6050 7268 5890 3294 2086",
    ],
    6: [
        "6606 4220 2645 2272 3693 6093 7476 6458 4256 2570",
        "5005 3430 2660 3488 5495 7282 7062 5055 3266",
        "7212 5007 2830 2062 3290 5894 7876 6654 4054 2468",
    ],
    7: [
        "1810 5009 8208 | 8208 6440 5268 4295",
        "2012 5008 8010 | 8010 6245 4495 | 3652 5551 7450",
        "2022 2210 5010 7810 | 7810 6835 5860 5695",
    ],
    8: [
        "6816 4805 2818 3638 6054 7474 6093 3693 2576 4054 6436 6816",
        "5005 3016 3438 5046 6836 7015 5005 | 5046 2660 2684 5095 7584 7460 5046",
        "7410 5006 3020 4442 6660 6884 4895 3082 4058 6436 7612",
    ],
    9: [
        "7224 5406 3014 2436 4250 6442 7322 | 7322 7255 6895",
        "7420 5005 2820 3242 5646 7324 | 7324 7455 6684 4695 2887",
        "7014 4606 2626 4047 6238 7214 6850 5695",
    ],
}


def digit(label: int, draw: np.random.Generator) -> list[Points]:
    """The strokes of a digit, written in one of its ways by an unsteady hand."""
    ways = _WAYS[label]
    way = ways[draw.integers(len(ways))].split(" | ")
    strokes = [np.array([(int(p[:2]), int(p[2:])) for p in points.split()]) / 100 for points in way]
    turn, slant = np.radians(draw.normal(0, 7)), draw.normal(0.08, 0.16)
    wide, bend = draw.uniform(0.65, 1.2), draw.normal(0, 0.05, (2, 3))
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, -slant], [0, 1]]) @ np.diag([wide, 1])
    moved = {}
    out = []
    for points in strokes:
        shifts = [moved.setdefault(tuple(point), draw.normal(0, 0.028, 2)) for point in points]  # corners stay joined
        x, y = points[:, 0], points[:, 1]
        waves = np.stack([np.sin(3 * y), np.sin(3 * x), x * y], 1) @ bend.T
        out.append(smooth((points + shifts + waves - 0.5) @ matrix.T))
    return out


def smooth(points: Points, steps: int = 12) -> Points:
    """A curve through the points: Catmull-Rom splines."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:]):
        pieces.append(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))
    return np.concatenate([*pieces, points[-1:]])


def fitted(strokes: list[Points], radius: float) -> Points:
    """Points along all strokes, in pixels: the longer side of what is drawn fills the box, its middle is the points'
    mean, as digits of MNIST lie."""
    everything = np.concatenate(strokes)
    size = float((everything.max(0) - everything.min(0)).max()) or 1.0
    scaled = [points * (BOX - 2 * radius) / size for points in strokes]
    dots = np.concatenate([spaced(points) for points in scaled])
    return dots - dots.mean(0) + SIDE / 2


def spaced(points: Points) -> Points:
    """The same stroke by points that are equally far apart."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(2, int(along[-1] / SPACING) + 1)
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], 1)


def image(dots: Points, radius: float) -> NDArray[np.float32]:
    """Ink of each pixel, from 0 to 1: a round pen of this radius, with soft edges."""
    centres = np.arange(SIDE) + 0.5
    dx, dy = centres[None, :] - dots[:, :1], centres[None, :] - dots[:, 1:]
    nearest = np.sqrt((dy[:, :, None] ** 2 + dx[:, None, :] ** 2).min(0))
    return np.clip(radius + 0.5 - nearest, 0, 1).astype(np.float32)


def images(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """So many digits, (count, 28, 28), and their labels."""
    draw = np.random.Generator(np.random.PCG64(seed))
    labels = draw.integers(0, 10, count)
    out = np.empty((count, SIDE, SIDE), np.float32)
    for i, label in enumerate(labels):
        radius = draw.uniform(0.8, 1.7)
        out[i] = image(fitted(digit(int(label), draw), radius), radius)
    return out, labels
