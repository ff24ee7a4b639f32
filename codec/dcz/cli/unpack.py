"""`dcz unpack SRC DST`: a dcz file, or a folder with packed weights, to another format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import folders, pairs, streams
from dcz.cli.common import (
    Force,
    Json,
    MaxBytes,
    MaxMemory,
    Misuse,
    Quiet,
    ShardSize,
    Strict,
    Threads,
    allowance,
    check_input,
    check_output,
    checking_options,
    checking_targets,
    destination,
    file_bytes,
    memory,
    print_json,
    print_left_out,
    progress,
    size,
)  # fmt: skip
from dcz.cli.jobs import Resume, Scheduler, client, misplaced, resumable
from dcz.text import plural

if TYPE_CHECKING:
    from dcz.convert.transfers import Transfer
    from dcz.jobs import Done


def unpack(
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="The .dcz file or its URL, the .dcz.index.json of several, or a folder with them."
        ),
    ],
    dst: Annotated[
        Optional[str],
        typer.Argument(
            metavar="DST",
            help="The file to write: .safetensors, .npz, ...; a folder where SRC is one; .onnx for a packed model.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Optional[str], typer.Option("--output", "-o", help="The file to write, in place of DST.", show_default=False)
    ] = None,
    shapes: Annotated[Optional[Path], typer.Option(help="For .net files.", hidden=True)] = None,
    shard_size: ShardSize = None,
    max_bytes: MaxBytes = None,
    max_memory: MaxMemory = None,
    threads: Threads = None,
    resume: Resume = False,
    scheduler: Scheduler = None,
    force: Force = False,
    strict: Strict = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Unpack SRC into a file of another format, tensor by tensor.

    Example: dcz unpack model.dcz model.safetensors
    """
    from dcz.convert import WRITABLE, check_target, extension_of, open_model, open_target, parse_size, transfer

    output = destination(dst, output)
    with checking_options():
        limit = None if shard_size is None else parse_size(shard_size)
    if not folders.is_folder(src) and not pairs.is_model(output):
        with checking_targets():
            check_target(output, limit)
    allowed, bound = allowance(max_bytes), memory(max_memory)
    source = src
    if folders.is_folder(src):
        if extension_of(output, WRITABLE) is None:
            if resume or scheduler is not None:
                raise Misuse(
                    f"{misplaced(resume, scheduler)} with a file or an index as DST, found {output}; name "
                    f"{os.path.join(output, 'model.safetensors.index.json')}"
                )
            folders.convert(
                src, output, ".safetensors", "auto", threads, limit, allowed, force, strict, quiet, json,
                max_memory=bound,
            )  # fmt: skip
            return
        source = folders.weights(src)
    else:
        check_input(src)
    if pairs.is_model(output):
        if resume or scheduler is not None:
            raise Misuse(f"--resume, --scheduler: do not go with the two files of {output}")
        pairs.unpack(source, output, threads, allowed, force, quiet, json)
        return
    if not resume:
        check_output(output, force)
    moved: Transfer | Done
    if resume or scheduler is not None:
        from dcz import jobs

        with resumable(output), client(scheduler) as workers, progress("unpacking", quiet or json) as report:
            moved = jobs.unpack(
                source, output, client=workers, resume=resume, replace=force, shard_size=limit,
                max_bytes=allowed, max_memory=bound, strict=strict, progress=report,
            )  # fmt: skip
    else:
        target = open_target(output, threads=threads, shard_size=limit, replace=force, source=source)
        with (
            open_model(source, shapes=shapes, max_bytes=allowed) as model,
            progress("unpacking", quiet or json) as report,
        ):
            moved = transfer(model, target, path=output, progress=report, strict=strict, max_memory=bound)
    print_left_out(moved.left_out)
    after = file_bytes(output)
    if json:
        print_json({
            "source": source, "file": output, "tensors": moved.tensors + moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": file_bytes(source), "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(f"{output}: {plural(moved.tensors + moved.aliases, 'tensor')}, {size(after)}")
