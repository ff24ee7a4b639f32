"""The plot of a sensitivity analysis."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dcz.errors import UnsupportedError
from dcz.extras import require

if TYPE_CHECKING:
    from dcz.planning.sweep import Sensitivity

_SUFFIXES = (".png", ".svg", ".pdf")
_TITLES = {"n_bits": "bits per cluster index", "density": "density"}


def check_plot(path: str | os.PathLike[str]) -> None:
    """Refuses a file that cannot be drawn, before there is anything to draw."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in _SUFFIXES:
        raise UnsupportedError(f"{os.fspath(path)}: a plot is a {', '.join(_SUFFIXES)} file")
    require("matplotlib", "plot", path)


def draw(found: Sensitivity, path: str | os.PathLike[str]) -> None:
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
    figure.savefig(path, dpi=120)
