"""A comparison as tables that fit eighty columns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from dcz.cli.common import size
from dcz.report.storage import LAYOUTS, StorageReport, TensorStorage
from dcz.text import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

# Parts of a bar: style, and the letter it has without colour.
_PARTS = {
    "positions": ("cyan", "p"),
    "indices": ("green", "i"),
    "codebooks": ("yellow", "c"),
    "dense": ("magenta", "d"),
}
_BAR = 24


def _table(title: str, *columns: str, fold: bool = True) -> Table:
    from rich import box
    from rich.table import Table

    out = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
    )
    out.add_column(columns[0], overflow="fold" if fold else "ellipsis", min_width=12)
    for column in columns[1:]:
        left = column.startswith("<")
        out.add_column(column.lstrip("<"), justify="left" if left else "right", no_wrap=not left, overflow="fold")
    return out


def layouts(report: StorageReport) -> Table:
    """Every layout's bytes, and a bar of what they are spent on, against CSR with 8-bit gaps."""
    from rich.text import Text

    out = _table(
        "what the model takes in each layout", "layout", "bytes", "of dense", "<positions, indices, codebooks, dense"
    )
    dense = report.total("dense").total
    longest = max((report.total(key).total for key, _, _ in LAYOUTS if key not in ("dense", "csr32")), default=0)
    for key, title, _ in LAYOUTS:
        total = report.total(key).total
        share = f"{100 * total / dense:.2f}%" if dense else ""
        out.add_row(Text(title), f"{total:,}", share, bar(report.parts(key), longest))
    out.caption, out.caption_justify = Text(legend()), "left"
    return out


def tensors(report: StorageReport) -> Table:
    """What `auto` takes of each tensor and why, beside CSR, bitmap and the entropy, in bits a weight."""
    from rich.text import Text

    out = _table(
        "bits a weight, and what auto takes",
        "tensor",
        "nonzero",
        "CSR+H",
        "bitmap+H",
        "entropy",
        "auto",
        "<taken, and why",
    )
    for t in report.tensors:
        bits = [
            8 * t.size(key).total / t.weights if t.weights else 0
            for key in ("relative8+huffman", "bitmap+huffman", "entropy")
        ]
        out.add_row(
            Text(name(t)), f"{100 * t.density:.1f}%", *(f"{b:.2f}" for b in bits), f"{t.bits_per_weight:.2f}",
            Text(f"{t.auto_layout.removesuffix(' x codebook')}: {t.reason}"),
        )  # fmt: skip
    return out


def stages(report: StorageReport) -> Table:
    """The columns of Han et al. 2016, Tables 2 to 5: bits per nonzero, and bytes of dense, after each stage."""
    from rich.text import Text

    out = _table(
        "stages of the paper: pruned (P), clustered (P+Q), Huffman-coded (P+Q+H)",
        *(
            "tensor",
            "weights",
            "kept",
            "w bits\nP+Q",
            "w bits\nP+Q+H",
            "i bits\nP+Q",
            "i bits\nP+Q+H",
            "P\n%",
            "P+Q\n%",
            "P+Q+H\n%",
        ),
    )

    def row(label: str, weights: int, nonzeros: int, dense: int, found: dict) -> None:
        bits = [f"{getattr(found[s], which):.1f}" for which in ("weight_bits", "index_bits") for s in ("P+Q", "P+Q+H")]
        share = [f"{100 * found[s].size / dense:.1f}" if dense else "" for s in found]
        out.add_row(Text(label), count(weights), f"{100 * nonzeros / weights:.0f}%" if weights else "", *bits, *share)

    for t in report.tensors:
        row(name(t), t.weights, t.nonzeros, t.dense, t.stages)
    out.add_section()
    row("total", report.weights, report.nonzeros, report.total("dense").total, report.stages())
    return out


def bars(report: StorageReport) -> Table:
    """What `auto` spends the bytes of each tensor on, longest first drawn full width."""
    from rich.text import Text

    out = _table("what auto stores", "tensor", "stored", "x", "CSR/bitmap at", "<positions, indices, codebooks, dense")
    longest = max((t.auto.size.total for t in report.tensors), default=0)
    for t in report.tensors:
        one = StorageReport("", (t,), {})
        crossover = "" if t.crossover is None else f"{100 * t.crossover:.1f}%"
        ratio = "" if t.ratio == float("inf") else f"{t.ratio:.1f}"
        out.add_row(Text(name(t)), size(t.auto.size.total), ratio, crossover, bar(one.parts("auto"), longest))
    out.caption, out.caption_justify = Text(legend()), "left"
    return out


VIEWS: dict[str, Callable[[StorageReport], object]] = {
    "layouts": layouts,
    "tensors": tensors,
    "stages": stages,
    "bars": bars,
}


def conclusion(report: StorageReport) -> str:
    """CSR against bitmap for the model, in two lines."""
    csr, bitmap, auto = (report.total(key).total for key in ("relative8+huffman", "bitmap+huffman", "auto"))
    dense = report.total("dense").total
    small, large, word = (csr, bitmap, "CSR") if csr <= bitmap else (bitmap, csr, "bitmap")
    by = (
        f"{100 * (1 - small / large):.1f}% smaller than {'bitmap' if word == 'CSR' else 'CSR'}" if large else "the same"
    )
    ratio = f", {dense / auto:.2f} times smaller than dense" if auto else ""
    return (
        f"{printable(report.source)}: {len(report)} tensors, {count(report.weights)} weights; Huffman-coded, {word} is {by} overall\n"
        f"auto takes {size(auto)} ({auto} bytes){ratio}; the index of a file comes on top"
    )


def name(t: TensorStorage) -> str:
    """A tensor's name, its middle left out where it would fill the screen."""
    shown = printable(t.name)
    return shown if len(shown) <= 60 else f"{shown[:28]}...{shown[-29:]}"


def count(n: int) -> str:
    """Numbers for people: 542, 12.3K, 61M."""
    for unit in ("", "K", "M", "G"):
        if n < 999.5 or unit == "G":
            return f"{n:.3g}{unit}" if unit else str(n)
        n = n / 1000  # type: ignore[assignment]
    return str(n)


def bar(parts: dict[str, int], longest: int) -> Text:
    """A stacked bar; what is longer than `longest` ends in an arrow."""
    from rich.text import Text

    out = Text(no_wrap=True)
    total = sum(parts.values())
    cells = min(_BAR, round(_BAR * total / longest)) if longest else 0
    before = edge = 0
    for part, (style, letter) in _PARTS.items():
        before += parts[part]
        to = round(cells * before / total) if total else 0
        out.append((_block() or letter) * (to - edge), style=style)
        edge = to
    if longest and total > longest:
        out.append(">")
    return out


def _block() -> str:
    """A block where there is colour to tell parts apart and an encoding that has it."""
    import os

    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return "\u2588" if coloured and (sys.stdout.encoding or "").lower().startswith("utf") else ""


def legend() -> str:
    """What the bars' letters mean, where they are letters."""
    return "" if _block() else "p positions, i indices, c codebooks, d dense"
