"""Jobs on the command line: `--resume`, `--scheduler`, and the connection to a cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Annotated, Any, Optional

import typer

from dcz.cli import streams
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

_EXPECTED = "--scheduler: expected an address such as tcp://host:8786"


@contextlib.contextmanager
def client(scheduler: str | None) -> Iterator[Any]:
    """The client of a scheduler, or None where none is asked for."""
    if scheduler is None:
        yield None
        return
    from dcz.extras import require
    from dcz.jobs.cluster import AddressError, connect

    if "://" not in scheduler:
        raise Misuse(f"{_EXPECTED}, found {scheduler!r:.80}")
    require("distributed", "dask", "--scheduler")
    for name in [
        "distributed",
        "tornado",
        "asyncio",
        *logging.root.manager.loggerDict,
    ]:  # some have levels of their own
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they have to say is said in one line, as an error
    try:
        found = connect(scheduler)
    except AddressError as error:
        raise Misuse(f"{_EXPECTED}, found {scheduler!r:.80} ({str(error):.200})") from None
    try:
        yield found
    finally:
        with contextlib.suppress(Exception):  # of a scheduler that is lost
            found.close(timeout=2)


@contextlib.contextmanager
def resumable(target: str) -> Iterator[None]:
    """Say after an interruption that a job at this target can go on, if one has begun."""
    from dcz.jobs.record import unfinished

    try:
        yield
    except (KeyboardInterrupt, streams.Stopped):
        if unfinished(target):
            streams.interrupted["advice"] = "; what is finished is kept, and --resume goes on with it"
        raise


def misplaced(resume: bool, scheduler: str | None) -> str:
    """The options of jobs that are given, as the subject of an error, and its verb's ending."""
    given = [option for option, is_given in (("--resume", resume), ("--scheduler", scheduler is not None)) if is_given]
    return f"{', '.join(given)}: {'go' if len(given) > 1 else 'goes'}"
