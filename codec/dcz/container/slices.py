"""Part of a tensor by indexing: only the chunks it touches are read and decoded."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from dcz.container.index import Entry
from dcz.container.memory import fresh
from dcz.container.store import Store, check_bytes
from dcz.errors import DczError


class TensorSlice:
    """A tensor that is not read yet. Index it with integers, slices, `...` and `None`, as numpy does."""

    def __init__(self, store: Store, entry: Entry) -> None:
        self._store, self._entry = store, entry

    @property
    def shape(self) -> tuple[int, ...]:
        return self._entry.shape

    @property
    def dtype(self) -> np.dtype:
        return self._entry.dtype.numpy()

    def get_shape(self) -> list[int]:
        """The shape as safetensors gives it."""
        return list(self.shape)

    def get_dtype(self) -> str:
        """The dtype's code as safetensors gives it."""
        return self._entry.dtype.code

    def __getitem__(self, key: object) -> NDArray:
        key = key if isinstance(key, tuple) else (key,)
        for part in key:
            if not (part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))) or isinstance(
                part, bool
            ):
                raise DczError(
                    f"slice of tensor {self._entry.name!r}: {part!r:.80} is no integer, slice, ... or None; "
                    "read the whole tensor to index it otherwise"
                )
        entry = self._entry
        # Which elements: numpy's own rules, on an array of positions that takes no memory.
        strides = _c_strides(entry.shape)
        ghost = np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), entry.shape, strides, writeable=False)
        view = ghost[key if any(part is Ellipsis for part in key) else (*key, ...)]  # always an array, never a scalar
        start = view.__array_interface__["data"][0] - ghost.__array_interface__["data"][0]
        if view.size == 0:
            return np.empty(view.shape, self.dtype)
        return self._gather(int(start), view.shape, view.strides)

    def _gather(self, start: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray:
        """Elements at `start` plus multiples of `strides`, from the chunks that hold them."""
        store, entry = self._store, self._entry
        check_bytes(prod(shape) * entry.dtype.itemsize, store.source.size, None)
        per_chunk = int(store.index.columns.chunk[entry.number]) // entry.dtype.words
        out = np.empty(shape, self.dtype)
        at = np.full((), start, np.int64)
        for n, step in zip(shape, strides):
            at = at[..., None] + np.arange(n, dtype=np.int64) * step
        at = at.reshape(-1)
        flat = out.reshape(-1)
        owner = at // per_chunk
        order = np.argsort(owner, kind="stable")
        chunks, begins = np.unique(owner[order], return_index=True)
        item = entry.dtype.itemsize
        for chunk, mine in zip(chunks.tolist(), np.split(order, begins[1:])):
            first = chunk * per_chunk
            count = min(per_chunk, entry.words // entry.dtype.words - first)
            buffer = fresh(count * item)
            store.fill(entry, chunk, chunk + 1, buffer)
            flat[mine] = buffer.view(self.dtype)[at[mine] - first]
        return flat.reshape(shape)


def _c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Distances in elements, for elements of one byte."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
