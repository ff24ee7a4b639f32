"""`dcz unpack SRC -o DST`: a dcz file to another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dcz.cli.common import Force, Json, Quiet, Threads, check_input, check_output, file_bytes, print_json, progress, size


def unpack(
    src: Annotated[str, typer.Argument(help="The .dcz file to read, or its URL.")],
    output: Annotated[str, typer.Option("--output", "-o", help="The file to write: .safetensors, .npz or .npy.")],
    shapes: Annotated[Optional[Path], typer.Option(help="For .net files.", hidden=True)] = None,
    threads: Threads = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Unpack SRC into a file of another format, tensor by tensor.

    Example: dcz unpack model.dcz -o model.safetensors
    """
    from dcz.convert import open_model, open_target, transfer

    check_input(src)
    check_output(output, force)
    target = open_target(output, threads=threads)
    with open_model(src, shapes=shapes) as model, progress("unpacking", quiet or json) as report:
        moved = transfer(model, target, progress=report)
    after = file_bytes(output)
    if json:
        print_json({
            "source": src, "file": output, "tensors": moved.tensors + moved.aliases,
            "dense_bytes": moved.nbytes, "source_bytes": file_bytes(src), "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        print(f"{output}: {moved.tensors + moved.aliases} tensors, {size(after)}")
