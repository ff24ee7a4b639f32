"""Size against decoding speed, one panel an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.suite import inputs
from benchmarks.suite.harness.rows import Row
from benchmarks.suite.peers import OWN, REFERENCES
from benchmarks.suite.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_COLUMNS = 2
_GB = 1e9


def draw(results: Results, path: Path) -> None:
    """Writes the plot of all inputs that have numbers, one thread, fresh memory; raises ImportError without
    matplotlib. Names keep clear of each other where adjustText is installed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = [name for name in inputs.TITLES if any(_shown(row, name) for row in results.rows)]
    if not names:
        return
    lines = -(-len(names) // _COLUMNS)
    figure, axes = pyplot.subplots(lines, _COLUMNS, figsize=(15, 5.2 * lines), squeeze=False)
    for axis, name in zip(axes.flat, names):
        texts = []
        for row in (row for row in results.rows if _shown(row, name)):
            own = row.peer in OWN
            color = "tab:red" if own else "tab:gray" if row.peer in REFERENCES else "tab:blue"
            x, y = 100 * row.size / row.dense, row.fresh_speed / _GB
            axis.scatter(x, y, s=50 if own else 24, color=color, zorder=3 if own else 2)
            texts.append(axis.text(x, y, f" {row.title}", fontsize=7, color=color, va="bottom"))
        axis.set(xscale="log", yscale="log", title=inputs.TITLES[name])
        axis.set_xlabel("bytes of the file, % of dense (less is better)")
        axis.set_ylabel("GB/s of decoded tensors (more is better)")
        axis.grid(True, which="major", alpha=0.3)
        axis.margins(x=0.06, y=0.12)
        low, high = axis.get_xlim()
        axis.set_xlim(right=high * (high / low) ** 0.4)  # room for the names at the right
        for ticks in (axis.xaxis, axis.yaxis):
            ticks.set_major_formatter(FuncFormatter(_plain))
            ticks.set_minor_formatter(NullFormatter())
        axis.xaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
        axis.xaxis.set_minor_formatter(FuncFormatter(_plain))
        axis.tick_params(axis="x", which="minor", labelsize=7)
        _keep_clear(axis, texts)
    for axis in list(axes.flat)[len(names) :]:
        axis.set_axis_off()
    figure.suptitle(f"{results.machine['cpu']}, one thread, fresh memory, {results.machine['date']}")
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _keep_clear(axis: Axes, texts: list[Text]) -> None:
    try:
        from adjustText import adjust_text
    except ImportError:
        return
    adjust_text(texts, ax=axis, arrowprops={"arrowstyle": "-", "color": "lightgray", "lw": 0.5})


def _plain(value: float, _: int) -> str:
    return f"{value:g}"


def _shown(row: Row, name: str) -> bool:
    return row.input == name and row.status == "ok" and row.threads == 1 and row.fresh_speed is not None
