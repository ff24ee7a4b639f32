"""This process's memory, seen and steered: peaks, and whether freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def _libc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None


def give_back() -> None:
    """Returns freed memory to the system, so that the next allocation is of fresh pages."""
    if libc := _libc():
        libc.malloc_trim(0)


def keep_memory() -> None:
    """Tells the allocator to keep what is freed: large arrays then get pages that are mapped already."""
    if libc := _libc():
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def status(field: str) -> int | None:
    """A field of /proc/self/status in bytes, None where there is no such thing."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return None


def peak_of(work: Callable[[], T]) -> tuple[T, int | None]:
    """What `work` returns, and how far it raised this process's resident memory above what it was before."""
    gc.collect()
    give_back()
    before = status("VmRSS")
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
    except OSError:
        return work(), None
    result = work()
    peak = status("VmHWM")
    return result, None if before is None or peak is None else max(0, peak - before)
