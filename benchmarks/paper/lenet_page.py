"""The page and the plot of Tables 1 to 3, made of the CSV files that `lenet.py` writes.

python -m benchmarks.paper.lenet_page
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from . import digits, published, results

Rows = list[dict[str, str]]
DENSE, CONTROL, PAPER = "dense reference", "dense, trained on", "the paper's densities and bits"
_DENSITIES = "the paper's densities"
NETWORKS = ("LeNet-300-100", "LeNet-5")
_ROWS = {"LeNet-300-100": published.LENET_300_100, "LeNet-5": published.LENET_5}


def of(rows: Rows, stage: str, field: str, layer: str | None = None) -> list[float]:
    """A number of each seed."""
    return [float(row[field]) for row in rows if row["stage"] == stage and layer in (None, row.get("layer"))]


def stages(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["stage"] for row in rows))


def chosen(rows: Rows) -> str:
    """The stage of the smallest file whose mean accuracy is not below the dense reference's; where there is none,
    the paper's own."""
    floor = mean(of(rows, DENSE, "accuracy"))
    good = _good(rows, floor)
    return min(good, key=lambda stage: mean(of(rows, stage, "file_bytes")), default=PAPER)


def _good(rows: Rows, floor: float) -> list[str]:
    clustered = dict.fromkeys(row["stage"] for row in rows if row["rate_pq"])
    return [stage for stage in clustered if mean(of(rows, stage, "accuracy")) >= floor]


def write(folder: Path, data: digits.Digits) -> None:
    """`tables_1_2_3.md` and `tables_1_2_3.png`."""
    networks = {title: results.read_csv(folder / f"{title.lower()}.csv") for title in NETWORKS}
    seeds = ", ".join(f"{len(of(rows, DENSE, 'accuracy'))} of {title}" for title, rows in networks.items())
    page = [
        "# Tables 1 to 3\n",
        f"{data.source}: {len(data.labels):,} to train on, {len(data.held_out_labels):,} held out. Mean ± standard "
        "deviation"
        f"\nover seeds: {seeds}. Made by `python -m benchmarks.paper.lenet`.\n",
        "## Table 1\n",
        _table_1(networks),
        _NOTE,
    ]
    for number, (title, rows) in enumerate(networks.items(), 2):
        layers = results.read_csv(folder / f"{title.lower()}-layers.csv")
        page += [
            f"## Table {number}: {title}\n",
            "At the paper's densities and bits:\n",
            _layers(title, layers, rows, PAPER),
        ]
        best = chosen(rows)
        if best != PAPER:
            page += [
                f"The smallest that is as accurate as the dense reference ({best}):\n",
                _layers(title, layers, rows, best),
            ]
        page += ["All stages:\n", _stages(rows)]
    page.append("![Error against size](tables_1_2_3.png)\n")
    (folder / "tables_1_2_3.md").write_text("\n".join(page))
    _plot(folder / "tables_1_2_3.png", networks)


_NOTE = """Errors are of the held-out digits, in %. The paper trains on 60,000 digits and tests on 10,000 others, so
compare changes, not errors. *Paper's arithmetic* counts weights, fillers and codebooks; *file* is everything in the
`.dcz` file against all parameters in float32: biases, code tables, index and checksums too.
"""


def _table_1(networks: dict[str, Rows]) -> str:
    lines: list[Sequence[object]] = []
    for title, rows in networks.items():
        paper = published.TOTALS[title]
        lines.append([
            f"{title}, the paper's", f"{paper.error:.2f}", f"{paper.compressed_error:.2f}", f"{paper.bytes:,}",
            f"{paper.compressed_bytes:,}", "", "", f"{paper.times:.0f}",
        ])  # fmt: skip
        reference = [100 - value for value in of(rows, DENSE, "accuracy")]
        middle = [stage for stage in stages(rows) if stage.startswith(f"{_DENSITIES}, ")]
        for stage in dict.fromkeys([PAPER, *middle, chosen(rows)]):
            dense = mean(of(rows, stage, "file_bytes")) * mean(of(rows, stage, "times"))
            lines.append([
                f"{title}, {stage}",
                results.spread(reference),
                results.spread([100 - value for value in of(rows, stage, "accuracy")]),
                f"{dense:,.0f}",
                f"{mean(of(rows, stage, 'file_bytes')):,.0f}",
                f"{100 / mean(of(rows, stage, 'rate_pq')):.1f}",
                f"{100 / mean(of(rows, stage, 'rate_pqh')):.1f}",
                f"**{results.spread(of(rows, stage, 'times'), 1)}**",
            ])  # fmt: skip
    head = [
        "network",
        "error, dense",
        "error, compressed",
        "bytes, dense",
        "bytes",
        "times P+Q",
        "times P+Q+H",
        "times, file",
    ]
    return results.table(head, lines)


