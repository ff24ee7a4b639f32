"""How tensors are stored: all columns of the index, read and checked once (SPEC 7.2).

The columns of tensors are in `dcz.format.tensors`, those of codes in `dcz.format.codes`, those of chunks and codebooks
in `dcz.format.directory`. `Columns` joins them and answers questions about one tensor.

**Differences to a base** (SPEC 8). The index of a file whose trailer has the feature bit `HAS_BASE` has four more
columns, and `Columns` these attributes:

- `transforms[t]`, a number of `dcz.format.tensors.TRANSFORMS`: 0 none, 1 copy, 2 step, 3 xor, 4 replace. All zero in
  a file without a base. A copy has words but neither streams nor rows nor a segment.
- `base_names[t]`, the tensor's name in the base, "" where it is the same; the list is empty in a file without a base.
  `base_name(t)` answers for both.
- `base_crcs(t)` and `result_crcs(t)`: for each chunk of a tensor with a transform the CRC-32C of the base's and of the
  result's words in it, little-endian bytes. Empty for tensors without a transform and for copies.
- `content_crcs[t]` is the CRC-32C of the result's words, also for copies.
- `nonzeros[t]` and the rows count what is stored, that is steps, not the result's words.

Writers of such a file give each `dcz.format.records.Record` its `transform`, `base_name`, `base_crcs` and
`result_crcs`, and `index.pack(..., has_base=True)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dcz import limits
from dcz.entropy import Code
from dcz.format import codes as codes_
from dcz.format import directory
from dcz.format.directory import BASE_KEYS, BOOK_KEYS, ROW_KEYS
from dcz.format.integers import I64, Integers, counted
from dcz.format.tensors import KEYS as TENSOR_KEYS
from dcz.format.tensors import Refusals, Tensors, read_tensors, starts
from dcz.kernels import Columns as KernelColumns
from dcz.kernels.interface import ROW_HEAD
from dcz.tensor.layout import POSITIONS, VALUES, CodebookRecord, Layout, Stream

KEYS = (
    "dtypes", "dtype_numbers", "ranks", "dims", *TENSOR_KEYS, *codes_.KEYS, *BOOK_KEYS, *ROW_KEYS,
)  # fmt: skip
# Columns of a file with a base.
DELTA_KEYS = ("transforms", "base_names", *BASE_KEYS)
# Columns of integers, stored as byte planes.
INTEGERS = frozenset((*KEYS, *DELTA_KEYS)) - {"dtypes", "codes", "base_names"}
_PLAIN = tuple(key for key in KEYS if key in INTEGERS)
_BASED = tuple(key for key in (*KEYS, *DELTA_KEYS) if key in INTEGERS)

_POSITION_NAMES = {number: name for name, number in POSITIONS.items()}
_VALUE_NAMES = {number: name for name, number in VALUES.items()}


@dataclass(frozen=True)
class Columns(Tensors):
    """How all tensors of a file are stored. Arrays have one entry a tensor unless noted otherwise."""

    codes_: codes_.Codes
    books_: directory.Books
    directory: directory.Directory
    stream_at: I64  # where a tensor's range of each flat column begins
    number_at: I64
    kernel: KernelColumns  # the flat columns, as decoding reads them

    @property
    def row_at(self) -> I64:
        """Offset of a tensor's rows in the directory."""
        return self.directory.row_at

    @property
    def width(self) -> I64:
        """Numbers of a row of the directory."""
        return self.directory.width

    @property
    def book_at(self) -> I64:
        """Offset of the record of a tensor's codebooks."""
        return self.books_.book_at

    @property
    def head(self) -> I64:
        """Stored bytes of a tensor's codebooks."""
        return self.books_.head

    @cached_property
    def codes(self) -> list[Code | None]:
        """The file's codes, None for those that this version does not know."""
        known = self.codes_.alphabet.tolist()
        return [
            None if what == codes_.UNKNOWN_ALPHABET else Code.from_index(plain)
            for plain, what in zip(self.codes_.plain, known)
        ]

    @cached_property
    def inflated(self) -> frozenset[int]:
        """Tensors with a stream that zstd codes: the kernels take those decompressed."""
        if "zstd" not in self.codes_.plain:
            return frozenset()
        zstd = self.codes_.plain.index("zstd")
        return frozenset(t for t in range(len(self.names)) if zstd in self.numbers(t))

    def numbers(self, t: int) -> list[int]:
        """Return the codes of a tensor's streams, stream after stream."""
        at, stream = self.number_at[t], self.stream_at[t]
        n = self.kernel.counts[stream : stream + self.streams[t]].sum()
        return self.kernel.numbers[at : at + n].tolist()

    def rows(self, t: int) -> I64:
        """Return a tensor's rows of the directory, shape (chunks, 3 + 2 * streams)."""
        size = self.chunks[t] * self.width[t]
        return self.kernel.rows[self.row_at[t] : self.row_at[t] + size].reshape(self.chunks[t], self.width[t])

    def bounds(self, t: int) -> I64:
        """Return where each chunk of a tensor begins in its segment, and where the last one ends."""
        sizes = self.rows(t)[:, ROW_HEAD + 1 :: 2].sum(axis=1)
        return np.concatenate([[0], np.cumsum(sizes)]) + self.head[t]

    def base_name(self, t: int) -> str:
        """Return the name of a tensor in the base."""
        return (self.base_names[t] if self.base_names else "") or self.names[t]

    def base_crcs(self, t: int) -> I64:
        """Return the CRC-32C of the base's words in each chunk; empty without a transform."""
        return self._of_rows(self.directory.base_crcs, t)

    def result_crcs(self, t: int) -> I64:
        """Return the CRC-32C of the result's words in each chunk; empty without a transform."""
        return self._of_rows(self.directory.result_crcs, t)

    def _of_rows(self, column: I64, t: int) -> I64:
        at = self.directory.base_at[t]
        return column[at : at + (self.chunks[t] if self.transforms[t] else 0)]

    def stream_codes(self, t: int) -> list[list[Code]]:
        """Return the codes of each stream of a tensor that is not `unknown`."""
        out, at = [], int(self.number_at[t])
        for n in self.kernel.counts[self.stream_at[t] : self.stream_at[t] + self.streams[t]].tolist():
            out.append([self.codes[i] for i in self.kernel.numbers[at : at + n].tolist()])
            at += n
        return out

    def layout(self, t: int) -> Layout | None:
        """Return a tensor's layout; None where this version does not know it."""
        if t in self.unknown:
            return None
        t = int(self.source[t])
        rows = self.rows(t)
        streams = tuple(
            Stream(
                tuple(codes), tuple(rows[:, ROW_HEAD + 2 * s].tolist()), tuple(rows[:, ROW_HEAD + 1 + 2 * s].tolist())
            )
            for s, codes in enumerate(self.stream_codes(t))
        )
        return Layout(
            _POSITION_NAMES[int(self.positions[t])],
            _VALUE_NAMES[int(self.values[t])],
            int(self.chunk[t]),
            self._codebook(t),
            streams,
            *(tuple(rows[:, i].tolist()) for i in range(ROW_HEAD)),
        )

    def _codebook(self, t: int) -> CodebookRecord | None:
        if not self.book_rows[t]:
            return None
        at = int(self.book_at[t])
        crc, *rest = self.kernel.books[at : at + 1 + 2 * int(self.book_rows[t])].tolist()
        codes = tuple(self.codes[i] for i in rest[0::2])
        return CodebookRecord(int(self.entries[t]), int(self.group[t]), codes, tuple(rest[1::2]), crc)


