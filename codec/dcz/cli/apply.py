"""`dcz apply OLD DELTA NEW`: the model that a file of differences makes of its base."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dcz.cli import streams
from dcz.cli.common import (
    Force,
    Json,
    MaxMemory,
    Misuse,
    Quiet,
    ShardSize,
    Threads,
    check_input,
    check_output,
    checking_options,
    checking_targets,
    destination,
    file_bytes,
    memory,
    print_json,
    progress,
    size,
)  # fmt: skip
from dcz.text import plural


def apply(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The base: any file that pack reads.")],
    delta: Annotated[
        Optional[str],
        typer.Argument(
            metavar="DELTA", help="The .dcz file of differences, its URL, or the .dcz.index.json of several."
        ),
    ] = None,
    new: Annotated[
        Optional[str],
        typer.Argument(metavar="NEW", help="The file to write: .safetensors, .dcz, .npz, ...", show_default=False),
    ] = None,
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", help="The file to write, in place of NEW.", show_default=False)
    ] = None,
    shard_size: ShardSize = None,
    max_memory: MaxMemory = None,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Apply the differences in DELTA to the model in OLD and write the result, tensor by tensor. The base and the
    result are compared with their checksums; OLD stays as it is.

    Example: dcz apply step-100.safetensors step-101.dcz step-101.safetensors
    """
    from dcz.cli.delta import result, without_base
    from dcz.convert import check_target, open_target, parse_size, transfer

    if delta is None:
        check_input(old)
        raise Misuse(without_base(old))
    output = destination(new, output, "NEW")
    with checking_options():
        limit = None if shard_size is None else parse_size(shard_size)
    with checking_targets():
        check_target(output, limit)
    bound = memory(max_memory)
    check_input(delta)
    check_output(output, force)
    target = open_target(output, threads=threads, shard_size=limit, replace=force, source=old)
    with result(old, delta) as model, progress("applying", quiet or json) as report:
        moved = transfer(model, target, path=output, progress=report, max_memory=bound)
    if json:
        print_json({
            "base": old, "delta": delta, "file": output, "tensors": moved.tensors + moved.aliases,
            "dense_bytes": moved.nbytes, "delta_bytes": file_bytes(delta), "file_bytes": file_bytes(output),
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(
            f"{output}: {plural(moved.tensors + moved.aliases, 'tensor')}, {size(file_bytes(output))}"
        )
