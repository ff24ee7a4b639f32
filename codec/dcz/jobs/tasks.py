"""Tasks of a job: what is to be done, for which file of the output, after which others."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from dcz.errors import TruncatedError
from dcz.io.http import timeout_seconds
from dcz.io.sources import is_url

T = TypeVar("T")

# Seconds to wait before a task is tried again whose store did not answer as it should; half of it at random.
WAITS = (0.2, 1.0, 4.0)
# What stores' clients raise for a server that is overloaded or fails, beside connections that break.
_TRANSIENT = frozenset((errno.EBUSY, errno.EIO, errno.EAGAIN, getattr(errno, "EREMOTEIO", errno.EIO)))


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work. `key` is its name, as people see it in a dashboard; `work` is called without arguments, by any
    process that sees the files; `needs` are the keys of tasks that come before; `nbytes` are those of the arrays it
    goes through, for the progress."""

    key: str
    work: Callable[[], Any]
    needs: tuple[str, ...] = ()
    nbytes: int = 0


@dataclass(slots=True)
class Ran:
    """What tasks returned, and what they raised, by their keys. A task that needs a failed one is in neither."""

    results: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)


class Runner(Protocol):
    """Runs tasks, whichever order their needs allow. `workers` is whether others do it, several at a time."""

    workers: bool

    def run(self, tasks: Sequence[Task], done: Callable[[int], None]) -> Ran:
        """Run all tasks that can be run; `done` is called with the bytes of each that is done."""


def persistently(work: Callable[[], T]) -> T:
    """Return `work()`, which is tried again after a while where a store fails for now. Failures that take long, as of a
    store that is silent, are not waited for again once they have taken four times the seconds of DCZ_TIMEOUT."""
    until = time.monotonic() + 4 * timeout_seconds()
    for wait in WAITS:
        try:
            return work()
        except (TruncatedError, OSError) as error:
            if not is_transient(error) or time.monotonic() > until:
                raise
        time.sleep(wait * (0.5 + random.random() / 2))
    return work()


def is_transient(error: TruncatedError | OSError) -> bool:
    """Return whether an error is of a store, and trying again may help."""
    if isinstance(error, TruncatedError):
        return is_url(str(error))  # which begins with what was read
    if not is_url(error.filename):
        return False
    return isinstance(error, (ConnectionError, TimeoutError)) or error.errno in _TRANSIENT


def batches(sizes: Sequence[int], most: int) -> list[range]:
    """Return ranges of consecutive things that take at most `most` bytes together, or are one.

    >>> batches([1, 1, 5, 1], 3)
    [range(0, 2), range(2, 3), range(3, 4)]
    """
    out: list[range] = []
    start = total = 0
    for number, size in enumerate(sizes):
        if number > start and total + size > most:
            out.append(range(start, number))
            start, total = number, 0
        total += size
    if start < len(sizes):
        out.append(range(start, len(sizes)))
    return out
