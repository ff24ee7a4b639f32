"""What notebooks show of a comparison and of an open file: tables, without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable

from dcz.container import Reader
from dcz.report.page.data import plain, summary
from dcz.report.storage import LAYOUTS, StorageReport
from dcz.report.stored import stored_file

# Rows that are shown; a notebook is no place for a thousand.
_MOST = 60


def _table(caption: str, head: Iterable[str], rows: list[tuple[object, ...]]) -> str:
    top = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in head)
    body = "".join(
        f"<tr><th scope=row style='text-align:left'>{html.escape(str(row[0]))}</th>"
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows[:_MOST]
    )
    more = f"<p>and {len(rows) - _MOST} more</p>" if len(rows) > _MOST else ""
    return f"<table><caption>{html.escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{more}"


def comparison(report: StorageReport) -> str:
    """Layouts, then tensors."""
    dense = report.total("dense").total
    totals = [(report.total(key).total, title) for key, title, _ in LAYOUTS]
    layouts = [(title, f"{total:,}", f"{100 * total / dense:.2f}%" if dense else "") for total, title in totals]
    keys = ("relative8+huffman", "bitmap+huffman", "entropy", "auto")
    tensors = [
        (plain(t.name), f"{100 * t.density:.2f}%", *(f"{t.size(key).total:,}" for key in keys), t.auto_layout, t.reason)
        for t in report.tensors
    ]
    head = ("tensor", "nonzero", "CSR + Huffman", "bitmap + Huffman", "entropy", "auto", "taken", "why")
    text = summary(report).partition("<noscript>")[0]
    return (
        f"<div>{text}" + _table("Bytes in each layout", ("layout", "bytes", "of dense"), layouts)
        + _table("Bytes of each tensor", head, tensors) + "</div>"
    )  # fmt: skip


def reader(file: Reader) -> str:
    """The tensors of an open file."""
    found = stored_file(file)
    rows = [
        (plain(t.name), t.dtype, "x".join(map(str, t.shape)) or "scalar", f"{100 * t.density:.2f}%", t.layout if t.alias_of is None
         else f"= {plain(t.alias_of)}", t.codes, f"{t.stored:,}", f"{t.bits_per_weight:.2f}", t.chunks)
        for t in found.tensors
    ]  # fmt: skip
    head = ("tensor", "dtype", "shape", "nonzero", "layout", "coders", "bytes", "bits a weight", "chunks")
    caption = f"{len(found.tensors)} tensors in {found.size:,} bytes, {found.ratio:.2f} times smaller than dense"
    return f"<div>{_table(caption, head, rows)}</div>"
