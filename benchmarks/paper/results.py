"""Where results go: a CSV with the numbers, a Markdown page to read, and plots that share one look."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parent / "results"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def arguments(description: str | None, **choices: Sequence[str]) -> argparse.Namespace:
    """The options all experiments have: `out`, `seeds` and `quick`, and one for each of `choices`."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for CSV, Markdown and plots")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    parser.add_argument(
        "--quick", action="store_true", help="a tiny run that shows all parts work; its numbers mean nothing"
    )
    for name, allowed in choices.items():
        parser.add_argument(f"--{name}", choices=allowed, help="only this one")
    options = parser.parse_args()
    if options.quick and options.out == FOLDER:
        parser.error("--quick: give --out too, so that the committed results stay as they are")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.quick:
        options.seeds = 1
    return options


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """One row a mapping; floats with six digits that matter."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def figure(panels: int, width: float = 5.0, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Panels side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, axes = pyplot.subplots(1, panels, figsize=(width * panels, height), squeeze=False, layout="constrained")
    for one in axes[0]:
        one.grid(alpha=0.25)
        one.spines[["top", "right"]].set_visible(False)
    return drawing, list(axes[0])


def save_figure(drawing: Figure, path: Path) -> None:
    from matplotlib import pyplot

    drawing.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(drawing)
