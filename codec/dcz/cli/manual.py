"""`dcz manual`: the manual page, made from the help of every verb."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from dcz.cli import streams

_EXIT_CODES = (
    ("0", "done; in diff: the files are the same"),
    ("1", "a file, the disk, the network or standard output is at fault; in diff: the files differ"),
    ("2", "the command line is at fault; in diff: whatever fails"),
    ("128+N", "ended by signal N"),
)


def manual(
    context: typer.Context,
    install: Annotated[
        bool, typer.Option("--install", help="Write it to ~/.local/share/man, where man looks for pages.")
    ] = False,
) -> None:
    """Print the manual page, in the language of man, or install it.

    Example: dcz manual --install && man dcz
    """
    text = "\n".join(page(context.find_root().command))
    if not install:
        streams.say(text)
        return
    from dcz.io.sinks import write_whole

    data = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    path = os.path.join(data, "man", "man1", "dcz.1")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_whole(path, f"{text}\n".encode())
    streams.say_printable(f"{path}: written; man dcz shows it")


def page(group: Any) -> Iterator[str]:
    """The lines of the page about a command and its verbs."""
    from dcz.version import __version__

    yield f'.TH DCZ 1 "" "dcz {__version__}" "dcz"'
    yield ".SH NAME"
    yield "dcz \\- pruned and clustered neural network weights, small on disk"
    yield ".SH SYNOPSIS"
    yield ".B dcz\n.I VERB\n[OPTIONS] ARGUMENTS"
    yield ".SH DESCRIPTION"
    yield _text(group.help)
    for name, verb in group.commands.items():
        yield from _verb(name, verb)
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_CODES:
        yield f".TP\n.B {code}\n{_text(meaning)}"


def _verb(name: str, verb: Any) -> Iterator[str]:
    arguments = [parameter for parameter in verb.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in verb.params if parameter.param_type_name == "option"]
    yield f'.SH "DCZ {name.upper()}"'
    yield f".B dcz {name}\n[OPTIONS] " + " ".join(map(_argument, arguments))
    for paragraph in (verb.help or "").split("\n\n"):
        yield f".PP\n{_text(paragraph)}"
    for each in arguments:
        yield f".TP\n.I {_text(_argument(each))}\n{_text(each.help or '')}"
    for each in options:
        value = "" if each.is_flag else f" \\fI{_text(_value(each))}\\fR"
        yield f".TP\n\\fB{_text(', '.join(each.opts))}\\fR{value}\n{_text(each.help or '')}"


def _argument(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    name = str(parameter.name).upper()
    return name if parameter.required else f"[{name}]"


def _value(parameter: Any) -> str:
    return str(parameter.metavar or parameter.opts[0].lstrip("-")).upper().replace("-", "_")


def _text(text: str) -> str:
    """Words as one line of roff, in which nothing is a command."""
    line = " ".join(text.split()).replace("\\", "\\e")
    line = re.sub(r"-", r"\\-", line)
    return f"\\&{line}" if line.startswith((".", "'")) else line
