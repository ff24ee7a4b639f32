"""`dcz verify FILE`: every checksum, every stream."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Optional

import typer

from dcz.cli import streams
from dcz.cli.common import Json, MaxBytes, Quiet, Threads, allowance, check_input, print_json, progress, size
from dcz.cli.jobs import Scheduler, client
from dcz.text import plural


def verify(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The .dcz file to check, its URL, a .dcz.index.json, or a folder with one."
        ),
    ],
    base: Annotated[
        Optional[str],
        typer.Option(help="The base of a file of differences: its result is checked as well.", show_default=False),
    ] = None,
    threads: Threads = None,
    scheduler: Scheduler = None,
    max_bytes: MaxBytes = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read FILE completely and check every checksum, every stream and every reserved byte.

    Example: dcz verify model.dcz && echo whole
    """
    from dcz.cli.delta import check_base
    from dcz.deltas import verify as check

    check_input(file, models=True)
    if base is not None:
        check_base(base, file)
    with progress("verifying", quiet or json) as report:
        if scheduler is None:
            found = check(file, base=base, threads=threads, max_bytes=allowance(max_bytes), progress=report)
        else:
            from dcz import jobs

            with client(scheduler) as workers:
                found = jobs.verify(file, client=workers, base=base, max_bytes=allowance(max_bytes), progress=report)
    if json:
        print_json({"file": file, "ok": True, **asdict(found)})
    elif not quiet:
        streams.say_printable(
            f"{file}: whole; {plural(found.tensors, 'tensor')} in {plural(found.chunks, 'chunk')}, "
            f"{size(found.stored)} that decode to {size(found.decoded)}"
        )
