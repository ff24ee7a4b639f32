"""Sensitivity: each tensor alone at ever fewer bits and ever smaller densities (the paper's Figures 6 and 7)."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from dcz.errors import DczError, UnsupportedError
from dcz.extras import require
from dcz.io.sinks import write_whole
from dcz.lossy.compression import compress
from dcz.lossy.selection import WEIGHT_THRESHOLD, select
from dcz.planning.curves import Progress
from dcz.planning.points import check_grid, stored_bytes
from dcz.planning.scores import Evaluate, Scores

DENSITIES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.13, 0.09, 0.06, 0.04, 0.02)
N_BITS = (1, 2, 3, 4, 5, 6, 7, 8)
SWEEPS = ("n_bits", "density")
_SUFFIXES = (".png", ".svg", ".pdf")
_TITLES = {"n_bits": "bits per cluster index", "density": "density"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One tensor alone at one `value` of what is swept ("n_bits" or "density"): bytes it is stored in, relative
    error, and the score, None without `evaluate`."""

    name: str
    sweep: str
    value: float
    nbytes: int
    rel_error: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """All readings, and the score of the tensors as they are."""

    readings: tuple[Reading, ...]
    baseline: float | None

    def of(self, name: str, sweep: str) -> list[Reading]:
        """One tensor's readings of one sweep, by value."""
        return sorted((r for r in self.readings if (r.name, r.sweep) == (name, sweep)), key=lambda r: r.value)

    @property
    def names(self) -> list[str]:
        """The tensors, in order."""
        return list(dict.fromkeys(reading.name for reading in self.readings))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the readings as CSV."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Reading)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(reading) for reading in self.readings)
        write_whole(path, text.getvalue().encode())

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws the curves to a .png, .svg or .pdf file; needs matplotlib (`pip install 'dcz[plot]'`)."""
        _draw(self, path)


def sensitivity(
    tensors: Mapping[str, np.ndarray],
    evaluate: Evaluate | None = None,
    *,
    n_bits: Iterable[int] = N_BITS,
    densities: Iterable[float] = DENSITIES,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    weight_threshold: int = WEIGHT_THRESHOLD,
    profile: str = "auto",
    progress: Progress | None = None,
) -> Sensitivity:
    """Clusters each tensor alone at each bit-width, and prunes each alone to each density, all others as they are
    (Han et al. 2016, Figures 6 and 7).

    Args:
        tensors: names to numpy arrays; they stay as they are.
        evaluate: takes tensors, gives a score, larger is better. What it raises passes through.
        n_bits, densities: what is tried.
        recipe: keys for all, as `init` and `entropy`.
        names, weight_threshold: which tensors, as in `dcz.prune`.
        profile: as in `save_file`.
        progress: called with (readings done, readings in all).

    Raises:
        DczError: invalid arguments, NaN or infinity, of weights or scores.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).laplace(size=(64, 64)).astype("float32")
    >>> found = dcz.sensitivity({"w": w}, n_bits=[2, 4], densities=[0.1, 0.5])
    >>> [(r.sweep, r.value, round(r.rel_error, 2)) for r in found.readings]
    [('n_bits', 2, 0.42), ('n_bits', 4, 0.13), ('density', 0.1, 0.63), ('density', 0.5, 0.18)]
    """
    densities, n_bits = check_grid(densities, n_bits)
    chosen, _ = select(tensors, names, weight_threshold, False)
    if not chosen:
        raise DczError("tensors: none is eligible; see names and weight_threshold")
    tried = [("n_bits", value) for value in n_bits] + [("density", value) for value in densities]
    scores = None if evaluate is None else Scores(evaluate, tensors)
    readings = []
    for name in chosen:
        for sweep, value in tried:
            keys = {**(recipe or {}), sweep: value} if sweep == "n_bits" else {sweep: value}
            found = compress(tensors, {"tensors": {name: keys}})
            score = None if scores is None else scores.of(found)
            nbytes = stored_bytes(found[name], profile, name)
            readings.append(Reading(name, sweep, value, nbytes, found.reports[name].rel_error, score))
            if progress is not None:
                progress(len(readings), len(chosen) * len(tried))
    return Sensitivity(tuple(readings), None if scores is None else scores.baseline)


def check_plot(path: str | os.PathLike[str]) -> None:
    """Refuses a file that cannot be drawn, before there is anything to draw."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in _SUFFIXES:
        raise UnsupportedError(f"{os.fspath(path)}: a plot is a {', '.join(_SUFFIXES)} file")
    require("matplotlib", "plot", path)


def _draw(found: Sensitivity, path: str | os.PathLike[str]) -> None:
    """One panel a sweep, one line a tensor: the score where there is one, else the relative error."""
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    scored = found.baseline is not None
    for axes, (sweep, title) in zip(figure.subplots(1, 2, sharey=True), _TITLES.items()):
        for name in found.names:
            readings = found.of(name, sweep)
            y = [r.score if scored else r.rel_error for r in readings]
            axes.plot([r.value for r in readings], y, marker="o", markersize=3, linewidth=1.2, label=name)
        if scored:
            axes.axhline(found.baseline, color="0.6", linewidth=0.8, linestyle="--")
        if sweep == "density":
            axes.set_xscale("log")
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("score" if scored else "relative error of the tensor")
    if len(found.names) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    out = io.BytesIO()
    figure.savefig(out, dpi=120, format=os.path.splitext(path)[1][1:].lower())
    write_whole(path, out.getvalue())
