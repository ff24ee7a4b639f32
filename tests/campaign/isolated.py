"""Work in a forked process: what crashes or takes too much memory ends that process alone."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Crashed(Exception):
    """The process ended by a signal, or without a result."""


def isolated(work: Callable[..., T], *arguments: object) -> T:
    """What `work` returns, in a process of its own. Raises `Crashed`, or what it raises."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads hold no lock that the work takes
        child = os.fork()
    if child == 0:
        os.close(read)
        try:
            answer: tuple[bool, object] = (True, work(*arguments))
        except BaseException as error:
            answer = (False, f"{type(error).__name__}: {error}")
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise Crashed(f"ended by {signal.Signals(os.WTERMSIG(status)).name}")
    if not data:
        raise Crashed(f"ended with {status} and no result")
    good, value = pickle.loads(data)
    if not good:
        raise Crashed(str(value))
    return value  # type: ignore[no-any-return]


def peak() -> int:
    """Bytes that this process has had in memory at once."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    """Bytes that this process has in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