def parse(plain: Mapping[str, object], names: list[str]) -> Columns:
    """Parse and check the columns of an index for tensors of these names."""
    counts = counted(plain, _BASED if "transforms" in plain else _PLAIN)
    directory.check_size(ROW_HEAD * counts["row_crcs"] + 2 * counts["row_codes"])
    integers = Integers(plain, counts)  # type: ignore[arg-type]
    streams, book_rows = (integers.take(key, len(names), 0, limits.MAX_WORDS) for key in ("streams", "book_rows"))
    for numbers in (streams, book_rows):
        directory.check_size(float(numbers.sum(dtype=np.float64)))
    codes = codes_.read_codes(plain, integers, int(streams.sum()))
    stream_at = starts(streams)
    number_at = np.concatenate([codes.first, codes.counts.sum(keepdims=True)])[stream_at]
    tensors = read_tensors(plain, integers, names, _users(integers, codes, streams, book_rows))
    refuse = Refusals(names)
    books = directory.read_books(integers, tensors, codes, refuse)
    rows = directory.read_rows(integers, tensors, codes, books.head, refuse)
    _check_streams(tensors, codes, stream_at, refuse)
    kernel = KernelColumns(codes.records, codes.counts, codes.numbers, rows.flat, books.flat)
    return Columns(
        **vars(tensors), codes_=codes, books_=books, directory=rows,
        stream_at=stream_at, number_at=number_at, kernel=kernel,
    )  # fmt: skip


def _users(integers: Integers, codes: codes_.Codes, streams: I64, book_rows: I64) -> dict[int, str]:
    """Return the tensors that use codes that this version does not know."""
    unknown = codes.alphabet == codes_.UNKNOWN_ALPHABET
    if not np.count_nonzero(unknown):
        return {}
    tensors = np.arange(len(streams))
    owner = np.repeat(np.repeat(tensors, streams), codes.counts)
    book_owner = np.repeat(tensors, book_rows)
    books = integers.take("book_codes", len(book_owner), 0, len(codes.plain) - 1)
    out: dict[int, str] = {}
    for whose, numbers in ((owner, codes.numbers), (book_owner, books)):
        at = np.flatnonzero(unknown[numbers])
        out.update((t, str(codes.plain[n])) for t, n in zip(whose[at].tolist(), numbers[at].tolist()))
    return out


def _check_streams(c: Tensors, codes: codes_.Codes, stream_at: I64, refuse: Refusals) -> None:
    """Check that codes fit their symbols: no cluster index beyond the codebook, raw bytes without Huffman codes."""
    if not len(codes.counts):
        return
    known = c.understood & (c.streams > 0)
    last = np.where(known, stream_at + c.streams - 1, 0)
    highest = codes.highest()[last]  # negative where all are raw or zstd
    beyond = (c.values == VALUES["codebook"]) & (c.planes == 1) & (highest > c.entries)
    coded = (c.values == VALUES["bytes"]) & (highest >= 0)
    refuse.first(known, [
        (beyond, "a code names a cluster beyond its codebook of {}", c.entries),
        (coded, "values of kind bytes are raw or zstd", None),
    ])  # fmt: skip
