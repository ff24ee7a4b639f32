"""A comparison as a figure for papers: layouts, CSR against bitmap, bits against entropy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dcz.errors import UnsupportedError
from dcz.extras import require
from dcz.report import crossover
from dcz.report.storage import LAYOUTS, StorageReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FORMATS = (".png", ".pdf", ".svg")
_COLOURS = {"positions": "#0b7285", "indices": "#2b8a3e", "codebooks": "#b07d00", "dense": "#862e9c"}


def check_library(path: str) -> None:
    """Raises `UnsupportedError` without matplotlib, or where `path` names no kind of figure."""
    check_name(path)
    require("matplotlib", "plot", path)


def check_name(path: str) -> None:
    """Raises `UnsupportedError` where `path` names no kind of figure."""
    if os.path.splitext(path)[1].lower() not in _FORMATS:
        raise UnsupportedError(f"{path}: the name of a figure ends in one of {', '.join(_FORMATS)}")


def write(report: StorageReport, path: str) -> None:
    """Draws the figure, 7 by 7 inches, and publishes the file."""
    check_library(path)
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from dcz.io.sinks import write_whole

    figure = Figure(figsize=(7, 7), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    top, below = figure.subfigures(2, 1, height_ratios=[1, 1])
    _layouts(top.subplots(), report)
    left, right = below.subplots(1, 2)
    _crossing(left, report)
    _entropy(right, report)
    out = io.BytesIO()
    figure.savefig(out, format=os.path.splitext(path)[1][1:].lower())
    write_whole(path, out.getvalue())


def _layouts(axes: Axes, report: StorageReport) -> None:
    shown = [(key, title) for key, title, _ in LAYOUTS if key not in ("dense", "csr32")][::-1]
    left = [0] * len(shown)
    for part, colour in _COLOURS.items():
        widths = [report.parts(key)[part] for key, _ in shown]
        axes.barh([title for _, title in shown], widths, left=left, color=colour, label=part)
        left = [a + b for a, b in zip(left, widths)]
    axes.set_xlabel("bytes")
    axes.legend(fontsize=8, frameon=False)
    axes.tick_params(labelsize=8)


def _crossing(axes: Axes, report: StorageReport) -> None:
    free = crossover.curves(0.0)
    for label, y, style in (
        ("CSR, Huffman", free.huffman["relative8"], "-"), ("bitmap, Huffman", free.huffman["bitmap"], "-"),
        ("CSR, 8-bit gaps", free.fixed["relative8"], ":"), ("bitmap", free.fixed["bitmap"], ":"),
        ("entropy", free.entropy, "k--"),
    ):  # fmt: skip
        axes.plot(crossover.DENSITIES, y, style, label=label, linewidth=1.2)
    tensors = [t for t in report.tensors if t.crossover is not None]
    csr = [8 * t.size("csr8+huffman").positions / t.weights for t in tensors]
    axes.plot([t.density for t in tensors], csr, "o", markersize=3, color="#1864ab", alpha=0.6, label="tensors, CSR")
    crossing = free.crossover()
    if crossing is not None:
        axes.axvline(crossing, color="gray", linestyle="--", linewidth=0.8)
    axes.set(xscale="log", ylim=(0, 1.3), xlabel="density", ylabel="bits of positions a weight")
    axes.legend(fontsize=7, frameon=False)


def _entropy(axes: Axes, report: StorageReport) -> None:
    tensors = [t for t in report.tensors if t.nonzeros and t.weights >= 256]
    x = [8 * t.size("entropy").total / t.nonzeros for t in tensors]
    axes.plot(x, [8 * t.auto.size.total / t.nonzeros for t in tensors], "o", markersize=3, color="#1864ab", alpha=0.6)
    if x:
        axes.plot([min(x), max(x)], [min(x), max(x)], color="gray", linewidth=0.8)
    axes.set(xlabel="entropy, bits a nonzero", ylabel="stored, bits a nonzero")
