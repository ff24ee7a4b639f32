"""`dcz pack SRC DST`: any readable file, or a model's folder, to dcz."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from dcz.cli import folders
from dcz.cli.common import (
    Force, Json, Quiet, ShardSize, Threads, check_input, check_output, file_bytes, print_json, progress, size,
)  # fmt: skip


def pack(
    src: Annotated[
        str, typer.Argument(help="The file to pack (README lists the formats), or a model's folder of the hub's layout.")
    ],
    dst: Annotated[
        str, typer.Argument(help="The .dcz file to write; .dcz.index.json for several; a folder where SRC is one.")
    ],
    profile: Annotated[
        str, typer.Option(help="auto takes the smallest layout; csr, bitmap, dense, paper and raw restrict it.")
    ] = "auto",
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files: the network's deploy prototxt, or JSON of name to shape.")
    ] = None,
    shard_size: ShardSize = None,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Pack the weights of SRC into DST, bit for bit and as small as their values allow.

    Example: dcz pack model.safetensors model.dcz
    """
    from dcz.convert import extension_of, open_model, open_target, parse_size, transfer
    from dcz.errors import DczError
    from dcz.tensor.choose import check_profile

    check_profile(profile)
    limit = None if shard_size is None else parse_size(shard_size)
    to_file = extension_of(dst, (".dcz", ".dcz.index.json")) is not None
    if folders.is_folder(src):
        if not to_file:
            folders.convert(src, dst, ".dcz", profile, threads, limit, force, quiet, json)
            return
        source = folders.weights(src)
    else:
        check_input(src)
        source = src
    if not to_file:
        raise DczError(f"{dst}: the name of a packed file ends in .dcz; to write other files: dcz unpack SRC -o DST")
    check_output(dst, force)
    target = open_target(dst, profile=profile, threads=threads, shard_size=limit, replace=force)
    with open_model(source, shapes=shapes) as model, progress("packing", quiet or json) as report:
        moved = transfer(model, target, progress=report)
    before, after = file_bytes(source), file_bytes(dst)
    if json:
        print_json({
            "source": source, "file": dst, "tensors": moved.tensors, "aliases": moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": before, "file_bytes": after,
            "ratio": moved.nbytes / after,
        })  # fmt: skip
    elif not quiet:
        print(
            f"{dst}: {moved.tensors} tensors, {size(after)} ({after} bytes), {moved.nbytes / after:.2f} times smaller "
            f"than their {size(moved.nbytes)}; {os.path.basename(source)} has {size(before)}"
        )
