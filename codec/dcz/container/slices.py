"""Slices of a tensor: only the chunks that indexing touches are read and decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.container.memory import fresh
from dcz.container.tasks import streams
from dcz.errors import DczError, locating
from dcz.format.index import Entry
from dcz.text import printable


class TensorSlice:
    """A tensor not yet read. Index it with integers, slices, `...` and `None`, as in numpy."""

    def __init__(self, store: OpenFile, entry: Entry) -> None:
        self._store, self._entry = store, entry

    @property
    def shape(self) -> tuple[int, ...]:
        return self._entry.shape

    @property
    def dtype(self) -> np.dtype:
        return self._entry.dtype.numpy()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        return f"<dcz slice of {printable(self._entry.name, 60)}: {self.get_dtype()} {shape}>"

    def get_shape(self) -> list[int]:
        """Return the shape, as safetensors' slices do."""
        return list(self.shape)

    def get_dtype(self) -> str:
        """Return the dtype's code, as safetensors' slices do."""
        return self._entry.dtype.code

    def __getitem__(self, key: object) -> NDArray[Any]:
        key = key if isinstance(key, tuple) else (key,)
        for part in key:
            if not (part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))) or isinstance(
                part, bool
            ):
                raise DczError(
                    f"slice of tensor {self._entry.name!r}: {part!r:.80} is not an integer, slice, ... or None; "
                    "read the whole tensor to index it otherwise"
                )
        entry = self._entry
        # numpy's own rules select the elements, on an array of positions that takes no memory.
        strides = _c_strides(entry.shape)
        ghost = np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), entry.shape, strides, writeable=False)
        view = ghost[key if any(part is Ellipsis for part in key) else (*key, ...)]  # always an array, never a scalar
        start = view.__array_interface__["data"][0] - ghost.__array_interface__["data"][0]
        with locating(self._store.source.name):
            self._store.check_bound([entry], view.size * entry.dtype.itemsize, work=0)
        out = np.empty(view.shape, self.dtype)
        if out.size:
            with locating(self._store.source.name):
                self._fill(out, int(start), view.strides)
        return out

    def _fill(self, out: NDArray[Any], start: int, strides: tuple[int, ...]) -> None:
        """Copy the elements at `start` plus multiples of `strides` into `out`, from the chunks that hold them."""
        store, entry = self._store, self._entry
        per_chunk = int(store.index.columns.chunk[entry.number]) // entry.dtype.words
        if strides == _c_strides(out.shape) or out.size == 1:  # one range, as of rows
            out, strides = out.reshape(-1), (1,)
        pieces: dict[int, list[_Piece]] = {}
        bound = store.bound_for([entry])
        chunk_bytes, most = per_chunk * entry.dtype.itemsize, bound.work
        for piece in _pieces(*_ascending(out, start, strides), per_chunk):
            pieces.setdefault(piece.chunk, []).append(piece)
            if len(pieces) * chunk_bytes > most and len(pieces) > 1:  # a single chunk is always small
                bound.check_work(min(entry.nbytes, out.size * chunk_bytes))
                most = entry.nbytes
        elements, item = entry.words // entry.dtype.words, entry.dtype.itemsize
        past_cache = streams(out.nbytes)

        def count(chunk: int) -> int:
            return min(per_chunk, elements - chunk * per_chunk)

        def whole(chunk: int) -> bool:
            wanted = pieces[chunk]
            return len(wanted) == 1 and wanted[0].out.size == count(chunk) and wanted[0].out.flags.c_contiguous

        for first, last, data in store.runs(entry, list(pieces)):
            bounds = store.index.columns.bounds(entry.number)
            while first < last:
                to = first + 1
                direct = whole(first)
                if direct:
                    buffer = pieces[first][0].out.reshape(-1).view(np.uint8)
                    while strides == (1,) and to < last and whole(to):
                        to += 1
                    if to > first + 1:  # of one range, so these follow each other
                        at = first * per_chunk - start
                        buffer = out[at : at + (to - 1 - first) * per_chunk + count(to - 1)].view(np.uint8)
                else:
                    buffer = fresh(count(first) * item)
                size = bounds[to] - bounds[first]
                store.decoder.decode_part(entry.number, first, to, data[:size], buffer, past_cache)
                if not direct:
                    for piece in pieces[first]:
                        steps = [step * item for step in piece.strides]
                        piece.out[...] = np.ndarray(piece.out.shape, self.dtype, buffer, piece.start * item, steps)
                first, data = to, data[size:]


class _Piece(NamedTuple):
    """The piece of a slice that one chunk holds: its first element in the chunk, and its destination."""

    chunk: int
    start: int
    strides: tuple[int, ...]
    out: NDArray[Any]


def _ascending(out: NDArray[Any], start: int, strides: tuple[int, ...]) -> tuple[NDArray[Any], int, tuple[int, ...]]:
    """Return the same elements in the order of the file: axes that run backwards are reversed."""
    turned = tuple(slice(None, None, -1 if step < 0 else 1) for step in strides)
    start += sum((n - 1) * step for n, step in zip(out.shape, strides) if step < 0)
    return out[turned], start, tuple(map(abs, strides))


def _pieces(out: NDArray[Any], start: int, strides: tuple[int, ...], per_chunk: int) -> Iterator[_Piece]:
    """Cut a slice where chunks end, in the order of the file. A chunk gives a few pieces, and none holds an element
    that the slice leaves out."""
    axis = next((i for i, n in enumerate(out.shape) if n > 1), None)
    if axis is None:
        yield _Piece(start // per_chunk, start % per_chunk, strides, out)
        return
    rest = sum((n - 1) * step for n, step in zip(out.shape[axis + 1 :], strides[axis + 1 :]))
    lead, n, step = (slice(None),) * axis, out.shape[axis], strides[axis]
    i = 0
    while i < n:
        at = start + i * step
        chunk = at // per_chunk
        whole = min(n - i, ((chunk + 1) * per_chunk - 1 - at - rest) // step + 1)
        if whole > 0:
            key = (*lead, slice(i, i + whole))
            yield _Piece(chunk, at - chunk * per_chunk, strides, out[key])
        else:  # what lies behind one index of this axis is in several chunks
            key = (*lead, slice(i, i + 1))
            yield from _pieces(out[key], at, strides, per_chunk)
        i += max(whole, 1)


def _c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the distances in elements, for elements of one byte."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
