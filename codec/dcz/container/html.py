"""An open file in a notebook: a table, without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from dcz.container.info import Described
from dcz.container.summary import stored_file
from dcz.text import compared, plural, printable

# Rows that are shown: a thousand would bury the notebook.
_MOST = 60
# Characters of a name that are shown.
_LONGEST = 200


def table(caption: str, head: Iterable[str], rows: Sequence[tuple[object, ...]]) -> str:
    top = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in head)
    body = "".join(
        f"<tr><th scope=row style='text-align:left'>{html.escape(str(row[0]))}</th>"
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows[:_MOST]
    )
    more = f"<p>and {len(rows) - _MOST} more</p>" if len(rows) > _MOST else ""
    caption = html.escape(caption)
    return f"<table><caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}"


def reader_table(file: Described) -> str:
    """Return the table of an open file's tensors."""
    found = stored_file(file)
    rows = [
        (
            printable(t.name, _LONGEST),
            t.dtype,
            "x".join(map(str, t.shape)) or "scalar",
            f"{100 * t.density:.2f}%",
            t.layout if t.alias_of is None else f"= {printable(t.alias_of, _LONGEST)}",
            t.codes,
            f"{t.stored:,}",
            f"{t.bits_per_weight:.2f}",
            t.chunks,
        )
        for t in found.tensors
    ]
    head = ("tensor", "dtype", "shape", "nonzero", "layout", "coders", "bytes", "bits a weight", "chunks")
    tensors = plural(len(found.tensors), "tensor")
    caption = f"{tensors} in {found.size:,} bytes, {compared(found.size, found.dense)} dense"
    return f"<div>{table(caption, head, rows)}</div>"
