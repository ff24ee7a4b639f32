"""`dcz inspect FILE`: what is in a dcz file and where its bytes go, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import columns, streams
from dcz.cli.columns import Column, Table
from dcz.cli.common import All, Columns, Json, Quiet, Wide, check_input, check_output, exact, print_json, progress, size
from dcz.text import compared, plural, printable, shortened_name

if TYPE_CHECKING:
    from dcz.container import Reader, ShardedReader
    from dcz.report import StoredFile, StoredTensor


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="The .dcz file to look into, its URL, a .dcz.index.json, or a folder with one."
        ),
    ],
    html: Annotated[
        Optional[str], typer.Option(help="Write a page that compares layouts and lists chunks and checksums.")
    ] = None,
    base: Annotated[
        Optional[str],
        typer.Option(help="The base of a file of differences: says what a whole file would take.", show_default=False),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show all metadata, and layouts as the format names them.")
    ] = False,
    everything: All = False,
    wide: Wide = False,
    only: Columns = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the page if it exists.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show the tensors of FILE, how each is stored and what its bytes are spent on.

    Example: dcz inspect model.dcz
    """
    from dcz.cli.delta import inspect_delta
    from dcz.delta.opening import open_file
    from dcz.delta.reader import DeltaReader
    from dcz.errors import DczError
    from dcz.report import stored_file

    check_input(file, models=True)
    if html is not None:
        check_output(html, force)
    with open_file(file) as reader:
        if isinstance(reader, DeltaReader):
            inspect_delta(reader, file, base, html, everything=everything, wide=wide, only=only, quiet=quiet, json=json)
            return
        columns.check_names((*_COLUMNS, _STORED_AS) if verbose else _COLUMNS, only)
        if base is not None:
            raise DczError(f"{file}: is a whole model; --base is for files of differences")
        found = stored_file(reader)
        if html is not None:
            _page(reader, html, quiet or json)
    if json:
        print_json(document(file, found))
        return
    if quiet:
        return
    columns.show(table(found, columns.most_rows(everything), verbose), wide, only)
    streams.say_printable(summary(file, found))
    lines = list(metadata_lines(found))
    for line in lines if verbose else lines[:_METADATA]:
        streams.say_printable(line)
    if len(lines) > _METADATA and not verbose:
        streams.say_printable(
            f"and {plural(len(lines) - _METADATA, 'more entry', 'more entries')} of metadata; --verbose shows them"
        )


def _page(reader: Reader | ShardedReader, path: str, quiet: bool) -> None:
    """The page of a comparison, with the chunks that the file has."""
    from dcz.report import page
    from dcz.report.comparison import compare

    page.check_library()
    with progress("reading", quiet) as bar:
        report = compare(reader, progress=bar)
    page.write(report, path, reader)


def document(path: str, found: StoredFile) -> dict[str, object]:
    """The same as plain data."""
    tensors = [
        {
            **asdict(t),
            "bits_per_weight": t.bits_per_weight,
            "ratio": t.ratio,
            "saved_by_coding": t.saved_by_coding,
        }
        for t in found.tensors
    ]
    return {
        "file": path,
        "file_bytes": found.size,
        "dense_bytes": found.dense,
        "stored_bytes": found.stored,
        "overhead_bytes": found.overhead,
        "fixed_width_bytes": found.fixed_width,
        "ratio": found.ratio,
        "metadata": found.metadata,
        "tensors": tensors,
    }


_COLUMNS = (
    columns.name_column(),
    Column("shape", 3, right=False),
    Column("dtype", 5),
    Column("nonzero", 2, "weights that are not zero"),
    Column("clusters", 7, "distinct values in the codebook"),
    Column("layout", 1, right=False),
    Column("stored"),
    Column("bits/weight", 4),
    Column("positions", 10, "share of the stored bytes, as are values and codebook"),
    Column("values", 11),
    Column("codebook", 12),
    Column("uncoded", 9, "bytes with codes of fixed width"),
    Column("saved", 8, "less than uncoded"),
)


_STORED_AS = Column("in the file", 13, "the layout in the words of the format's specification", right=False)
# Entries of the metadata that are shown, without --verbose.
_METADATA = 5
# Columns that the name of another tensor takes, in place of a layout.
_ALIAS = 23


def table(found: StoredFile, most: int | None = None, verbose: bool = False) -> Table:
    """One line a tensor: all of them as the file has them, or the `most` largest and a line for the rest. A `verbose`
    one also has layouts in the words of the format's specification."""
    tensors, footer = list(found.tensors), ""
    if most is not None and len(tensors) > most:
        tensors.sort(key=lambda t: (t.alias_of is not None, -t.stored, t.name))
        rest = tensors[most:]
        stored = sum(t.stored for t in rest if t.alias_of is None)
        footer = f"and {plural(len(rest), 'smaller tensor')}, {size(stored)} of {size(found.stored)}; --all lists them"
        tensors = tensors[:most]
    out = Table((*_COLUMNS, *([_STORED_AS] if verbose else [])), footer=footer)
    for t in tensors:
        out.add(*_cells(t), *([t.stored_as] if verbose else []))
    return out


def _cells(t: StoredTensor) -> tuple[str, ...]:
    shape = "x".join(map(str, t.shape)) or "scalar"
    if t.alias_of is not None:
        return (
            printable(t.name),
            shape,
            t.dtype,
            "",
            "",
            f"= {shortened_name(printable(t.alias_of), _ALIAS)}",
            *[""] * 7,
        )
    share = [f"{100 * part / t.stored:.0f}%" if t.stored else "" for part in (t.positions, t.indices, t.codebook)]
    return (
        printable(t.name),
        shape,
        t.dtype,
        f"{100 * t.density:.1f}%",
        "" if t.clusters is None else str(t.clusters),
        t.layout,
        size(t.stored),
        f"{t.bits_per_weight:.2f}",
        *share,
        size(t.fixed_width),
        f"{100 * t.saved_by_coding:.0f}%",
    )


# Characters of a value that are shown.
_SHOWN = 200


def metadata_lines(found: StoredFile) -> Iterator[str]:
    """The metadata of the file and of its tensors, a line a key; long values are cut."""
    for key, value in found.metadata.items():
        yield f"metadata {printable(key)}: {_value(value)}"
    for tensor in found.tensors:
        if tensor.alias_of is None:
            for key, value in tensor.metadata.items():
                yield f"metadata of {printable(tensor.name)}: {printable(key)}: {_value(value)}"


def _value(value: object) -> str:
    text = printable(repr(value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def summary(path: str, found: StoredFile) -> str:
    """The file in two lines."""
    lines = [
        f"{path}: {plural(len(found.tensors), 'tensor')}, {exact(found.size)}, "
        f"{compared(found.size, found.dense)} dense ({size(found.dense)})"
    ]
    if found.fixed_width:
        saved = 100 * (1 - found.stored / found.fixed_width)
        lines.append(
            f"the same layouts with codes of fixed width: {size(found.fixed_width)}; "
            f"entropy coding saves {saved:.1f}%; "
            f"index, alignment and checksums take {size(found.overhead)}"
        )
    return "\n".join(lines)
