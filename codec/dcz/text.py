"""Text that is safe to show. Names come from strangers' files, and terminals, spreadsheets and browsers obey what they
read: every name is shown through one of these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

# Spreadsheets take a cell that begins with one of these as a formula; the wide forms count in some languages.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_ELLIPSIS = "..."


def printable(name: str, longest: int | None = None) -> str:
    """A name as one line of printable characters: all others are escaped.

    Of a name with more than `longest` characters the middle is left out.

    >>> printable("fc" + chr(27) + "[2J")
    'fc\\\\x1b[2J'
    >>> printable("layers.10.weight", 11)
    'laye...ight'
    """
    shown = name if name.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
    return shown if longest is None else shortened(shown, longest)


def printable_lines(text: str) -> str:
    r"""Text of several lines, each of them printable.

    >>> printable_lines("one\ntwo" + chr(0x9B))
    'one\ntwo\\x9b'
    """
    return text if text.isprintable() else "\n".join(printable(line) for line in text.split("\n"))


def percent(share: float) -> str:
    """A share in whole per cent; one that is not nothing is not shown as 0%.

    >>> percent(0.29), percent(0.0004), percent(0)
    ('29%', 'less than 1%', '0%')
    """
    return "less than 1%" if 0 < share < 0.01 else f"{share:.0%}"


def columns(text: str) -> int:
    """Columns that printable text takes on a terminal.

    >>> columns("fc"), columns(chr(0x5C42))
    (2, 2)
    """
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def shortened(text: str, longest: int, head: float = 0.5) -> str:
    """Printable text in at most `longest` columns, its middle left out. `head` is the share that its start has of
    what remains.

    >>> shortened("model.layers.10.self_attn.q_proj.weight", 24)
    'model.laye...proj.weight'
    """
    if columns(text) <= longest:
        return text
    room = max(longest - len(_ELLIPSIS), 0)
    start = _fitting(text, int(room * head))
    end = _fitting(text[::-1], room - columns(start))[::-1]
    return start + _ELLIPSIS[: max(longest, 1)] + end


def shortened_name(name: str, longest: int) -> str:
    """A printable name in at most `longest` columns: its first components become letters, so that numbers and ends,
    which tell names apart, stay. What is then still too long loses its middle.

    >>> shortened_name("model.layers.10.self_attn.q_proj.weight", 30)
    'm.l.10.self_attn.q_proj.weight'
    >>> shortened_name("model.layers.10.self_attn.q_proj.weight", 20)
    'm.l.1..._proj.weight'
    """
    separator = "/" if "/" in name else "."
    parts = name.split(separator)
    for at, part in enumerate(parts[:-2]):
        if columns(separator.join(parts)) <= longest:
            break
        if not part.isdigit():
            parts[at] = part[:1]
    return shortened(separator.join(parts), longest, head=1 / 3)


def plural(number: int, one: str, more: str | None = None, show: Callable[[int], str] = str) -> str:
    """A number with what it counts: `one`, or `more`, which is `one` and an s by default.

    >>> plural(1, "tensor"), plural(0, "entry", "entries"), plural(9000, "byte", show="{:,}".format)
    ('1 tensor', '0 entries', '9,000 bytes')
    """
    return f"{show(number)} {one if number == 1 else more or one + 's'}"


def compared(part: int, whole: int) -> str:
    """How the size of something compares with that of another, followed by the other's name.

    >>> compared(50, 200), compared(220, 200), compared(200, 200)
    ('4.00 times smaller than', '20 bytes larger than', 'as large as')
    """
    if part < whole:
        return f"{whole / part:.2f} times smaller than" if part else "of no bytes, unlike"
    return f"{plural(part - whole, 'byte', show='{:,}'.format)} larger than" if part > whole else "as large as"


def ended(text: str, longest: int) -> str:
    """Printable text in at most `longest` columns, its end left out, as suits a phrase.

    >>> ended("too many values to cluster", 15)
    'too many val...'
    """
    if columns(text) <= longest:
        return text
    return _fitting(text, max(longest - len(_ELLIPSIS), 0)) + _ELLIPSIS[: max(longest, 1)]


def _fitting(text: str, longest: int) -> str:
    """The start of a text that takes at most so many columns."""
    used = 0
    for at, character in enumerate(text):
        used += columns(character)
        if used > longest:
            return text[:at]
    return text


def json_text(document: object, ascii_only: bool = False) -> str:
    r"""A document as JSON. Characters that are not printable are escaped, as JSON allows, and NaN and infinity, which
    JSON lacks, become null.

    >>> json_text({"w" + chr(0x202E): float("nan")}).splitlines()[1]
    '  "w\\u202e": null'
    """
    import json

    text = json.dumps(_finite(document), ensure_ascii=ascii_only, indent=2, default=_plain)
    return "\n".join(
        line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        for line in text.split("\n")
    )


def csv_cell(value: object) -> object:
    """A value for a cell of CSV. A text that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> csv_cell("=1+1"), csv_cell(-1), csv_cell("fc.weight")
    ("'=1+1", -1, 'fc.weight')
    """
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def markdown_cell(name: str) -> str:
    """A name for a cell of a Markdown table, as code: links, pictures, HTML and emphasis in it stay text.

    >>> markdown_cell("![x](http://a.b/c|d)")
    '`![x](http://a.b/c\\\\x7cd)`'
    """
    shown = printable(name).replace("|", "\\x7c")  # a bar ends the cell even within code
    fence = "`"
    while fence in shown:
        fence += "`"
    edge = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) or not shown else ""
    return f"{fence}{edge}{shown}{edge}{fence}"


def _finite(value: object) -> object:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
