"""Memory for decoded tensors: the caller's, or fresh, on huge pages for large ones."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcz.dtypes import Dtype
from dcz.errors import DczError
from dcz.format.index import Entry
from dcz.kernels.interface import U8
from dcz.tensor import from_words

# Tensors of this size get pages of their own. Smaller ones share blocks of up to twice as much.
_OWN_BYTES = 4 << 20
_LINE = 64
_HUGE_PAGE = 2 << 20
# glibc may keep freed blocks of up to 32 MB: their pages are not cleared again for the next load.
_KEPT_BYTES = 30 << 20


class Described(Protocol):
    """A tensor as any header describes it."""

    @property
    def name(self) -> str: ...

    @property
    def dtype(self) -> Dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


def fresh(size: int, spare: int = 0) -> U8:
    """Return uninitialised bytes that begin a cache line. Large blocks are on huge pages: page faults would cost more
    than decoding. The last page is a huge one only if it wastes no more than `spare` bytes."""
    if size < _OWN_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return _allocated(size, _LINE)
    if size <= _KEPT_BYTES and _on_huge_pages(size, spare) >= size:
        return _allocated(size, _HUGE_PAGE)  # numpy asks for huge pages itself, for all of it
    pages = mmap.mmap(-1, size + 2 * _HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = -np.frombuffer(pages, np.uint8).__array_interface__["data"][0] % _HUGE_PAGE
    with contextlib.suppress(OSError):  # a kernel without huge pages
        pages.madvise(mmap.MADV_HUGEPAGE, start, _on_huge_pages(size, spare))
    return np.frombuffer(pages, np.uint8, size, start)


def _allocated(size: int, alignment: int) -> U8:
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.__array_interface__["data"][0] % alignment
    return memory[start : start + size]


def _on_huge_pages(size: int, spare: int) -> int:
    """Return how many bytes are on huge pages: the last page is a huge one if it wastes at most `spare` bytes."""
    if size < _OWN_BYTES:
        return 0
    waste = -size % _HUGE_PAGE
    return size + waste if waste <= spare else size + waste - _HUGE_PAGE


def allocate(entries: Sequence[Entry]) -> list[tuple[NDArray[Any], U8]]:
    """Return fresh, uninitialised arrays for tensors, and their bytes. Small ones share blocks of a few megabytes, each
    freed with the last of its tensors."""
    sizes: list[int] = []  # of the blocks
    places: list[tuple[int, int]] = []  # of the tensors: a block, and where in it
    shared = -1
    for entry in entries:
        nbytes = entry.nbytes
        if nbytes >= _OWN_BYTES:
            places.append((len(sizes), 0))
            sizes.append(nbytes)
            continue
        if shared < 0 or sizes[shared] >= 2 * _OWN_BYTES:
            shared = len(sizes)
            sizes.append(0)
        at = sizes[shared]
        places.append((shared, at))
        sizes[shared] = at + -(-nbytes // _LINE) * _LINE
    # At most a 64th of all that is loaded at once may be wasted, or a single page.
    spare = max(sum(sizes) >> 6, _HUGE_PAGE if len(entries) > 1 else 0)
    blocks = []
    for size in sizes:
        blocks.append(fresh(size, spare))
        spare -= max(0, _on_huge_pages(size, spare) - size)
    made = []
    for entry, (block, at) in zip(entries, places):
        flat = blocks[block][at : at + entry.nbytes]
        made.append((from_words(flat, entry.dtype, entry.shape), flat))
    return made


def target(out: NDArray[Any], entry: Described) -> U8:
    """Return the bytes of the caller's array, if the tensor fits it exactly."""
    where = f"out for tensor {entry.name!r}"
    if not isinstance(out, np.ndarray):
        raise DczError(f"{where}: expected a numpy array, found {type(out).__name__}")
    dtype = entry.dtype.numpy()
    if out.dtype != dtype or out.shape != entry.shape:
        raise DczError(f"{where}: expected {dtype} {entry.shape}, found {out.dtype} {out.shape}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise DczError(f"{where}: the array must be C-contiguous and writeable")
    return out.reshape(-1).view(np.uint8)


def owned(entries: Mapping[str, Described], out: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the caller's arrays by the tensors' own names, all checked before the first is filled."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, array in out.items():
        if name not in entries:
            raise DczError(f"out: {name!r} is not among the tensors to load")
        entry = entries[name]
        if arrays.setdefault(entry.name, array) is not array:
            raise DczError(f"out: {name!r} is another name of {entry.name!r}; give one array for both")
        target(array, entry)
    return arrays
