"""`dcz explain TERM`: what a word in a table, a page or an error means."""

from __future__ import annotations

import difflib
import textwrap
from typing import Annotated, Optional

import typer

from dcz.cli import columns, streams
from dcz.cli.common import Json, Misuse, print_json
from dcz.cli.options import values
from dcz.vocabulary import TERMS, Term, find


def explain(
    words: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="[TERM]",
            help="A word of a table, as in 'byte planes'; without one, all are listed.",
            autocompletion=values([term.title for term in TERMS]),
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Explain a term, such as CSR, gap, codebook, entropy or crossover.

    Example: dcz explain bitmap
    """
    found = list(TERMS) if not words else [_term(" ".join(words))]
    if json:
        print_json({"terms": [document(term) for term in found]})
    elif not words:
        streams.say("\n".join(line for term in TERMS for line in wrapped(f"{term.title}: {term.line}", hanging=4)))
        streams.say("\ndcz explain TERM says more")
    else:
        streams.say("\n".join(line for paragraph in paragraphs(found[0]) for line in wrapped(paragraph)))


def wrapped(text: str, hanging: int = 0) -> list[str]:
    """Lines that fit the terminal; whole where output is not one."""
    width = columns.terminal_width()
    return [text] if width is None else textwrap.wrap(text, max(width, 20), subsequent_indent=" " * hanging)


def _term(word: str) -> Term:
    term = find(word)
    if term is not None:
        return term
    known = {name.lower(): each.title for each in TERMS for name in (each.title, *each.also)}
    near = list(dict.fromkeys(known[name] for name in difflib.get_close_matches(word.lower(), known, 3)))
    hint = f"did you mean {' or '.join(near)}?" if near else "dcz explain lists all terms"
    raise Misuse(f"{word!r:.80} is not a term; {hint}")


def paragraphs(term: Term) -> list[str]:
    """The paragraphs that explain a term."""
    out = [f"{term.title}: {term.line}"]
    out += [term.more] if term.more else []
    out += [f"Also: {', '.join(term.also)}"] if term.also else []
    return out


def document(term: Term) -> dict[str, object]:
    """The same as plain data."""
    return {"term": term.title, "line": term.line, "more": term.more, "also": list(term.also)}
