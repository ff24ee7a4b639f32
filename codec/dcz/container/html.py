"""An open file in a notebook: a table, without scripts."""

from __future__ import annotations

from dcz.container.info import Described
from dcz.container.summary import stored_file
from dcz.markup import table
from dcz.text import compared, plural, printable

# Characters of a name that are shown.
_LONGEST = 200


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
