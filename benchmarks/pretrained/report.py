"""Tables and curves of size against fidelity, from the rows that were measured."""

from __future__ import annotations

import csv
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.pretrained import comparison

FIDELITIES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
# Beyond this fidelities are not told apart.
_CLOSEST = 1e-7

_HOW_TO_READ = """
A point is a network at a fidelity: the correlation of its outputs with the original's, for samples that no method saw.
Sizes are times smaller than the float32 weights; *saves* is the share of bytes. `≥`: the smallest file measured is
still that good, so a smaller one may be, too; where that leaves open which one is smaller, there is no figure. In
brackets: the best of dcz without data. Bold: at least 15 % without data, 30 % with data.
"""
_HOW_MEASURED = """
Sizes are those of whole files, with all tensors. An empty cell: no setting of the method is that good, or none was
measured. `plan, evaluate` and `shrink` search on other samples than those that judge; `calibrated`, `shrink` and GPTQ
know the layers' inputs for a third set; the other methods look at weights alone.
"""

Curves = dict[str, list[tuple[float, float]]]


def read(path: Path) -> tuple[str, Curves]:
    """A network, and (ratio, fidelity) of each setting of each method."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves: Curves = defaultdict(list)
    for row in rows:
        curves[row["method"]].append((float(row["ratio"]), float(row["fidelity"])))
    return rows[0]["network"], curves


def ratio_at(points: Iterable[tuple[float, float]], fidelity: float) -> tuple[float, bool] | None:
    """The largest ratio at which a method keeps this fidelity, its settings joined by straight lines of the logarithms
    of size and of loss, and whether that is the smallest file of all; None if no setting is that good.

    >>> ratio_at([(4, 0.99), (8, 0.9)], 0.99), ratio_at([(4, 0.99), (8, 0.9)], 0.999), ratio_at([(4, 0.99)], 0.9)
    ((4.0, False), None, (4.0, True))
    """
    wanted, best = np.log(1 - fidelity), None
    ordered = sorted(points)
    losses = [np.log(max(1 - found, _CLOSEST)) for _, found in ordered]
    for (a, _), (b, _), one, two in zip(ordered, ordered[1:], losses, losses[1:]):
        if one <= wanted < two:
            best = float(np.exp(np.interp(wanted, [one, two], [np.log(a), np.log(b)])))
        elif two <= wanted:
            best = float(b)
    if best is None and losses[0] <= wanted:
        best = float(ordered[0][0])
    return None if best is None else (best, losses[-1] <= wanted)


def table(network: str, curves: Curves) -> list[str]:
    """Lines of Markdown: how many times smaller each method is at each fidelity, the best of a column in bold."""
    rows = {method: [ratio_at(points, each) for each in FIDELITIES] for method, points in curves.items()}
    best = [max((at[0] for row in rows.values() if (at := row[n])), default=0.0) for n in range(len(FIDELITIES))]
    lines = [f"## {network}", "", "| method | " + " | ".join(f"{each:g}" for each in FIDELITIES) + " |"]
    lines.append("|---" * (len(FIDELITIES) + 1) + "|")
    for method, row in rows.items():
        cells = [_cell(value, top) for value, top in zip(row, best)]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(value: tuple[float, bool] | None, top: float) -> str:
    if value is None:
        return ""
    text = f"{'≥ ' if value[1] else ''}{value[0]:.2f}"
    return f"**{text}**" if value[0] == top else text


def _paragraph(text: str) -> list[str]:
    return [*textwrap.wrap(text.strip(), 118, break_on_hyphens=False), ""]


def write(folder: Path) -> None:
    """`results.md` and `curves.svg` beside the rows of all networks."""
    found = [read(path) for path in sorted(folder.glob("*.csv"))]
    compared = comparison.rows(found, FIDELITIES, ratio_at)
    lines = [
        "# Pretrained networks without training",
        "",
        *comparison.reading(compared),
        *_paragraph(_HOW_TO_READ),
        *comparison.table(compared),
        *_paragraph(_HOW_MEASURED),
        "Made by `python -m benchmarks.pretrained`.",
        "",
        "![curves](curves.svg)",
        "",
    ]
    for network, curves in found:
        lines += table(network, curves)
    (folder / "results.md").write_text("\n".join(lines), encoding="utf-8")
    draw(found, folder / "curves.svg")


def draw(found: Sequence[tuple[str, Curves]], path: Path) -> None:
    """A panel a network, a line a method."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "dcz"
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(5 * columns, 3.8 * rows), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    colours = matplotlib.colormaps["tab20"]
    methods = list(dict.fromkeys(method for _, curves in found for method in curves))
    for axes, (network, curves) in zip(panels, found):
        for method, points in curves.items():
            ratios, fidelities = np.array(sorted(points)).T
            ours = "plan" in method
            axes.plot(
                ratios, np.maximum(1 - fidelities, 1e-5), label=method, marker="o", markersize=2.5,
                linewidth=2.2 if ours else 1, color=colours(methods.index(method) % 20),
            )  # fmt: skip
        axes.set(
            title=network, xscale="log", yscale="log", xlabel="times smaller", ylabel="1 - correlation", xlim=(3, 30)
        )
        axes.set_xticks([4, 6, 8, 12, 16, 24], ["4", "6", "8", "12", "16", "24"])
        axes.minorticks_off()
        axes.invert_yaxis()
        axes.grid(alpha=0.3)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    handles = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
