"""Tables and curves of size against fidelity, from the rows that were measured."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

FIDELITIES = (0.9, 0.95, 0.98, 0.99, 0.999)
# Beyond this fidelities are not told apart.
_CLOSEST = 1e-7

Curves = dict[str, list[tuple[float, float]]]


def read(path: Path) -> tuple[str, Curves]:
    """A network, and (ratio, fidelity) of each setting of each method."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves: Curves = defaultdict(list)
    for row in rows:
        curves[row["method"]].append((float(row["ratio"]), float(row["fidelity"])))
    return rows[0]["network"], curves


def ratio_at(points: Iterable[tuple[float, float]], fidelity: float) -> float | None:
    """The largest ratio at which a method keeps this fidelity, its settings joined by straight lines of the logarithms
    of size and of loss; None beyond its settings.

    >>> ratio_at([(4, 0.99), (8, 0.9)], 0.99), ratio_at([(4, 0.99), (8, 0.9)], 0.999)
    (4.0, None)
    """
    wanted, best = np.log(1 - fidelity), None
    ordered = sorted(points)
    losses = [np.log(max(1 - found, _CLOSEST)) for _, found in ordered]
    for (a, _), (b, _), one, two in zip(ordered, ordered[1:], losses, losses[1:]):
        if one <= wanted < two:
            best = float(np.exp(np.interp(wanted, [one, two], [np.log(a), np.log(b)])))
        elif two <= wanted:
            best = float(b)
    return float(ordered[0][0]) if best is None and losses[0] <= wanted else best


def table(network: str, curves: Curves) -> list[str]:
    """Lines of Markdown: how many times smaller each method is at each fidelity, the best of a column in bold."""
    rows = {method: [ratio_at(points, each) for each in FIDELITIES] for method, points in curves.items()}
    best = [max((row[n] or 0.0 for row in rows.values()), default=0.0) for n in range(len(FIDELITIES))]
    lines = [f"## {network}", "", "| method | " + " | ".join(f"{each:g}" for each in FIDELITIES) + " |"]
    lines.append("|---" * (len(FIDELITIES) + 1) + "|")
    for method, row in rows.items():
        cells = [_cell(value, top) for value, top in zip(row, best)]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(value: float | None, top: float) -> str:
    if value is None:
        return ""
    return f"**{value:.2f}**" if value == top else f"{value:.2f}"


def write(folder: Path) -> None:
    """`results.md` and `curves.svg` beside the rows of all networks."""
    found = [read(path) for path in sorted(folder.glob("*.csv"))]
    lines = [
        "# Pretrained networks without training",
        "",
        "How many times smaller than its float32 weights each network is where its outputs for held-out samples have",
        "this correlation with the original's. An empty cell: no setting of the method is that good. `plan, evaluate`",
        "searches on other samples than those that judge; the other methods look at weights alone. Where the smallest",
        "file measured of a method is still that good, its own ratio stands, and a smaller one may be, too. Made by",
        "`python -m benchmarks.pretrained`.",
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
