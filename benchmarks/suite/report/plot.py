"""Size against decoding speed, one panel an input.

    python -m benchmarks.suite.report.plot

draws `benchmarks/results/size_speed.svg`, the two networks, from the committed `measurements.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.suite import inputs
from benchmarks.suite.peers import OWN, REFERENCES
from benchmarks.suite.report.labels import keep_clear

if TYPE_CHECKING:
    from benchmarks.suite.report.results import Results

_COLUMNS = 2
_GB = 1e9
_RESULTS = Path(__file__).parents[2] / "results"
_COPY = "bare copy in memory"


@dataclass(frozen=True)
class Point:
    """One codec on one input: bytes as a percentage of dense, and GB/s of decoded tensors in fresh memory."""

    input: str
    title: str
    color: str
    share: float
    speed: float


def of_results(results: Results) -> list[Point]:
    """What a run has measured so far with one thread."""
    colors = {**dict.fromkeys(OWN, "tab:red"), **dict.fromkeys(REFERENCES, "dimgray")}
    return [
        Point(row.input, row.title, colors.get(row.peer, "tab:blue"), 100 * row.size / row.dense, row.fresh_speed / _GB)
        for row in results.rows
        if row.status == "ok" and row.threads == 1 and row.fresh_speed is not None
    ]


def of_csv(path: Path) -> tuple[list[Point], str]:
    """What `measurements.csv` has of one thread, and the machine that it was measured on."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "ok" and row["threads"] == "1"]
    points = [
        Point(
            row["input"],
            row["peer"],
            "tab:red" if row["peer"].startswith("dcz") else "dimgray" if row["peer"] == _COPY else "tab:blue",
            100 * int(row["bytes"]) / int(row["dense_bytes"]),
            float(row["decode_fresh_GBps"]),
        )
        for row in rows
        if row["decode_fresh_GBps"]
    ]
    return points, f"{rows[0]['cpu']}, one thread, {rows[0]['date'].partition(' ')[0]}"


def draw(results: Results, path: Path) -> None:
    """Writes the plot of all inputs that have numbers; raises ImportError without matplotlib."""
    title = f"{results.machine['cpu']}, one thread, fresh memory, {results.machine['date']}"
    panels(of_results(results), title, path, list(inputs.TITLES))


def panels(points: list[Point], title: str, path: Path, names: Sequence[str]) -> None:
    """Draws a panel for each input that has points."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "dcz"
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = [name for name in names if any(point.input == name for point in points)]
    if not names:
        return
    lines = -(-len(names) // _COLUMNS)
    figure, axes = pyplot.subplots(lines, _COLUMNS, figsize=(13, 5.4 * lines), squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names):
        mine = [point for point in points if point.input == name]
        for point in mine:
            own = point.color == "tab:red"
            axis.scatter(point.share, point.speed, s=60 if own else 26, color=point.color, zorder=3 if own else 2)
        axis.set(xscale="log", yscale="log")
        axis.set_title(inputs.TITLES[name].replace("`", ""), fontsize=11)
        axis.set_xlabel("size of the file, % of dense (left is better)")
        axis.set_ylabel("decoding, GB/s (up is better)")
        axis.grid(True, which="major", alpha=0.3)
        axis.margins(x=0.12, y=0.1)
        for ticks in (axis.xaxis, axis.yaxis):
            ticks.set_major_formatter(FuncFormatter(_plain))
            ticks.set_minor_formatter(NullFormatter())
        axis.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        axis.xaxis.set_minor_formatter(FuncFormatter(_plain))
        axis.tick_params(axis="x", which="minor", labelsize=8)
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10, color="dimgray")
    figure.canvas.draw()
    figure.set_layout_engine("none")  # names are placed in the panels as they are
    for axis, name in zip(axes.flat, names):
        keep_clear(axis, [point for point in points if point.input == name])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _plain(value: float, _: int) -> str:
    return f"{value:g}"


if __name__ == "__main__":
    found, machine = of_csv(_RESULTS / "measurements.csv")
    panels(found, machine, _RESULTS / "size_speed.svg", (inputs.SQUEEZENET, inputs.ALEXNET))
