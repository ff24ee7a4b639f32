"""The tables, without scripts, that a notebook shows for a comparison."""

from __future__ import annotations

from dcz.markup import table
from dcz.report.layouts import LAYOUTS
from dcz.report.page.data import LONGEST, summary
from dcz.report.totals import ModelStorage
from dcz.text import printable


def comparison(report: ModelStorage) -> str:
    """Layouts, then tensors."""
    dense = report.total("dense").total
    totals = [(report.total(key).total, title) for key, title, _ in LAYOUTS]
    layouts = [(title, f"{total:,}", f"{100 * total / dense:.2f}%" if dense else "") for total, title in totals]
    keys = ("csr8+huffman", "bitmap+huffman", "entropy", "auto")
    tensors = [
        (
            printable(t.name, LONGEST),
            f"{100 * t.density:.2f}%",
            *(f"{t.size(key).total:,}" for key in keys),
            t.auto_layout,
            t.reason,
        )
        for t in report.tensors
    ]
    head = ("tensor", "nonzero", "CSR + Huffman", "bitmap + Huffman", "entropy", "auto", "taken", "why")
    text = summary(report).partition("<noscript>")[0]
    return (
        f"<div>{text}" + table("Bytes in each layout", ("layout", "bytes", "of dense"), layouts)
        + table("Bytes of each tensor", head, tensors) + "</div>"
    )  # fmt: skip
