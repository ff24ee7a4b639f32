"""`dcz diff A B`: two readable files, tensor by tensor."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import columns, folders, streams
from dcz.cli.columns import Column, Table
from dcz.cli.common import Json, MaxBytes, Wide, allowance, check_input, print_json, progress
from dcz.text import printable

if TYPE_CHECKING:
    from dcz.convert.difference import Difference
    from dcz.convert.model import Model


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A file in any format that pack reads, or a model's folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; the formats may differ.")],
    everything: Annotated[
        bool, typer.Option("--all", help="List all tensors, those that are the same too; on a terminal 20 otherwise.")
    ] = False,
    wide: Wide = False,
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files: the network's deploy prototxt, or JSON of name to shape.")
    ] = None,
    max_bytes: MaxBytes = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; stop at the first difference.")] = False,
    json: Json = False,
) -> None:
    """Compare the tensors of A and B by name: shape, dtype, every bit, and how far apart values are.

    Exit code 0: the same; 1: different; 2: trouble. Metadata are not compared.

    Example: dcz diff model.safetensors model.dcz
    """
    from dcz.convert.difference import differences

    limit = allowance(max_bytes)
    found: list[Difference] = []
    with (
        _open(a, shapes, limit) as one,
        _open(b, shapes, limit) as other,
        progress("comparing", quiet or json) as report,
    ):
        for difference in differences(one, other, progress=report):
            found.append(difference)
            if quiet and difference.status != "same":
                break
    different = [difference for difference in found if difference.status != "same"]
    if json:
        print_json({"a": a, "b": b, "same": not different, "tensors": [asdict(difference) for difference in found]})
    elif not quiet:
        listed = found if everything else different
        if listed:
            columns.show(table(listed, columns.most_rows(everything)), wide)
        streams.say_printable(summary(found))
    if different:
        raise typer.Exit(1)


def _open(path: str, shapes: Path | None, max_bytes: int | None) -> Model:
    from dcz.convert import open_model

    if folders.is_folder(path):
        return open_model(folders.weights(path), max_bytes=max_bytes)
    check_input(path)
    return open_model(path, shapes=shapes if path.lower().endswith(".net") else None, max_bytes=max_bytes)


_COLUMNS = (
    columns.name_column(),
    Column("shape", 3, right=False),
    Column("dtype", 4, right=False),
    Column("is", right=False),
    Column("elements", 5, "how many differ"),
    Column("max error", 6, "largest |a - b|"),
    Column("rel. error", 1, "|a - b| / |a|"),
    Column("cosine", 7),
)


def table(found: list[Difference], most: int | None = None) -> Table:
    """One line a tensor: all, or the `most` that differ the most and a line for the rest."""
    footer = ""
    if most is not None and len(found) > most:
        ordered = sorted(found, key=lambda d: (d.status in ("same", "values"), -(d.relative_error or 0.0), d.name))
        found, rest = ordered[:most], ordered[most:]
        footer = f"and {len(rest)} more; --all lists them"
    out = Table(_COLUMNS, footer=footer)
    for d in found:
        errors = ("", "", "") if d.status == "same" else map(_number, (d.max_error, d.relative_error, d.cosine))
        count = "" if d.elements is None or d.status == "same" else str(d.elements)
        shape = _both(_shape(d.shape_a), _shape(d.shape_b))
        out.add(printable(d.name), shape, _both(d.dtype_a, d.dtype_b), d.status, count, *errors)
    return out


def _shape(shape: tuple[int, ...] | None) -> str | None:
    return None if shape is None else "x".join(map(str, shape)) or "scalar"


def _both(a: str | None, b: str | None) -> str:
    return (a or b or "") if a == b or a is None or b is None else f"{a} -> {b}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.9f}" if 0.9 < value < 1 else f"{value:.4g}" if math.isfinite(value) else str(value)


def summary(found: list[Difference]) -> str:
    """How many tensors are what."""
    counts: dict[str, int] = {}
    for difference in found:
        counts[difference.status] = counts.get(difference.status, 0) + 1
    if counts.keys() <= {"same"}:
        return f"the same: {len(found)} tensors, bit for bit"
    words = {"same": "the same", "values": "differ in values", "dtype": "in dtype", "shape": "in shape"}
    order = ("same", "values", "dtype", "shape", "only in A", "only in B")
    parts = [f"{counts[status]} {words.get(status, status)}" for status in order if status in counts]
    return f"different: of {len(found)} tensors {', '.join(parts)}"
