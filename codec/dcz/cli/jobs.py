"""Jobs on the command line: `--resume`, `--scheduler`, and the connection to a cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Annotated, Any, Optional

import typer

from dcz.cli.common import Misuse

Resume = Annotated[
    bool,
    typer.Option("--resume", help="Keep the files that an earlier run of this job made, and make the others."),
]
Scheduler = Annotated[
    Optional[str],
    typer.Option(
        help="Let the workers of this Dask scheduler do the work, such as tcp://host:8786; they must see the files.",
        show_default=False,
    ),
]


@contextlib.contextmanager
def client(scheduler: str | None) -> Iterator[Any]:
    """The client of a scheduler, or None where none is asked for."""
    if scheduler is None:
        yield None
        return
    from dcz.extras import require
    from dcz.jobs.cluster import connect

    if "://" not in scheduler:
        raise Misuse(f"--scheduler: expected an address such as tcp://host:8786, found {scheduler!r:.80}")
    require("distributed", "dask", "--scheduler")
    for name in [
        "distributed",
        "tornado",
        "asyncio",
        *logging.root.manager.loggerDict,
    ]:  # some have levels of their own
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they have to say is said in one line, as an error
    found = connect(scheduler)
    try:
        yield found
    finally:
        with contextlib.suppress(Exception):  # of a scheduler that is lost
            found.close(timeout=2)
