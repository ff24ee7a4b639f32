"""The curves of tensors: for each of them, what every treatment that is tried stores and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock

import numpy as np

from dcz.container.threads import each, thread_count
from dcz.planning.layers import Layers
from dcz.planning.points import GONE, Point, Tries, curve, treatments
from dcz.ties import Ties

Progress = Callable[[int, int], None]
# Points of each of these tensors, by what is tried, the recipe's common keys, and the profile.
Measured = Callable[[list[str], Tries, Mapping[str, object], str, "Progress | None"], dict[str, list[Point]]]


class Curves:
    """Points of tensors, measured once for all targets. `names` has those of one array together, under the first."""

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        base: Mapping[str, object],
        profile: str,
        layers: Layers,
        scored: bool,
        measured: Measured | None = None,
    ) -> None:
        """Without a score (`scored`) points that leave nothing of a tensor are not kept. `measured` measures tensors
        elsewhere; without it, this process does, on all cores."""
        self.points: dict[str, list[Point]] = {}
        self.names: dict[str, list[str]] = {}
        self._tensors, self._base, self._profile = tensors, base, profile
        self._layers, self._scored = layers, scored
        self._measured = measured or self._here
        self._harsh = False

    def measure(self, names: list[str], tries: Tries, progress: Progress | None) -> None:
        """Measure these tensors; names of one array once."""
        ties = Ties()
        for name in names:
            self.names.setdefault(ties.owner(name, self._tensors[name]), []).append(name)
        found = self._measured(list(self.names), tries, self._base, self._profile, progress)
        self.points.update((name, self._kept(name, found[name])) for name in self.names)

    def add_harsher(self) -> bool:
        """Add what is tried where no grid is small enough; return False if it has been, or if no grid was tried."""
        if self._harsh or not any(point.step for points in self.points.values() for point in points):
            return False
        self._harsh = True
        for name, points in self.points.items():
            array = np.asarray(self._tensors[name])
            points += self._kept(name, treatments(array, Tries.harsh(), self._base, self._profile))
        return True

    def _here(
        self, names: list[str], tries: Tries, base: Mapping[str, object], profile: str, progress: Progress | None
    ) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        lock = Lock()

        def one(name: str) -> None:
            points = curve(name, np.asarray(self._tensors[name]), tries, base, profile)
            with lock:
                found[name] = points
                if progress is not None:
                    progress(len(found), len(names))

        each(one, names, thread_count(None))
        return found

    def _kept(self, name: str, points: list[Point]) -> list[Point]:
        kept = [point for point in points if self._scored or point.rel_error < GONE]
        return self._layers.measured(self.names[name], np.asarray(self._tensors[name]), kept)
