"""Tensors kept sparse: the rows of a matrix, and clusters, gathered chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.container.nonzeros import ChunkNonzeros, chunk_nonzeros
from dcz.errors import DczError, UnsupportedError
from dcz.format.index import Entry
from dcz.kernels.interface import I64, SYMBOLS
from dcz.tensor.layout import VALUES

# A codebook has at most this many entries: indices have two bytes.
_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class Rows:
    """A matrix in compressed sparse rows: row r has `values[starts[r]:starts[r + 1]]` in those `columns`."""

    starts: NDArray[Any]
    columns: NDArray[Any]
    values: NDArray[Any]
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StoredClusters:
    """A tensor's clusters. `mask` is True where an element's bits are not all zero; `indices` has the clusters of
    those elements in C order; `codebook` their values, shape (entries,), or (groups, entries) where every `group`
    successive elements have a codebook of their own, else `group` is 0."""

    indices: NDArray[Any]
    codebook: NDArray[Any]
    mask: NDArray[np.bool_]
    group: int

    def dense(self) -> NDArray[Any]:
        """Return the dense tensor: zeros, and the codebook's values where the mask is set."""
        out = np.zeros(self.mask.shape, self.codebook.dtype)
        if self.group:
            out[self.mask] = self.codebook[np.flatnonzero(self.mask) // self.group, self.indices]
        else:
            out[self.mask] = self.codebook[self.indices]
        return out


def rows(store: OpenFile, entry: Entry) -> Rows:
    """Return the nonzero elements of a matrix. Memory: these elements and one chunk.

    An element is stored if any of its bits is set, so -0.0 is. Raises `DczError` unless there are two dimensions."""
    if len(entry.shape) != 2:
        raise DczError(
            f"tensor {entry.name!r}: compressed sparse rows have two dimensions, it has {len(entry.shape)} "
            f"{entry.shape}; use get_clusters or get_tensor"
        )
    height, width = entry.shape
    sparse = store.index.columns.positions[entry.number] != 0
    small = max(entry.nonzeros if sparse else entry.words, width) < 1 << 31
    index = 4 if small else 8

    def check(nonzeros: int) -> None:
        result = nonzeros * (entry.dtype.itemsize + index) + index * (height + 1)
        store.check_bound([entry], result, work=entry.nbytes)

    check(entry.nonzeros)
    columns = np.empty(entry.nonzeros, np.int32 if small else np.int64)
    values = np.empty(entry.nonzeros, entry.dtype.numpy())
    starts = np.zeros(height + 1, columns.dtype)
    at = 0
    for where, found in _elements(store, entry):
        end = at + len(where)
        if end > len(columns):
            more = _room(entry, end)
            check(more)
            columns.resize(more, refcheck=False)
            values.resize(more, refcheck=False)
        row = where // width
        columns[at:end], values[at:end] = where - row * width, found
        if len(row):
            starts[row[0] + 1 : row[-1] + 2] += np.bincount(row - row[0]).astype(starts.dtype)
        at = end
    np.cumsum(starts, out=starts)
    return Rows(starts, columns[:at], values[:at], (height, width))


def clusters(store: OpenFile, entry: Entry) -> StoredClusters:
    """Return the clusters that a tensor is stored in; of one stored without codebook, its distinct values.

    Raises `UnsupportedError` for more than 65,536 of them, and for complex numbers."""
    if entry.dtype.words > 1:
        raise UnsupportedError(f"tensor {entry.name!r}: clusters are of real numbers, it is {entry.dtype.name}")
    t, c = entry.number, store.index.columns
    stored = bool(c.values[t] == VALUES["codebook"])
    dtype = np.dtype(np.uint16 if stored else f"<u{entry.dtype.word}")

    # Beside the mask, the clusters or words of the nonzeros, and what numbering the words takes.
    def check(nonzeros: int) -> None:
        gathered = nonzeros * (dtype.itemsize + 2) + (0 if stored else 8 * _MOST)
        store.check_bound([entry], entry.words + gathered, work=entry.nbytes)

    check(entry.nonzeros)
    mask: NDArray[np.bool_] = np.zeros(entry.words, bool)
    found = np.empty(entry.nonzeros, dtype)
    at = 0
    for chunk in _chunks(store, entry, clusters=True):
        mask[chunk.positions] = True
        end = at + len(chunk.positions)
        if end > len(found):
            more = _room(entry, end)
            check(more)
            found.resize(more, refcheck=False)
        found[at:end] = chunk.words if chunk.clusters is None else chunk.clusters
        at = end
    mask, found = mask.reshape(entry.shape), found[:at]
    if stored:
        book = store.decoder.codebook(t)
        group = int(c.group[t])
        codebook = book.view(entry.dtype.numpy())
        if book.shape[1] <= SYMBOLS:
            found = found.astype(np.uint8)
        return StoredClusters(found, codebook if group else codebook[0], mask, group)
    distinct, indices = _distinct(entry, found)
    return StoredClusters(indices, distinct.view(entry.dtype.numpy()), mask, 0)


def _distinct(entry: Entry, words: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the distinct words, and the number of each word among them."""
    word = entry.dtype.word
    if word <= 2:  # never too many
        distinct, indices = np.unique(words, return_inverse=True)
        return distinct, indices.astype(np.uint8 if len(distinct) <= SYMBOLS else np.uint16)
    for limit in (SYMBOLS, _MOST):
        found = kernels.active().scan(words.view(np.uint8), word, limit)
        if found is not None:
            return found.keys.astype(words.dtype), found.ids
    raise UnsupportedError(
        f"tensor {entry.name!r}: has more than {_MOST} distinct values, and so no clusters; use get_tensor"
    )


def _room(entry: Entry, needed: int) -> int:
    """Return how many nonzeros to allocate for where the index says too few. It may be wrong for a dense layout (SPEC
    7.2): only `verify` counts them, and every way of reading gives the same."""
    return min(2 * needed, entry.words)


def _chunks(store: OpenFile, entry: Entry, *, clusters: bool = False) -> Iterator[ChunkNonzeros]:
    """Yield the nonzeros of a tensor, chunk by chunk."""
    c, t = store.index.columns, entry.number
    bounds = c.bounds(t)
    for first, last, data in store.runs(entry, list(range(c.chunks[t]))):
        for number in range(first, last):
            stored = data[bounds[number] - bounds[first] : bounds[number + 1] - bounds[first]]
            yield chunk_nonzeros(store.decoder, t, number, stored, clusters=clusters)


def _elements(store: OpenFile, entry: Entry) -> Iterator[tuple[I64, NDArray[Any]]]:
    """Return positions and values of elements with a nonzero word."""
    dtype, width = entry.dtype.numpy(), entry.dtype.words
    for chunk in _chunks(store, entry):
        if width == 1:
            yield chunk.positions, chunk.words.view(dtype)
            continue
        positions, owner = np.unique(chunk.positions // width, return_inverse=True)
        words = np.zeros((len(positions), width), chunk.words.dtype)
        words[owner, chunk.positions % width] = chunk.words
        yield positions, words.view(dtype).reshape(-1)
