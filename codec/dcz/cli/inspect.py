"""`dcz inspect FILE`: what is in a dcz file and where its bytes go, without decoding it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli.common import Json, Quiet, check_input, check_output, print_json, progress, show, size
from dcz.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from dcz.container import Reader, ShardedReader
    from dcz.report import StoredFile, StoredTensor


def inspect(
    file: Annotated[str, typer.Argument(help="The .dcz file to look into, or its URL.")],
    html: Annotated[
        Optional[str], typer.Option(help="Write a page that compares layouts and lists chunks and checksums.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the page if it exists.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show the tensors of FILE, how each is stored and what its bytes are spent on.

    Example: dcz inspect model.dcz
    """
    from dcz.container import open_file
    from dcz.report import stored_file

    check_input(file)
    if html is not None:
        check_output(html, force)
    with open_file(file) as reader:
        found = stored_file(reader)
        if html is not None:
            _page(reader, html, quiet or json)
    if json:
        print_json(document(file, found))
        return
    if quiet:
        return
    show(table(found))
    print(summary(file, found))


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


def table(found: StoredFile) -> Table:
    """One line a tensor."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    out.add_column("tensor", overflow="fold")
    out.add_column("shape", overflow="fold")
    for title in ("dtype", "density", "k"):
        out.add_column(title, justify="right")
    out.add_column("layout", overflow="fold")
    for title in ("stored", "bits/w", "pos %", "idx %", "book %", "fixed", "saved"):
        out.add_column(title, justify="right", no_wrap=True)
    for t in found.tensors:
        out.add_row(*map(Text, _cells(t)))  # no markup: names may hold brackets
    return out


def _cells(t: StoredTensor) -> tuple[str, ...]:
    shape = "x".join(map(str, t.shape)) or "scalar"
    if t.alias_of is not None:
        return (printable(t.name), shape, t.dtype, "", "", f"= {printable(t.alias_of)}", *[""] * 7)
    share = [f"{100 * part / t.stored:.0f}" if t.stored else "" for part in (t.positions, t.indices, t.codebook)]
    return (
        printable(t.name),
        shape,
        t.dtype,
        f"{100 * t.density:.1f}%",
        "" if t.clusters is None else str(t.clusters),
        f"{t.layout} ({t.codes})" if t.codes else t.layout,
        size(t.stored),
        f"{t.bits_per_weight:.2f}",
        *share,
        size(t.fixed_width),
        f"{100 * t.saved_by_coding:.0f}%",
    )


def summary(path: str, found: StoredFile) -> str:
    """The file in two lines."""
    lines = [
        f"{path}: {len(found.tensors)} tensors, {size(found.size)} ({found.size} bytes), "
        f"{found.ratio:.2f} times smaller than dense ({size(found.dense)})"
    ]
    if found.fixed_width:
        saved = 100 * (1 - found.stored / found.fixed_width)
        lines.append(
            f"the same layouts with codes of fixed width: {size(found.fixed_width)}; entropy coding saves {saved:.1f}%; "
            f"index, alignment and checksums take {size(found.overhead)}"
        )
    return "\n".join(lines)
