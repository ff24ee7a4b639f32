"""Each tensor's place in a file, by name; entries are made on access (SPEC 6.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dcz.dtypes import Dtype
from dcz.errors import FormatError
from dcz.format.columns import Columns
from dcz.format.integers import I64
from dcz.format.prelude import SIZE as PRELUDE_SIZE

# A segment that may be a tensor's bytes as they are starts on a cache line, so that it can be mapped; small ones need
# not.
ALIGNMENT, MAPPED_BYTES = 64, 4096


def aligned(offset: int, size: int, nbytes: int) -> int:
    """Return where a segment of `size` bytes after `offset` begins, for a tensor of `nbytes` decoded bytes."""
    return -(-offset // ALIGNMENT) * ALIGNMENT if size == nbytes and size >= MAPPED_BYTES else offset


class Entry(NamedTuple):
    """One tensor: the `number` of the tensor whose segment holds its words (another one's if their words are equal),
    its nonzero words, its decoded bytes, and the segment with the bytes of padding in front of it."""

    number: int
    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    words: int
    nonzeros: int
    nbytes: int
    size: int
    offset: int
    padding: int


class Entries(Mapping[str, Entry]):
    """Names to entries, in the order of the index."""

    def __init__(self, columns: Columns, numbers: dict[str, int], end: int) -> None:
        """`numbers` are those of the names; the segments end at byte `end`."""
        self._columns, self.numbers = columns, numbers
        self._offsets, self._padding, found = _offsets(columns)
        if found != end:
            raise FormatError(f"index: the segments end at byte {found}, the index begins at {end}")

    def __getitem__(self, name: str) -> Entry:
        c, t = self._columns, self.numbers[name]
        source = int(c.source[t])
        words = int(c.weights[t])
        return Entry(
            source, name, c.dtypes[t], c.shape(t), words, int(c.nonzeros[t]), words * int(c.word[t]),
            int(c.stored[source]), int(self._offsets[source]), int(self._padding[source]),
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, name: object) -> bool:
        return name in self.numbers

    def all(self) -> dict[str, Entry]:
        """Return all entries; quicker than one by one."""
        c, source = self._columns, self._columns.source
        dims, at = c.dims.tolist(), c.dims_at.tolist()
        shapes = [tuple(dims[a:b]) for a, b in zip(at, at[1:])]
        columns = (c.weights, c.nonzeros, c.weights * c.word)
        places = (c.stored[source], self._offsets[source], self._padding[source])
        numbers = (column.tolist() for column in columns + places)
        return dict(zip(c.names, map(Entry, source.tolist(), c.names, c.dtypes, shapes, *numbers)))


def _offsets(c: Columns) -> tuple[I64, I64, int]:
    """Return where each segment begins, the padding in front of it, and where the last one ends. Segments follow each
    other with nothing but alignment between them."""
    sizes = c.stored
    ends = sizes.cumsum() + PRELUDE_SIZE
    offsets, padding = ends - sizes, np.zeros(len(sizes), np.int64)
    shift = 0
    for t in ((sizes >= MAPPED_BYTES) & (sizes == c.weights * c.word)).nonzero()[0].tolist():
        padding[t] = pad = -(int(offsets[t]) + shift) % ALIGNMENT
        shift += pad
    offsets += padding.cumsum()
    end = int(offsets[-1] + sizes[-1]) if len(sizes) else PRELUDE_SIZE
    return offsets, padding, end
