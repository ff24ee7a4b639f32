"""`dcz merge A B -o C`: several dcz files to one, byte for byte."""

from __future__ import annotations

from typing import Annotated

import typer

from dcz.cli import streams
from dcz.cli.common import (
    Force,
    Json,
    Quiet,
    check_ending,
    check_input,
    check_output,
    exact,
    file_bytes,
    print_json,
    progress,
)
from dcz.text import plural


def merge(
    files: Annotated[
        list[str],
        typer.Argument(help="The .dcz files to merge, or indexes and folders of sharded models.", metavar="FILE..."),
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="The .dcz file to write.")],
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Merge the tensors of several .dcz files into one. Tensors are copied as they are stored, also those that this
    version of dcz cannot decode.

    Example: dcz merge encoder.dcz decoder.dcz -o model.dcz
    """
    from dcz.container.merge import merge as merge_files

    check_ending(out, (".dcz",), "a merged file")
    for file in files:
        check_input(file, models=True)
    check_output(out, force)
    with progress("merging", quiet or json) as report:
        tensors = merge_files(files, out, progress=report)
    after = file_bytes(out)
    if json:
        print_json({"files": files, "file": out, "tensors": tensors, "file_bytes": after})
    elif not quiet:
        streams.say_printable(f"{out}: {plural(tensors, 'tensor')} of {plural(len(files), 'file')}, {exact(after)}")
