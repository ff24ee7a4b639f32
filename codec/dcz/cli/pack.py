"""`dcz pack SRC DST`: any readable file to a dcz file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from dcz.cli.common import Force, Json, Quiet, Threads, check_input, check_output, file_bytes, print_json, progress, size


def pack(
    src: Annotated[str, typer.Argument(help="The file to pack: .safetensors, .npz, .npy, .net or .dcz.")],
    dst: Annotated[str, typer.Argument(help="The .dcz file to write.")],
    profile: Annotated[
        str, typer.Option(help="auto takes the smallest layout; csr, bitmap, dense, paper and raw restrict it.")
    ] = "auto",
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files: the network's deploy prototxt, or JSON of name to shape.")
    ] = None,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Pack the weights of SRC into DST, bit for bit and as small as their values allow.

    Example: dcz pack model.safetensors model.dcz
    """
    from dcz.convert import open_model, open_target, transfer
    from dcz.errors import DczError
    from dcz.tensor.choose import check_profile

    check_profile(profile)
    check_input(src)
    if not dst.lower().endswith(".dcz"):
        raise DczError(f"{dst}: the name of a packed file ends in .dcz; to write other files: dcz unpack SRC -o DST")
    check_output(dst, force)
    with open_model(src, shapes=shapes) as model, progress("packing", quiet or json) as report:
        moved = transfer(model, open_target(dst, profile=profile, threads=threads), progress=report)
    before, after = file_bytes(src), file_bytes(dst)
    if json:
        print_json({
            "source": src, "file": dst, "tensors": moved.tensors, "aliases": moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": before, "file_bytes": after,
            "ratio": moved.nbytes / after,
        })  # fmt: skip
    elif not quiet:
        print(
            f"{dst}: {moved.tensors} tensors, {size(after)} ({after} bytes), {moved.nbytes / after:.2f} times smaller "
            f"than their {size(moved.nbytes)}; {os.path.basename(src)} has {size(before)}"
        )
