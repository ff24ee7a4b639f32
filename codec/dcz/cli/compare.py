"""`dcz compare FILE...`: every layout of a model side by side, before anything is packed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli import columns, streams
from dcz.cli.common import (
    All,
    Columns,
    Json,
    MaxMemory,
    Misuse,
    Quiet,
    Wide,
    check_input,
    check_output,
    checking_targets,
    memory,
    print_json,
    progress,
)
from dcz.cli.jobs import Scheduler, client
from dcz.cli.options import SORTS, VIEWS, values
from dcz.text import plural

if TYPE_CHECKING:
    from dcz.report import StorageReport


def compare(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to compare: any that dcz pack reads.")],
    view: Annotated[
        str, typer.Option("--show", help="layouts, tensors, stages, bars, or all.", autocompletion=values(VIEWS))
    ] = "",
    sort: Annotated[
        str, typer.Option(help="name, bytes, dense, density, ratio or bits.", autocompletion=values(SORTS))
    ] = "name",
    pattern: Annotated[
        Optional[str], typer.Option("--filter", help="Only tensors whose names match, as in 'conv*'.")
    ] = None,
    top: Annotated[Optional[int], typer.Option(min=1, help="Only the first N tensors after sorting.")] = None,
    shapes: Annotated[
        Optional[Path], typer.Option(help="For .net files: the network's deploy prototxt, or JSON of name to shape.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print one line of CSV a tensor.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
    html: Annotated[Optional[str], typer.Option(help="Write an interactive page to this file.")] = None,
    png: Annotated[Optional[str], typer.Option(help="Write a figure to this file (.png, .pdf or .svg).")] = None,
    max_memory: MaxMemory = None,
    scheduler: Scheduler = None,
    everything: All = False,
    wide: Wide = False,
    only: Columns = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the page or figure if it exists.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Show what FILE takes in every layout: CSR against bitmap, with and without Huffman codes, in exact bytes.

    Example: dcz compare model.safetensors --sort bytes --top 10 --html report.html
    """
    from dcz.cli import tables
    from dcz.errors import locating
    from dcz.report import figure
    from dcz.report.comparison import compare as compared
    from dcz.report.comparison import together
    from dcz.report.rows import document, select, to_csv, to_markdown

    if view and view not in VIEWS:
        raise Misuse(f"--show: {view!r} is unknown; expected one of {', '.join(VIEWS)}")
    if sort not in SORTS:
        raise Misuse(f"--sort: {sort!r} is unknown; expected one of {', '.join(SORTS)}")
    if json + csv + markdown > 1:
        raise Misuse("--json, --csv and --markdown exclude each other")
    views = VIEWS[:-1] if view == "all" else (view,) if view else VIEWS[:2]
    columns.check_names(tables.columns_of(views), only)
    if shapes is not None and not any(path.lower().endswith(".net") for path in files):
        raise Misuse(f"--shapes: is for .net files; {files[0]} has its own")
    if png is not None:
        with checking_targets():
            figure.check_name(png)
    for path in files:
        check_input(path, models=True)
    for output in (html, png):
        if output is not None:
            check_output(output, force)
    bound = memory(max_memory)
    write = _writers(html, png)  # a missing library is found before the work, not after
    reports = []
    with client(scheduler) as workers, progress("comparing", quiet or json) as bar:
        for number, path in enumerate(files):
            step = None if bar is None else _scaled(bar, number, len(files))
            own = shapes if path.lower().endswith(".net") else None
            if workers is None:
                reports.append(compared(path, shapes=own, progress=step, max_memory=bound))
            else:
                from dcz import jobs

                reports.append(jobs.compare(path, client=workers, shapes=own, progress=step, max_memory=bound))
        with locating(", ".join(files)):
            report = select(together(reports), sort, pattern, top)
    for path, make in write:
        make(report, path)
    if json:
        print_json(document(report))
    elif csv:
        streams.say(to_csv(report)[:-1])
    elif markdown:
        streams.say(to_markdown(report)[:-1])
    elif not quiet:
        most = None if top is not None else columns.most_rows(everything)
        for each in views:
            table = tables.VIEWS[each](report, most)
            if only is None or columns.has_some(table, only):
                columns.show(table, wide, only)
                streams.say("")
        streams.say_printable(tables.conclusion(report))
        for path, _ in write:
            streams.say_printable(f"{path}: written, {plural(os.path.getsize(path), 'byte')}")


def _scaled(bar: Callable[[int, int], None], number: int, count: int) -> Callable[[int, int], None]:
    """Progress within one file as progress in all, as if the others had its size."""
    return lambda done, whole: bar(number * whole + done, count * whole)


def _writers(html: str | None, png: str | None) -> list[tuple[str, Callable[[StorageReport, str], None]]]:
    out: list[tuple[str, Callable[[StorageReport, str], None]]] = []
    if html is not None:
        from dcz.report import page

        page.check_library()
        out.append((html, page.write))
    if png is not None:
        from dcz.report import figure

        figure.check_library(png)
        out.append((png, figure.write))
    return out
