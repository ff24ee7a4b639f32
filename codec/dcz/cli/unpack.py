"""`dcz unpack SRC DST`: a dcz file, or a folder with packed weights, to another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dcz.cli import folders, pairs, streams
from dcz.cli.common import (
    Force,
    Json,
    MaxBytes,
    Quiet,
    ShardSize,
    Strict,
    Threads,
    allowance,
    check_input,
    check_output,
    checking_options,
    destination,
    file_bytes,
    print_json,
    print_left_out,
    progress,
    size,
)  # fmt: skip
from dcz.text import plural


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
    threads: Threads = None,
    force: Force = False,
    strict: Strict = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Unpack SRC into a file of another format, tensor by tensor.

    Example: dcz unpack model.dcz model.safetensors
    """
    from dcz.convert import WRITABLE, extension_of, open_model, open_target, parse_size, transfer

    output = destination(dst, output)
    with checking_options():
        limit = None if shard_size is None else parse_size(shard_size)
    source = src
    if folders.is_folder(src):
        if extension_of(output, WRITABLE) is None:
            folders.convert(
                src, output, ".safetensors", "auto", threads, limit, allowance(max_bytes), force, strict, quiet, json
            )
            return
        source = folders.weights(src)
    else:
        check_input(src)
    if pairs.is_model(output):
        pairs.unpack(source, output, threads, allowance(max_bytes), force, quiet, json)
        return
    check_output(output, force)
    target = open_target(output, threads=threads, shard_size=limit, replace=force, source=source)
    with (
        open_model(source, shapes=shapes, max_bytes=allowance(max_bytes)) as model,
        progress("unpacking", quiet or json) as report,
    ):
        moved = transfer(model, target, path=output, progress=report, strict=strict)
    print_left_out(moved.left_out)
    after = file_bytes(output)
    if json:
        print_json({
            "source": source, "file": output, "tensors": moved.tensors + moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": file_bytes(source), "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(f"{output}: {plural(moved.tensors + moved.aliases, 'tensor')}, {size(after)}")
