"""Tables for notebooks: HTML without scripts, in which names are text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

# Rows that are shown: a thousand would bury the notebook.
_MOST = 60


def table(caption: str, head: Iterable[str], rows: Sequence[tuple[object, ...]]) -> str:
    """Return a table; its first column is of names.

    >>> table("a", ["tensor"], [("<b>",)]).count("&lt;b&gt;")
    1
    """
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
