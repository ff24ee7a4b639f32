"""A caller's score of tensors: called, checked, and compared with what single tensors lose alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dcz.errors import DczError

Evaluate = Callable[[Mapping[str, np.ndarray]], float]

# A loss of so many times what the tensors lose alone, added up, and beyond this part of the score: errors no longer
# add up, but drive each other.
_APART = 2.0
_NOTICEABLE = 1e-3
# A drop of other samples by so many times is not what the search saw.
_HOPEFUL = 1.5
# A smaller file that scores better than a larger one by more than this part of the score.
_RISE = 1e-3


class Scores:
    """`baseline` is the score of the tensors as they are."""

    def __init__(self, evaluate: Evaluate, tensors: Mapping[str, np.ndarray], name: str = "evaluate") -> None:
        self._evaluate, self._name = evaluate, name
        self.baseline = self.of(dict(tensors))
        self._seen: dict[str, list[tuple[int, float]]] = {}

    def of(self, tensors: Mapping[str, np.ndarray]) -> float:
        """The score. What the caller's function raises passes through; a score that is not a finite number is a
        `DczError`."""
        found = self._evaluate(tensors)
        try:
            score = float(found)
        except (TypeError, ValueError):
            raise DczError(f"{self._name}: expected a number, found {type(found).__name__}") from None
        if not math.isfinite(score):
            raise DczError(
                f"{self._name}: expected a finite number, found {score}; return a low score where outputs are not "
                "finite"
            )
        return score

    def drop(self, tensors: Mapping[str, np.ndarray]) -> float:
        """How much lower than `baseline`."""
        return self.baseline - self.of(tensors)

    def saw(self, series: str, nbytes: int, score: float) -> None:
        """Remembers the score of a file, one of a series in which a smaller one has larger errors everywhere."""
        self._seen.setdefault(series, []).append((nbytes, score))

    def warnings(self, score: float, expected: float) -> list[str]:
        """What is to be said of a plan with this score, where the tensors alone are `expected` to lose so much."""
        out, scale = [], max(abs(self.baseline), 1e-12)
        drop = self.baseline - score
        if drop > _NOTICEABLE * scale and drop > _APART * max(expected, 0.0):
            out.append(
                f"outputs fall apart: the score drops by {drop:.4g}, {_times(drop, expected)}what the tensors lose "
                "one by one; choose a larger file"
            )
        rises = [
            (small, large)
            for seen in self._seen.values()
            for large in seen
            for small in seen
            if small[0] < large[0] and small[1] > large[1] + _RISE * scale
        ]
        if rises:
            small, large = max(rises, key=lambda pair: pair[0][1] - pair[1][1])
            out.append(
                f"evaluate is not monotone: {small[0]} bytes score {small[1]:.6g}, {large[0]} bytes {large[1]:.6g}; "
                "use more samples, or a smoother score"
            )
        return out

    def apart(self, score: float, drop: float) -> list[str]:
        """What is to be said where these samples, which were not searched on, show another drop."""
        own = self.baseline - score
        if own <= _NOTICEABLE * abs(self.baseline) or own <= _HOPEFUL * drop:
            return []
        return [
            f"the score is too hopeful: it drops by {drop:.4g} on the samples of evaluate, by {own:.4g} on those of "
            f"{self._name}; search on more samples"
        ]


def _times(drop: float, expected: float) -> str:
    return f"{drop / expected:.1f} times " if expected > 0 else "beyond "
