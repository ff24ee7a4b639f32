"""How many threads to use, and a pool for the length of one call: none survives it, so forking is safe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from dcz.errors import DczError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")


def thread_count(threads: int | None) -> int:
    """`threads`, or the cores this process may use."""
    if threads is None:
        try:
            return max(1, len(os.sched_getaffinity(0)))
        except AttributeError:
            return os.cpu_count() or 1
    if type(threads) is not int or threads < 1:
        raise DczError(f"threads: expected a positive integer or None, found {threads!r}")
    return threads


def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for as long as the context lasts."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(threads)


def each(work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
    """`work` on every item. The first exception stops what has not begun and is raised."""
    items = list(items)
    if threads == 1 or len(items) < 2:
        for item in items:
            work(item)
        return
    with pool(min(threads, len(items))) as executor:
        futures = [executor.submit(work, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise
