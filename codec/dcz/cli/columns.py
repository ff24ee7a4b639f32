"""Tables of text that fit a terminal: columns with least widths and priorities, long names shortened in the middle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dcz.cli import streams
from dcz.cli.common import Misuse
from dcz.text import columns, shortened, shortened_name

_GAP = 2
# Rows that a table has on a terminal unless all are asked for.
ROWS = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column. On a narrow terminal those of the largest `priority` are left out first; those of 0 never are.

    A column with `least` may be narrowed to so many columns: `shorten` fits its cells. `help` explains it in the line
    below the table.
    """

    title: str
    priority: int = 0
    help: str = ""
    least: int | None = None
    shorten: Callable[[str, int], str] = shortened
    right: bool = True


def name_column(title: str = "tensor") -> Column:
    """The column of names, which every table begins with."""
    return Column(title, least=24, shorten=shortened_name, right=False)


class Painted(str):
    """A cell with colours in it, `width` columns wide. It is shown whole or not at all."""

    width: int

    def __new__(cls, text: str, width: int) -> Painted:
        cell = super().__new__(cls, text)
        cell.width = width
        return cell


@dataclass
class Table:
    """Rows of printable cells under columns. `footer` says which rows were left out, `legend` what bars are made of."""

    columns: Sequence[Column]
    title: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    legend: str = ""
    footer: str = ""

    def add(self, *cells: str) -> None:
        """Adds a row."""
        self.rows.append(cells)

    def only(self, names: str) -> Table:
        """The table with its first column and those whose titles are listed, with commas between them."""
        titles = {column.title.lower(): at for at, column in enumerate(self.columns)}
        kept = list(dict.fromkeys([0, *(titles[name] for name in _names(names) if name in titles)]))
        return replace(
            self,
            columns=[self.columns[at] for at in kept],
            rows=[tuple(row[at] for at in kept) for row in self.rows],
        )

    def render(self, width: int | None) -> str:
        """The table in at most `width` columns, or as wide as it is with None."""
        natural = [
            max(columns(column.title), *(_width(row[at]) for row in self.rows), 0)
            for at, column in enumerate(self.columns)
        ]
        kept = list(range(len(self.columns))) if width is None else _kept(self.columns, natural, width)
        widths = dict(zip(kept, [natural[at] for at in kept]))
        if width is not None:
            _narrow(self.columns, widths, width)
        lines = _wrapped(self.title, width)
        lines.append(self._line([column.title for column in self.columns], widths))
        rule = "\u2500" if streams.can_show("\u2500") else "-"
        lines.append(rule * min(sum(widths.values()) + _GAP * (len(widths) - 1), width or 10**6))
        lines += [self._line(row, widths) for row in self.rows]
        lines += _wrapped(self.footer, width)
        lines += _wrapped("; ".join(self._explained(widths)), width)
        return "\n".join(lines)

    def _explained(self, widths: dict[int, int]) -> list[str]:
        """An explanation of the columns shown, and a list of those hidden."""
        out = [
            f"{column.title}: {column.help}" for at, column in enumerate(self.columns) if at in widths and column.help
        ]
        out += [self.legend] if self.legend else []
        hidden = [column.title for at, column in enumerate(self.columns) if at not in widths]
        if hidden:
            out.append(f"--wide adds {', '.join(hidden)}")
        return out

    def _line(self, cells: Sequence[str], widths: dict[int, int]) -> str:
        out = []
        for at, width in widths.items():
            shown = cells[at] if isinstance(cells[at], Painted) else self.columns[at].shorten(cells[at], width)
            space = " " * (width - _width(shown))
            out.append(space + shown if self.columns[at].right else shown + space)
        return (" " * _GAP).join(out).rstrip()


def _names(names: str) -> list[str]:
    return [name.strip().lower() for name in names.split(",")]


def check_names(known: Iterable[Column], names: str | None) -> None:
    """Refuses the name of a column that is none of these: before the work, not after."""
    titles = [column.title.lower() for column in known]
    for name in [] if names is None else _names(names):
        if name not in titles:
            raise Misuse(f"--columns: {name!r:.80} is unknown; expected some of {', '.join(dict.fromkeys(titles))}")


def has_some(table: Table, names: str) -> bool:
    """True if a table has one of these columns beside its first."""
    return any(column.title.lower() in _names(names) for column in table.columns[1:])


def _width(cell: str) -> int:
    return cell.width if isinstance(cell, Painted) else columns(cell)


def _least(column: Column, natural: int) -> int:
    return natural if column.least is None else min(column.least, natural)


def _kept(all_columns: Sequence[Column], natural: list[int], width: int) -> list[int]:
    """The columns that fit when each is as narrow as it may be."""
    kept = list(range(len(all_columns)))

    def needed() -> int:
        return sum(_least(all_columns[at], natural[at]) for at in kept) + _GAP * (len(kept) - 1)

    while needed() > width:
        last = max(kept, key=lambda at: (all_columns[at].priority, at))
        if not all_columns[last].priority:
            break
        kept.remove(last)
    return kept


def _narrow(all_columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    """Takes columns off the widest that may be narrowed until the table fits."""
    while sum(widths.values()) + _GAP * (len(widths) - 1) > width:
        can = [at for at in widths if _least(all_columns[at], widths[at]) < widths[at]]
        can = can or [at for at in widths if all_columns[at].least is not None and widths[at] > 1]
        if not can:
            return
        widths[max(can, key=lambda at: widths[at])] -= 1


def _wrapped(text: str, width: int | None) -> list[str]:
    """Lines of at most `width` columns."""
    if not text:
        return []
    if width is None:
        return text.split("\n")
    import textwrap

    return [part for line in text.split("\n") for part in textwrap.wrap(line, max(width, 20)) or [""]]


def terminal_width() -> int | None:
    """Columns of the terminal that standard output is; None where it is not one, and nothing is left out."""
    return shutil.get_terminal_size().columns if streams.is_terminal() else None


def coloured() -> bool:
    """True if colours may be used: on a terminal that has them, unless NO_COLOR is set."""
    return streams.is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(table: Table, wide: bool = False, names: str | None = None) -> None:
    """Prints a table: fitted to a terminal unless `wide` or columns are chosen by their `names`, whole elsewhere."""
    if names is not None:
        table = table.only(names)
    streams.say(table.render(None if wide or names is not None else terminal_width()))


def most_rows(everything: bool) -> int | None:
    """The maximum number of rows of a table of tensors; None for all, as when output is not a terminal."""
    return None if everything or not streams.is_terminal() else ROWS
