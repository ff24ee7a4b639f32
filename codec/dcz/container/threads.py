"""Threads: how many to use, and a pool for one call. No thread survives the call, so forking is safe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from dcz.errors import DczError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")


def thread_count(threads: int | None) -> int:
    """Return `threads`, or the number of cores this process may use."""
    if threads is None:
        try:
            return max(1, len(os.sched_getaffinity(0)))
        except AttributeError:
            return os.cpu_count() or 1
    if type(threads) is not int or threads < 1:
        raise DczError(f"threads: expected a positive integer or None, found {threads!r}")
    return threads


def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for the duration of the context."""
    from dcz.pools import Pool

    return Pool(threads)


def each(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """Run `work` on every item, on the calling thread and `threads - 1` others. After a failure no new item starts; the
    first failed item's exception is raised."""
    items = list(items)
    threads = min(threads, len(items))
    if threads < 2:
        for item in items:
            work(item)
        return
    lock = Lock()
    waiting = iter(enumerate(items))
    failed: list[tuple[int, BaseException]] = []

    def work_on() -> None:
        number = len(items)
        try:
            while not failed:
                with lock:
                    number, item = next(waiting, (-1, None))
                if number < 0:
                    return
                work(item)  # type: ignore[arg-type]
        except BaseException as error:
            failed.append((number, error))

    with pool(threads - 1) as others:
        for _ in range(threads - 1):
            others.submit(work_on)
        work_on()
    if failed:
        raise min(failed, key=lambda each: each[0])[1]
