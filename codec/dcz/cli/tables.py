"""A comparison as tables that fit a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dcz.cli import columns, streams
from dcz.cli.columns import Column, Painted, Table, name_column
from dcz.cli.common import exact, size
from dcz.report import advice
from dcz.report.storage import LAYOUTS, Stage, StorageReport, TensorStorage
from dcz.text import compared, ended, plural, printable
from dcz.vocabulary import line

# Parts of a bar: colour as ANSI numbers it, and the letter it has without colour.
_PARTS = {"positions": (36, "p"), "indices": (32, "i"), "codebooks": (33, "c"), "dense": (35, "d")}
_BAR = 24


def layouts(report: StorageReport, most: int | None = None) -> Table:
    """Every layout's bytes, and a bar of what they are spent on, against CSR with 8-bit gaps."""
    out = Table(
        (
            Column("layout", right=False),
            Column("bytes"),
            Column("of dense", 1),
            Column("made of", 2, legend(), right=False),
        ),
        title="What the model takes in each layout",
    )
    dense = report.total("dense").total
    longest = max((report.total(key).total for key, _, _ in LAYOUTS if key not in ("dense", "csr32")), default=0)
    for key, title, _ in LAYOUTS:
        total = report.total(key).total
        share = f"{100 * total / dense:.2f}%" if dense else ""
        out.add(title, f"{total:,}", share, bar(report.parts(key), longest))
    return out


def tensors(report: StorageReport, most: int | None = None) -> Table:
    """The layout that `auto` chooses for each tensor and why, beside CSR, bitmap and entropy, in bits per weight."""
    shown, footer = _largest(report, most)
    out = Table(
        (
            name_column(),
            Column("nonzero", 6),
            Column("CSR+H", 4, "8-bit gaps, Huffman-coded"),
            Column("bitmap+H", 5, "a bit a weight, Huffman-coded"),
            Column("entropy", 7, line("entropy")),
            Column("auto", 0, "what dcz pack stores"),
            Column("taken", 2, right=False),
            Column("why", 8, least=16, shorten=ended, right=False),
        ),
        title="Bits a weight, and what auto takes",
        footer=footer,
    )
    for t in shown:
        bits = [
            8 * t.size(key).total / t.weights if t.weights else 0
            for key in ("csr8+huffman", "bitmap+huffman", "entropy")
        ]
        out.add(
            printable(t.name), f"{100 * t.density:.1f}%", *(f"{b:.2f}" for b in bits), f"{t.bits_per_weight:.2f}",
            t.auto_layout, t.reason,
        )  # fmt: skip
    return out


def stages(report: StorageReport, most: int | None = None) -> Table:
    """The columns of Han et al. 2016, Tables 2 to 5: bits per nonzero, and bytes of dense, after each stage."""
    shown, footer = _largest(report, most)
    out = Table(
        (
            name_column(),
            Column("weights", 7),
            Column("kept", 6),
            Column("w P+Q", 5),
            Column("w P+Q+H", 4),
            Column("i P+Q", 5),
            Column("i P+Q+H", 4),
            Column("P", 3),
            Column("P+Q", 2),
            Column("P+Q+H"),
        ),
        title="Stages of the paper: pruned (P), clustered (P+Q), Huffman-coded (P+Q+H)",
        legend="w: bits of a nonzero weight; i: bits of its index; P, P+Q, P+Q+H: bytes as a share of dense",
        footer=footer,
    )

    def row(label: str, weights: int, nonzeros: int, dense: int, found: dict[str, Stage]) -> None:
        bits = [f"{getattr(found[s], which):.1f}" for which in ("weight_bits", "index_bits") for s in ("P+Q", "P+Q+H")]
        share = [f"{100 * found[s].size / dense:.1f}%" if dense else "" for s in found]
        out.add(label, count(weights), f"{100 * nonzeros / weights:.0f}%" if weights else "", *bits, *share)

    for t in shown:
        row(printable(t.name), t.weights, t.nonzeros, t.dense, t.stages)
    row("total", report.weights, report.nonzeros, report.total("dense").total, report.stages())
    return out


