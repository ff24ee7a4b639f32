"""Memory for decoded tensors: fresh and on huge pages where they are large, or the caller's."""

from __future__ import annotations

import contextlib
import mmap

import numpy as np
from numpy.typing import NDArray

from dcz.container.index import Entry
from dcz.errors import DczError
from dcz.kernels.interface import U8
from dcz.tensor import from_words


# From here on a buffer gets pages of its own: whole lines, and huge pages, where faults cost more than decoding.
_MAPPED_BYTES = 4 << 20
_HUGE_PAGE = 2 << 20


def fresh(size: int) -> U8:
    """Uninitialised bytes, on huge pages where they are large."""
    if size < _MAPPED_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(size, np.uint8)
    memory = mmap.mmap(-1, size + _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = -np.frombuffer(memory, np.uint8).__array_interface__["data"][0] % _HUGE_PAGE
    with contextlib.suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE, start, size // _HUGE_PAGE * _HUGE_PAGE)
    return np.frombuffer(memory, np.uint8, size, start)


def allocate(entry: Entry) -> tuple[NDArray, U8]:
    """A fresh array for a tensor, not yet filled, and its bytes."""
    flat = fresh(entry.nbytes)
    return from_words(flat, entry.dtype, entry.shape), flat


def target(out: NDArray, entry: Entry) -> U8:
    """The bytes of the caller's array, if a tensor fits it exactly."""
    where = f"out for tensor {entry.name!r}"
    if not isinstance(out, np.ndarray):
        raise DczError(f"{where}: expected a numpy array, found {type(out).__name__}")
    dtype = entry.dtype.numpy()
    if out.dtype != dtype or out.shape != entry.shape:
        raise DczError(f"{where}: expected {dtype} {entry.shape}, found {out.dtype} {out.shape}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise DczError(f"{where}: the array must be C-contiguous and writeable")
    return out.reshape(-1).view(np.uint8)
