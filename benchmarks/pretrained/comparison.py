"""The best of dcz against its methods of before and against others, network by network, at equal fidelity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

BEFORE = ("k-means", "entropy")
WITHOUT_DATA = ("grid", "grid, one step for all", "grid by channel", "plan")
WITH_DATA = ("plan, evaluate", "plan, calibrated", "plan, calibrated, evaluate", "calibrated", "shrink")
NNCODEC = ("NNCodec", "NNCodec, dependent")
# How the names of these begin.
INTEGERS = ("integers", "palettes")
# Of others, those that see samples.
GPTQ = ("GPTQ in groups of 128",)
# How much smaller than the methods of before files were to be.
WANTED_WITHOUT, WANTED_WITH = 0.15, 0.30

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Best:
    """The best of some methods at a fidelity. `least`: the smallest file that was measured is still that good, so a
    smaller one may be, too."""

    ratio: float
    method: str
    least: bool

    def __str__(self) -> str:
        return f"{'≥ ' if self.least else ''}{self.ratio:.2f} {self.method}"


@dataclass(frozen=True, slots=True)
class Row:
    """A network at a fidelity; None: nothing of the kind was measured, or none is that good."""

    network: str
    fidelity: float
    before: Best | None
    without: Best | None
    with_data: Best | None
    nncodec: Best | None
    integers: Best | None
    gptq: Best | None

    @property
    def ours(self) -> Best | None:
        """The best of dcz, with data or without."""
        found = [each for each in (self.before, self.without, self.with_data) if each is not None]
        return max(found, key=lambda each: each.ratio, default=None)

    @property
    def ours_without(self) -> Best | None:
        """The best of dcz that looks at weights alone."""
        found = [each for each in (self.before, self.without) if each is not None]
        return max(found, key=lambda each: each.ratio, default=None)


def smaller(one: Best | None, other: Best | None) -> float | None:
    """The share of the other's bytes that the first saves; negative if it is larger. None where it is not known: one
    of the two is missing, or the one that seems larger may be smaller than what was measured.

    >>> smaller(Best(8.0, "a", False), Best(4.0, "b", False)), smaller(Best(8.0, "a", False), Best(4.0, "b", True))
    (0.5, None)
    """
    if one is None or other is None:
        return None
    if (other.least and other.ratio <= one.ratio) or (one.least and one.ratio <= other.ratio):
        return None
    return 1 - other.ratio / one.ratio


def rows(
    curves: Iterable[tuple[str, Mapping[str, Points]]],
    fidelities: Sequence[float],
    ratio_at: Callable[[Points, float], tuple[float, bool] | None],
) -> list[Row]:
    """A row for each network and fidelity."""
    out = []
    for network, methods in curves:
        integers = [name for name in methods if name.startswith(INTEGERS)]
        for fidelity in fidelities:
            found = {name: at for name, points in methods.items() if (at := ratio_at(points, fidelity)) is not None}
            kinds = (BEFORE, WITHOUT_DATA, WITH_DATA, NNCODEC, integers, GPTQ)
            out.append(Row(network, fidelity, *(_best(found, names) for names in kinds)))
    return out


def _best(found: Mapping[str, tuple[float, bool]], names: Iterable[str]) -> Best | None:
    made = [Best(found[name][0], name, found[name][1]) for name in names if name in found]
    return max(made, key=lambda each: each.ratio, default=None)


def _share(value: float | None, wanted: float | None = None) -> str:
    if value is None:
        return ""
    text = f"{value:+.0%}".replace("-", "−")
    return f"**{text}**" if wanted is not None and value >= wanted else text


def _both(row: Row, other: Best | None) -> str:
    """What the best of dcz saves, and in brackets the best without data."""
    alone = _share(smaller(row.ours_without, other))
    return " ".join(filter(None, (_share(smaller(row.ours, other)), alone and f"({alone})")))


def table(found: Sequence[Row]) -> list[str]:
    """Lines of Markdown: the best of each kind, and what the best of dcz saves against it."""
    lines = [
        "| network | fidelity | k-means, entropy | dcz without data | saves | dcz with data | saves | NNCodec "
        "| dcz saves | integers, palettes | dcz saves | GPTQ | dcz saves |",
        "|---|---|---|---|--:|---|--:|---|--:|---|--:|---|--:|",
    ]
    for row in found:
        cells = [
            row.network, f"{row.fidelity:g}", row.before,
            row.without, _share(smaller(row.without, row.before), WANTED_WITHOUT),
            row.with_data, _share(smaller(row.with_data, row.before), WANTED_WITH),
            row.nncodec, _both(row, row.nncodec),
            row.integers, _both(row, row.integers),
            row.gptq and f"{'≥ ' if row.gptq.least else ''}{row.gptq.ratio:.2f}", _share(smaller(row.ours, row.gptq)),
        ]  # fmt: skip
        lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    return [*lines, ""]


def reading(found: Sequence[Row]) -> list[str]:
    """What the table says, in sentences that are counted from it."""
    sentences = [
        _goal(found, "Without data", lambda row: smaller(row.without, row.before), WANTED_WITHOUT),
        _goal(found, "With data", lambda row: smaller(row.with_data, row.before), WANTED_WITH),
        _against(found, "The best of dcz", "NNCodec", lambda row: smaller(row.ours, row.nncodec)),
        _against(found, "Without data, dcz", "NNCodec", lambda row: smaller(row.ours_without, row.nncodec)),
        _against(found, "The best of dcz", "integers and palettes", lambda row: smaller(row.ours, row.integers)),
        _against(
            found, "Without data, dcz", "integers and palettes", lambda row: smaller(row.ours_without, row.integers)
        ),
        _against(found, "The best of dcz", "GPTQ", lambda row: smaller(row.ours, row.gptq)),
    ]
    return [f"- {each}" for each in sentences if each] + [""]


Saving = Callable[[Row], "float | None"]


def _goal(found: Sequence[Row], who: str, saving: Saving, wanted: float) -> str:
    known = [(row, value) for row in found if (value := saving(row)) is not None]
    if not known:
        return ""
    missed = [f"{row.network} at {row.fidelity:g} ({_share(value)})" for row, value in known if value < wanted]
    text = (
        f"{who}, dcz is at least {wanted:.0%} smaller than with k-means or entropy-constrained clusters at "
        f"{len(known) - len(missed)} of {len(known)} points"
    )
    return text + (f"; less at {', '.join(missed)}." if missed else ".")


def _against(found: Sequence[Row], who: str, whom: str, saving: Saving) -> str:
    known = [(row, value) for row in found if (value := saving(row)) is not None]
    if not known:
        return ""
    lost = [f"{row.network} at {row.fidelity:g} (by {-value:.1%})" for row, value in known if value < 0]
    text = f"{who} is smaller than {whom} at {len(known) - len(lost)} of {len(known)} points"
    return text + (f"; larger at {', '.join(lost)}." if lost else ".")
