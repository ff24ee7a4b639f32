"""Code shared by the verbs: options, progress, readable numbers, output for terminals and for programs."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Optional

import typer

from dcz.cli import streams
from dcz.errors import DczError, MissingLibraryError
from dcz.io.opening import open_source
from dcz.io.sources import is_url
from dcz.text import json_text, plural, printable

# Entries that `print_left_out` prints one by one.
_LISTED = 20

Threads = Annotated[
    Optional[int], typer.Option("--threads", min=1, help="Threads to use; by default all cores.", show_default=False)
]
Wide = Annotated[bool, typer.Option("--wide", help="Show all columns, however narrow the terminal is.")]
Columns = Annotated[
    Optional[str],
    typer.Option("--columns", help="Show these columns alone, as in 'layout,stored'.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="List all tensors; on a terminal the largest 20 otherwise.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Replace DST if it exists.")]
MaxBytes = Annotated[
    Optional[str],
    typer.Option(
        help="How much all arrays of a file may take, such as 40GB; by default a generous multiple of its size.",
        show_default=False,
    ),
]
MaxMemory = Annotated[
    Optional[str],
    typer.Option(
        help="Memory for tensors, such as 500MB; larger ones are read and written in blocks. Default: 2GB.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail, writing nothing, where something of SRC would be left out.")
]
ShardSize = Annotated[
    Optional[str],
    typer.Option(help="Maximum bytes of tensors per shard, e.g. 500MB. Default: 5GB if there are several shards."),
]


class Misuse(typer.BadParameter):
    """The command line is at fault, whatever the files hold: exit code 2. The message begins with what is."""

    def format_message(self) -> str:
        return self.message


def destination(dst: str | None, output: str | None, name: str = "DST") -> str:
    """The file to write: the last argument, or that of --output. One of them is given."""
    if dst is not None and output is not None:
        raise Misuse(f"{name} and --output name the file to write twice")
    if dst is None and output is None:
        raise Misuse(f"Missing argument '{name}': name the file to write")
    return dst if dst is not None else str(output)


def print_json(document: object) -> None:
    """One document on standard output."""
    streams.say(json_text(document, ascii_only=not streams.can_show("\u00e9\u5c42\U0001f642")))


@contextlib.contextmanager
def checking_options() -> Iterator[None]:
    """Turns errors about an option's value into usage errors: exit code 2 instead of 1. They begin with the option,
    not with the name that it has in Python."""
    try:
        yield
    except DczError as error:
        message = str(error).removeprefix("recipe: ")
        raise Misuse(re.sub(r"^[a-z_ ]+(?=: )", _option, message)) from error


def _option(field: re.Match[str]) -> str:
    return "--" + field[0].replace("_", "-").replace(" ", "-")


@contextlib.contextmanager
def checking_targets() -> Iterator[None]:
    """Turns errors about the name of a file to write into usage errors; a library that is missing is none."""
    try:
        yield
    except MissingLibraryError:
        raise
    except DczError as error:
        raise Misuse(str(error)) from error


def check_ending(path: str, endings: tuple[str, ...], what: str, instead: str = "") -> None:
    """Refuses a target whose name ends in none of these."""
    if not path.lower().endswith(endings):
        raise Misuse(f"{path}: the name of {what} ends in {' or '.join(endings)}{instead}")


def print_left_out(left_out: Mapping[str, str]) -> None:
    """Warns on standard error, even with --quiet, about entries that were left out."""
    for name, reason in list(left_out.items())[:_LISTED]:
        streams.warn(f"warning: left out: {printable(name)}: {printable(reason)}")
    if len(left_out) > _LISTED:
        streams.warn(f"warning: left out: {len(left_out) - _LISTED} more; --json lists them all")


def allowance(max_bytes: str | None) -> int | None:
    """The value of `--max-bytes` as a number."""
    from dcz.convert import parse_size

    with checking_options():
        return None if max_bytes is None else parse_size(max_bytes, "max bytes")


def memory(max_memory: str | None) -> int | None:
    """The value of `--max-memory` as a number."""
    from dcz.convert import parse_size

    with checking_options():
        return None if max_memory is None else parse_size(max_memory, "max memory")


def size(n: float) -> str:
    """Bytes for people: 542 B, 12.3 kB, 6.95 MB."""
    if abs(n) < 1000:
        return f"{n:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        n /= 1000
        if abs(n) < 999.5:
            return f"{n:.3g} {unit}"
    return f"{n:.3g} PB"


def exact(n: int) -> str:
    """Bytes for people, and all of them: 542 bytes, 12.3 kB (12345 bytes)."""
    return plural(n, "byte") if n < 1000 else f"{size(n)} ({n} bytes)"


def check_output(path: str, force: bool) -> None:
    """Refuses to replace a file unasked; the error names the way out."""
    if is_url(path):
        from dcz.io.remote import exists
        from dcz.jobs.tasks import persistently

        if not force and persistently(lambda: exists(path)):
            raise DczError(f"{path}: already exists; use --force to replace it")
        return
    if os.path.isdir(path):
        raise DczError(f"{path}: is a folder; name a file")
    if os.path.exists(path) and not force:
        raise DczError(f"{path}: already exists; use --force to replace it")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise DczError(f"{path}: the folder {folder} does not exist; create it first")


def file_bytes(path: str) -> int:
    """Bytes of a file wherever it is, of all files of an index with it, or of all in a package. A job that is done does
    not fail because a store fails for now."""
    if is_url(path):
        from dcz.jobs.tasks import persistently

        return persistently(lambda: _all_bytes_of(path))
    return _all_bytes_of(path)


def _all_bytes_of(path: str) -> int:
    if path.lower().endswith(".index.json"):
        from dcz.container.shards import ShardIndex

        index = ShardIndex.read(path)
        return _bytes_of(path) + sum(_bytes_of(index.locate(file)) for file in index.files())
    if os.path.isdir(path):
        return sum(os.path.getsize(os.path.join(root, name)) for root, _, names in os.walk(path) for name in names)
    return _bytes_of(path)


def _bytes_of(path: str) -> int:
    if not is_url(path):
        return os.path.getsize(path)
    with contextlib.closing(open_source(path)) as source:
        return source.size


def check_input(path: str, *, models: bool = False) -> None:
    """Missing files and folders, said before anything else happens; of URLs when they are opened. A folder is taken
    where it may stand for the model in it, `models`."""
    if is_url(path):
        return
    if not models and os.path.isdir(path) and not os.path.normpath(path).lower().endswith(".mlpackage"):
        raise DczError(f"{path}: is a folder; name a file")
    os.stat(path)


@contextlib.contextmanager
def progress(label: str, quiet: bool, bytes_: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal; nothing elsewhere. It counts bytes, or where not `bytes_` things."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(label),
        BarColumn(),
        DownloadColumn() if bytes_ else MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
