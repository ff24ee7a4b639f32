"""Names as text that is safe to print: a name comes from a stranger's file, and terminals obey control characters."""

from __future__ import annotations


def printable(name: str, longest: int | None = None) -> str:
    """A name as one line of printable characters: others are escaped, and the middle of a name with more than
    `longest` characters is left out.

    >>> printable("fc" + chr(27) + "[2J")
    'fc\\\\x1b[2J'
    >>> printable("layers.10.weight", 9)
    'laye...ight'
    """
    shown = name if name.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    if longest is None or len(shown) <= longest:
        return shown
    return f"{shown[: longest // 2]}...{shown[-(longest // 2) :]}"
