"""Tensors that stay sparse: rows of a matrix, and clusters, chunk by chunk from what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.container.file import OpenFile, check_bytes
from dcz.container.nonzeros import ChunkNonzeros, clusters_of, nonzeros
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.format.index import Entry
from dcz.kernels.interface import I64, SYMBOLS
from dcz.tensor.layout import VALUES

# A codebook has this many entries at most, and indices two bytes.
_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class Rows:
    """A matrix in compressed sparse rows: row r has `values[starts[r]:starts[r + 1]]` in those `columns`."""

    starts: NDArray
    columns: NDArray
    values: NDArray
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clusters:
    """A tensor's clusters. `mask` is True where an element's bits are not all zero; `indices` has the clusters of
    those elements in C order; `codebook` their values, shape (entries,), or (groups, entries) where every `group`
    successive elements have a codebook of their own, else `group` is 0."""

    indices: NDArray
    codebook: NDArray
    mask: NDArray[np.bool_]
    group: int

    def dense(self) -> NDArray:
        """The tensor they make: zeros, and the codebook's values where the mask is set."""
        out = np.zeros(self.mask.shape, self.codebook.dtype)
        if self.group:
            out[self.mask] = self.codebook[np.flatnonzero(self.mask) // self.group, self.indices]
        else:
            out[self.mask] = self.codebook[self.indices]
        return out


def rows(store: OpenFile, entry: Entry) -> Rows:
    """The nonzero elements of a matrix; memory for them and for one chunk is all it takes.

    An element is stored if any bit of it is set, so -0.0 is. Raises `DczError` for other than two dimensions."""
    if len(entry.shape) != 2:
        raise DczError(
            f"tensor {entry.name!r}: compressed sparse rows have two dimensions, it has {len(entry.shape)} "
            f"{entry.shape}; use get_clusters or get_tensor"
        )
    height, width = entry.shape
    small = max(entry.nonzeros, width) < 1 << 31
    itemsize = entry.dtype.itemsize
    check_bytes(entry.nonzeros * (itemsize + (4 if small else 8)) + 8 * height, store.source.size, None)
    columns = np.empty(entry.nonzeros, np.int32 if small else np.int64)
    values = np.empty(entry.nonzeros, entry.dtype.numpy())
    counts = np.zeros(height + 1, np.int64)
    at = 0
    for where, found in _elements(store, entry):
        end = at + len(where)
        if end > entry.nonzeros:
            raise _wrong_count(entry, end)
        row = where // width
        columns[at:end], values[at:end] = where - row * width, found
        if len(row):
            counts[row[0] + 1 : row[-1] + 2] += np.bincount(row - row[0])
        at = end
    starts = np.cumsum(counts).astype(columns.dtype)
    return Rows(starts, columns[:at], values[:at], (height, width))


def clusters(store: OpenFile, entry: Entry) -> Clusters:
    """The clusters a tensor is stored in, or if it is stored without codebook, those its elements make.

    Raises `UnsupportedError` for more than 65,536 of them, and for complex numbers."""
    if entry.dtype.words > 1:
        raise UnsupportedError(f"tensor {entry.name!r}: clusters are of real numbers, it is {entry.dtype.name}")
    check_bytes(entry.words + entry.nonzeros * 2, store.source.size, None)
    t, c = entry.number, store.index.columns
    mask = np.zeros(entry.words, bool)
    found = []
    has_book, group = bool(c.values[t] == VALUES["codebook"]), int(c.group[t])
    for chunk in _chunks(store, entry):
        mask[chunk.where] = True
        found.append(
            clusters_of(store.decoder.codebook(t), group, bool(c.rotate[t]), chunk) if has_book else chunk.words
        )
    mask = mask.reshape(entry.shape)
    if has_book:
        book = store.decoder.codebook(t)
        indices = np.concatenate([np.zeros(0, np.uint16), *found])
        codebook = book.view(entry.dtype.numpy())
        if book.shape[1] <= SYMBOLS:
            indices = indices.astype(np.uint8)
        return Clusters(indices, codebook if group else codebook[0], mask, group)
    words = np.concatenate([np.zeros(0, f"<u{entry.dtype.word}"), *found])
    distinct, indices = _distinct(entry, words)
    return Clusters(indices, distinct.view(entry.dtype.numpy()), mask, 0)


def _distinct(entry: Entry, words: NDArray) -> tuple[NDArray, NDArray]:
    """Distinct words, and which of them each word is."""
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


def _chunks(store: OpenFile, entry: Entry) -> Iterator[ChunkNonzeros]:
    """The nonzeros of the tensor's chunks; what the index says of their number is checked."""
    c, t = store.index.columns, entry.number
    bounds = c.bounds(t)
    total = 0
    for first, last, data in store.runs(entry, list(range(c.chunks[t]))):
        for number in range(first, last):
            at, end = int(bounds[number] - bounds[first]), int(bounds[number + 1] - bounds[first])
            chunk = nonzeros(store.decoder, t, number, data[at:end])
            total += len(chunk.where)
            yield chunk
    if total != entry.nonzeros:
        raise _wrong_count(entry, total)


def _wrong_count(entry: Entry, found: int) -> FormatError:
    return FormatError(f"tensor {entry.name!r}: nonzeros: {entry.nonzeros}, its values have {found}")


def _elements(store: OpenFile, entry: Entry) -> Iterator[tuple[I64, NDArray]]:
    """Positions and values of elements of which any word is not zero."""
    dtype, width = entry.dtype.numpy(), entry.dtype.words
    for chunk in _chunks(store, entry):
        if width == 1:
            yield chunk.where, chunk.words.view(dtype)
            continue
        where, owner = np.unique(chunk.where // width, return_inverse=True)
        words = np.zeros((len(where), width), chunk.words.dtype)
        words[owner, chunk.where % width] = chunk.words
        yield where, words.view(dtype).reshape(-1)
