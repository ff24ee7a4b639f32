"""`dcz diff A B`: two readable files, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import columns, folders, streams
from dcz.cli.columns import Column, Table
from dcz.cli.common import (
    Columns,
    Json,
    MaxBytes,
    MaxMemory,
    Wide,
    allowance,
    check_input,
    memory,
    print_json,
    progress,
)
from dcz.text import plural, printable

if TYPE_CHECKING:
    from dcz.convert.beside import MetadataDifference
    from dcz.convert.difference import Difference
    from dcz.convert.model import Model

# Keys of the metadata that differ, without --all.
_METADATA_SHOWN = 10


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A file in any format that pack reads, or a model's folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; the formats may differ.")],
    everything: Annotated[
        bool, typer.Option("--all", help="List all tensors, those that are the same too; on a terminal 20 otherwise.")
    ] = False,
    wide: Wide = False,
    only: Columns = None,
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files: the network's deploy prototxt, or JSON of name to shape.")
    ] = None,
    max_bytes: MaxBytes = None,
    max_memory: MaxMemory = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing; stop at the first difference.")] = False,
    json: Json = False,
) -> None:
    """Compare the tensors of A and B by name: shape, dtype, every bit, and how far apart values are.

    Metadata are compared where both files carry them; what is not compared is said.

    Exit code 0: the same; 1: different; 2: trouble.

    Example: dcz diff model.safetensors model.dcz
    """
    from dcz.convert.beside import beside
    from dcz.convert.difference import differences

    limit, bound = allowance(max_bytes), memory(max_memory)
    columns.check_names(_COLUMNS, only)
    found: list[Difference] = []
    with (
        _open(a, shapes, limit) as one,
        _open(b, shapes, limit) as other,
        progress("comparing", quiet or json) as report,
    ):
        metadata, notes = beside(one, other, _file(a), _file(b))
        for difference in differences(one, other, progress=report, max_memory=bound):
            if quiet and metadata:
                break
            found.append(difference)
            if quiet and difference.status != "same":
                break
    different = [difference for difference in found if difference.status != "same"]
    if json:
        print_json({
            "a": a, "b": b, "same": not different and not metadata, "tensors": [asdict(each) for each in found],
            "metadata": [asdict(each) for each in metadata], "not_compared": notes,
        })  # fmt: skip
    elif not quiet:
        listed = found if everything else different
        if listed:
            columns.show(table(listed, columns.most_rows(everything)), wide, only)
        for line in _beside_lines(metadata, notes, everything):
            streams.say_printable(line)
        streams.say_printable(summary(found, metadata))
    if different or metadata:
        raise typer.Exit(1)


def _beside_lines(metadata: list[MetadataDifference], notes: list[str], everything: bool) -> Iterator[str]:
    """Lines about differing metadata, and about what was not compared."""
    shown = metadata if everything else metadata[:_METADATA_SHOWN]
    for each in shown:
        values = f"{each.a} -> {each.b}" if each.status == "values" else each.status
        where = "" if each.tensor is None else f"of {printable(each.tensor)}: "
        yield f"metadata {where}{printable(each.key)}: {values}"
    if len(shown) < len(metadata):
        yield f"and {plural(len(metadata) - len(shown), 'more key')} of the metadata; --all lists them"
    for note in notes:
        yield f"not compared: {note}"


def _file(path: str) -> str:
    return folders.weights(path) if folders.is_folder(path) else path


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


def summary(found: list[Difference], metadata: list[MetadataDifference]) -> str:
    """The numbers of tensors that are the same, differ, or exist in one file alone."""
    counts: dict[str, int] = {}
    for difference in found:
        counts[difference.status] = counts.get(difference.status, 0) + 1
    if counts.keys() <= {"same"} and not metadata:
        return f"the same: {plural(len(found), 'tensor')}, bit for bit"
    words = {"same": "the same", "values": "differ in values", "dtype": "in dtype", "shape": "in shape"}
    order = ("same", "values", "dtype", "shape", "only in A", "only in B")
    parts = [f"{counts[status]} {words.get(status, status)}" for status in order if status in counts]
    if metadata:
        parts.append(plural(len(metadata), "key of the metadata differs", "keys of the metadata differ"))
    return f"different: of {plural(len(found), 'tensor')} {', '.join(parts)}"
