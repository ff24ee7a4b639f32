"""`dcz fold A B C`: two files of differences as one."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dcz.cli import streams
from dcz.cli.common import (
    Force,
    Json,
    MaxBytes,
    Quiet,
    Threads,
    allowance,
    check_ending,
    check_input,
    check_output,
    destination,
    exact,
    file_bytes,
    print_json,
    size,
)
from dcz.text import plural


def fold(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="The .dcz file of differences to the base.")],
    second: Annotated[
        str, typer.Argument(metavar="SECOND", help="The .dcz file of differences to the result of the first.")
    ],
    dst: Annotated[
        Optional[str], typer.Argument(metavar="DST", help="The .dcz file to write.", show_default=False)
    ] = None,
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", help="The file to write, in place of DST.", show_default=False)
    ] = None,
    threads: Threads = None,
    max_bytes: MaxBytes = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the differences from the base of FIRST to the result of SECOND, without either.

    Example: dcz fold step-101.dcz step-102.dcz steps-101-102.dcz
    """
    from dcz.deltas import fold as folded

    output = destination(dst, output)
    check_ending(output, (".dcz",), "a file of differences")
    check_input(first)
    check_input(second)
    check_output(output, force)
    saved = folded(first, second, output, threads=threads, max_bytes=allowance(max_bytes))
    sizes = [file_bytes(path) for path in (first, second, output)]
    if json:
        print_json({
            "first": first, "second": second, "file": output, "tensors": saved.tensors, "changed": saved.changes,
            "copied": saved.copied, "whole": saved.whole, "first_bytes": sizes[0], "second_bytes": sizes[1],
            "file_bytes": sizes[2],
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(
            f"{output}: {saved.changes} of {plural(saved.tensors, 'tensor')} changed, {exact(sizes[2])}; the "
            f"two files have {size(sizes[0] + sizes[1])}"
        )