def bars(report: StorageReport, most: int | None = None) -> Table:
    """The parts of each tensor's bytes as stored by `auto`; the largest tensor has the full width."""
    shown, footer = _largest(report, most)
    out = Table(
        (
            name_column(),
            Column("stored"),
            Column("smaller", 3),
            Column("even at", 4, "the density at which CSR and bitmap are equally small"),
            Column("made of", 2, legend(), right=False),
        ),
        title="What auto stores",
        footer=footer,
    )
    longest = max((t.auto.size.total for t in report.tensors), default=0)
    for t in shown:
        one = StorageReport("", (t,), {})
        crossover = "" if t.crossover is None else f"{100 * t.crossover:.1f}%"
        ratio = "" if t.ratio == float("inf") else f"{t.ratio:.1f} x"
        out.add(printable(t.name), size(t.auto.size.total), ratio, crossover, bar(one.parts("auto"), longest))
    return out


def _largest(report: StorageReport, most: int | None) -> tuple[list[TensorStorage], str]:
    """The tensors to list, and a line for the rest."""
    if most is None or len(report.tensors) <= most:
        return list(report.tensors), ""
    ordered = sorted(report.tensors, key=lambda t: (-t.auto.size.total, t.name))
    rest = sum(t.auto.size.total for t in ordered[most:])
    fewer = plural(len(ordered) - most, "smaller tensor")
    return ordered[:most], f"and {fewer}, {size(rest)} in auto; --all lists them"


VIEWS: dict[str, Callable[[StorageReport, int | None], Table]] = {
    "layouts": layouts,
    "tensors": tensors,
    "stages": stages,
    "bars": bars,
}


def columns_of(views: Iterable[str]) -> list[Column]:
    """The columns of all these tables."""
    nothing = StorageReport("", (), {})
    return [column for view in views for column in VIEWS[view](nothing, None).columns]


def conclusion(report: StorageReport) -> str:
    """CSR against bitmap for the model in two lines, and why it did not shrink."""
    csr, bitmap, auto = (report.total(key).total for key in ("csr8+huffman", "bitmap+huffman", "auto"))
    dense = report.total("dense").total
    small, large, word = (csr, bitmap, "CSR") if csr <= bitmap else (bitmap, csr, "bitmap")
    less = 100 * (1 - small / large) if large else 0.0
    verdict = f"Huffman-coded, {word} is {less:.1f}% smaller than {'bitmap' if word == 'CSR' else 'CSR'} overall"
    if less < 0.05:
        verdict = "Huffman-coded, CSR and bitmap are equally small overall"
    if not any(0 < t.nonzeros < t.weights for t in report.tensors):
        verdict = "no tensor has zeros: neither CSR nor bitmap can help"
    against = f", {compared(auto, dense)} dense" if dense else ""
    lines = [
        f"{printable(report.source)}: {plural(len(report), 'tensor')}, "
        f"{plural(report.weights, 'weight', show=count)}; {verdict}",
        f"auto takes {exact(auto)}{against}; the index of a file comes on top",
    ]
    return "\n".join(lines + advice.advice(advice.of_report(report), printable(report.source)))


def count(n: int) -> str:
    """Numbers for people: 542, 12.3K, 61M."""
    for unit in ("", "K", "M", "G"):
        if n < 999.5 or unit == "G":
            return f"{n:.3g}{unit}" if unit else str(n)
        n = n / 1000  # type: ignore[assignment]
    return str(n)


def bar(parts: dict[str, int], longest: int) -> Painted:
    """A stacked bar; what is longer than `longest` ends in an arrow."""
    total = sum(parts.values())
    cells = min(_BAR, round(_BAR * total / longest)) if longest else 0
    out, before, edge = "", 0, 0
    for part, (colour, letter) in _PARTS.items():
        before += parts[part]
        to = round(cells * before / total) if total else 0
        if to > edge:
            out += f"\x1b[{colour}m{_BLOCK * (to - edge)}\x1b[0m" if _blocks() else letter * (to - edge)
        edge = to
    more = bool(longest and total > longest)
    return Painted(out + ">" * more, edge + more)


_BLOCK = "\u2588"


def _blocks() -> bool:
    """True if there are colours to tell parts apart, and an encoding with block characters."""
    return columns.coloured() and streams.can_show(_BLOCK)


def legend() -> str:
    """The legend of the parts of bars."""
    if not _blocks():
        return ", ".join(f"{letter} {part}" for part, (_, letter) in _PARTS.items())
    return ", ".join(part for part in _PARTS) + ": cyan, green, yellow, magenta"