def _layers(title: str, layers: Rows, rows: Rows, stage: str) -> str:
    """Per layer, with the paper's number in brackets."""
    lines: list[list[str]] = []
    for row in _ROWS[title]:

        def ours(field: str, digits: int, paper: float, name: str = row.name) -> str:
            return f"{mean(of(layers, stage, field, name)):.{digits}f} ({paper:g})"

        lines.append([
            row.name,
            f"{row.weights:,}",
            ours("kept", 1, row.kept),
            ours("weight_bits_pq", 1, row.weight_pq),
            ours("weight_bits_pqh", 1, row.weight_pqh),
            ours("index_bits_pq", 0, row.index_pq),
            ours("index_bits_pqh", 1, row.index_pqh),
            ours("rate_pq", 2, row.rate_pq),
            ours("rate_pqh", 2, row.rate_pqh),
            f"{mean(of(layers, stage, 'stored', row.name)):.2f}",
        ])  # fmt: skip
    pq, pqh = published.TOTAL_RATES[title]
    lines.append([
        "total", f"{sum(row.weights for row in _ROWS[title]):,}",
        f"{mean(of(rows, stage, 'kept')):.1f} (8)", "", "", "", "",
        f"{mean(of(rows, stage, 'rate_pq')):.2f} ({pq})", f"{mean(of(rows, stage, 'rate_pqh')):.2f} ({pqh})",
        f"{mean([100 / times for times in of(rows, stage, 'times')]):.2f} (file)",
    ])  # fmt: skip
    head = [
        "layer", "weights", "kept %", "weight bits P+Q", "weight bits P+Q+H", "index bits P+Q", "index bits P+Q+H",
        "rate P+Q %", "rate P+Q+H %", "stored in the file %",
    ]  # fmt: skip
    return results.table(head, lines)


def _stages(rows: Rows) -> str:
    lines = [
        [
            stage,
            f"{mean(of(rows, stage, 'kept')):.2f}",
            results.spread(of(rows, stage, "accuracy")),
            results.spread(of(rows, stage, "loss"), 4),
            f"{mean(of(rows, stage, 'file_bytes')):,.0f}",
            results.spread(of(rows, stage, "times"), 1),
            f"{mean(of(rows, stage, 'file_bytes_paper_profile')):,.0f}",
        ]
        for stage in stages(rows)
    ]
    head = ["stage", "kept %", "accuracy %", "loss", "file, bytes", "times", "file, profile `paper`"]
    return results.table(head, lines)


def _plot(path: Path, networks: dict[str, Rows]) -> None:
    drawing, panels = results.figure(len(networks), 5.6, 3.8)
    for panel, (title, rows) in zip(panels, networks.items()):
        for stage, colour, marker in (
            *((s, results.COLOURS[6], "o") for s in stages(rows)[:2]),
            *((s, results.COLOURS[0 if "pruned" in s else 1], "s" if "pruned" in s else "D") for s in stages(rows)[2:]),
        ):
            errors = [100 - value for value in of(rows, stage, "accuracy")]
            panel.plot(of(rows, stage, "times"), errors, ".", color=colour, alpha=0.35)
            panel.plot(mean(of(rows, stage, "times")), mean(errors), marker, color=colour)
        reference = [100 - value for value in of(rows, DENSE, "accuracy")]
        panel.axhline(mean(reference), color=results.COLOURS[6], lw=0.8, ls="--", label="dense reference")
        panel.axvline(published.TOTALS[title].times, color=results.COLOURS[3], lw=0.8, label="the paper's rate")
        panel.plot([], [], "o", color=results.COLOURS[6], label="dense")
        panel.plot([], [], "s", color=results.COLOURS[0], label="pruned")
        panel.plot([], [], "D", color=results.COLOURS[1], label="pruned and clustered")
        panel.set(xscale="log", xlabel="times smaller (whole file)", ylabel="held-out error, %", title=title)
        panel.legend(fontsize=7)
    results.save_figure(drawing, path)


if __name__ == "__main__":
    write(results.FOLDER, digits.load())
