"""ONNX models for `pack` and `unpack`: a graph without weights, and the .dcz file beside it that has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dcz.cli import streams
from dcz.cli.common import Misuse, check_output, file_bytes, print_json, progress, size
from dcz.errors import DczError
from dcz.text import plural

if TYPE_CHECKING:
    from dcz.io.sinks import PathSink


def is_model(path: str) -> bool:
    """True for the name of an ONNX model."""
    return path.lower().endswith(".onnx")


def weights_beside(src: str, dst: str, force: bool, options: Mapping[str, object]) -> str:
    """The .dcz file of a pair to write, once everything that can be checked before is."""
    for option, value in options.items():
        if value not in (None, False):
            raise Misuse(f"{option}: goes with a .dcz file as DST, found {dst}")
    if not is_model(src):
        raise DczError(f"{dst}: only an .onnx file is packed to a graph and its weights, found {src}")
    check_output(dst, force)
    return os.path.splitext(dst)[0] + ".dcz"


@contextlib.contextmanager
def graph_of(src: str, dst: str, weights: str) -> Iterator[PathSink]:
    """The graph of a model without its weights, to be published when these are; removed where something fails."""
    from dcz.convert.onnx import thin_graph

    sink = thin_graph(src, dst, weights)
    try:
        yield sink
    except BaseException:
        sink.abandon()
        raise


def unpack(
    src: str, dst: str, threads: int | None, max_bytes: int | None, force: bool, quiet: bool, json: bool
) -> None:
    """Puts the weights of a pair back into its graph."""
    from dcz.convert.onnx import whole_model

    check_output(dst, force)
    if not is_model(src) and not src.lower().endswith(".dcz"):
        raise DczError(f"{dst}: an .onnx file is made of a graph and its weights (.onnx and .dcz), found {src}")
    with progress("unpacking", quiet or json) as report:
        tensors, dense = whole_model(src, dst, threads=threads, max_bytes=max_bytes, progress=report)
    after = file_bytes(dst)
    if json:
        print_json({
            "source": src, "file": dst, "tensors": tensors, "dense_bytes": dense,
            "source_bytes": file_bytes(src), "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        streams.say_printable(f"{dst}: {plural(tensors, 'tensor')}, {size(after)}")
