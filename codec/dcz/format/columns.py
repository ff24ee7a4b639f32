"""The index's columns about tensors' layouts: written from layouts, read and checked all tensors at once (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dcz import kernels, limits
from dcz.dtypes import Dtype
from dcz.entropy import Code
from dcz.entropy.code import MAX_CODES, record_of
from dcz.errors import FormatError
from dcz.format.directory import BOOK_KEYS, ROW_HEAD, ROW_KEYS, Refuse, read_books, read_rows, starts
from dcz.format.integers import I64, unpack
from dcz.kernels import Columns as KernelColumns
from dcz.tensor.chunking import MAX_CHUNK, STEP
from dcz.tensor.layout import POSITIONS, VALUES, CodebookRecord, Layout, Stream

KEYS = ("positions", "values", "chunks", "entries", "groups", "codes", "counts", "numbers", *BOOK_KEYS, *ROW_KEYS)
# Those of integers, stored as byte planes.
INTEGERS = frozenset(KEYS) - {"codes"}
_POSITION_NAMES = {number: name for name, number in POSITIONS.items()}
_VALUE_NAMES = {number: name for name, number in VALUES.items()}
_EMPTY = np.zeros(0, np.int64)
_NOTHING = np.zeros(1, np.int64)
_UNKNOWN_POSITIONS = np.array([number not in _POSITION_NAMES for number in range(9)])


def flatten(layouts: Sequence[Layout]) -> dict[str, list]:
    """The columns of these layouts. Equal codes are stored once for the whole file."""
    out: dict[str, list] = {key: [] for key in KEYS}
    known: dict[str | bytes, int] = {}

    def number(code: Code) -> int:
        return known.setdefault(code.plain, len(known))

    for layout in layouts:
        book = layout.codebook
        out["positions"].append(POSITIONS[layout.positions])
        out["values"].append(VALUES[layout.values])
        out["chunks"].append(layout.chunk)
        out["entries"].append(book.entries if book else 0)
        out["groups"].append(book.group if book else 0)
        if book is not None:
            out["book_crcs"].append(book.crc32c)
            out["book_codes"] += map(number, book.codes)
            out["book_lengths"] += book.lengths
        for stream in layout.streams:
            out["counts"].append(len(stream.codes))
            out["numbers"] += [number(code) for code in stream.codes]
        out["row_nonzeros"] += layout.nonzeros
        out["row_fillers"] += layout.fillers
        out["row_crcs"] += layout.crc32c
        for chunk in range(len(layout.crc32c)):
            for stream in layout.streams:
                out["row_codes"].append(stream.use[chunk])
                out["row_lengths"].append(stream.lengths[chunk])
    out["codes"] = list(known)
    return out


@dataclass
class Columns:
    """Layouts of all tensors of a file, checked. Arrays have an entry per tensor unless said otherwise."""

    names: list[str]
    dtypes: list[Dtype]
    plain_codes: list[str | bytes]  # of the file
    kernel: KernelColumns  # the flat columns, as decoding reads them
    word: I64
    rotate: I64
    weights: I64
    positions: I64
    values: I64
    chunk: I64
    entries: I64
    group: I64
    planes: I64
    streams: I64  # how many
    chunks: I64  # how many
    width: I64  # numbers of a directory row
    row_at: I64  # where a tensor's part of each flat column begins
    stream_at: I64
    number_at: I64
    book_at: I64
    books: I64  # codebooks of the tensor
    head: I64  # stored bytes of its codebooks
    stored: I64  # bytes of its segment
    nonzeros: I64  # of its directory

    @cached_property
    def codes(self) -> list[Code]:
        """The file's codes."""
        return [Code.parse(plain) for plain in self.plain_codes]

    @cached_property
    def inflated(self) -> frozenset[int]:
        """Tensors with a stream that zstd codes: the kernels take those decompressed."""
        if "zstd" not in self.plain_codes:
            return frozenset()
        zstd = self.plain_codes.index("zstd")
        return frozenset(t for t in range(len(self.names)) if zstd in self._numbers(t))

    def _numbers(self, t: int) -> list[int]:
        at, stream = self.number_at[t], self.stream_at[t]
        n = self.kernel.counts[stream : stream + self.streams[t]].sum()
        return self.kernel.numbers[at : at + n].tolist()

    def rows(self, t: int) -> I64:
        """A tensor's rows of the directory, shape (chunks, 3 + 2 * streams)."""
        size = self.chunks[t] * self.width[t]
        return self.kernel.rows[self.row_at[t] : self.row_at[t] + size].reshape(self.chunks[t], self.width[t])

    def bounds(self, t: int) -> I64:
        """Where each chunk of a tensor begins in its segment, and where the last one ends."""
        sizes = self.rows(t)[:, ROW_HEAD + 1 :: 2].sum(axis=1)
        return np.concatenate([[0], np.cumsum(sizes)]) + self.head[t]

    def mappable(self, t: int) -> bool:
        """Whether a segment is the tensor's bytes as they are."""
        return bool(self.values[t] == VALUES["bytes"]) and all(self.plain_codes[n] == "raw" for n in self._numbers(t))

    def stream_codes(self, t: int) -> list[list[Code]]:
        """The codes of each stream of a tensor."""
        out, at = [], int(self.number_at[t])
        for n in self.kernel.counts[self.stream_at[t] : self.stream_at[t] + self.streams[t]].tolist():
            out.append([self.codes[i] for i in self.kernel.numbers[at : at + n].tolist()])
            at += n
        return out

    def layout(self, t: int) -> Layout:
        """A tensor's layout on its own."""
        rows = self.rows(t)
        book = None
        if self.values[t] == VALUES["codebook"]:
            at, word = int(self.book_at[t]), int(self.word[t])
            crc, *rest = self.kernel.books[at : at + 1 + 2 * word].tolist()
            codes = tuple(self.codes[i] for i in rest[0::2])
            book = CodebookRecord(int(self.entries[t]), int(self.group[t]), codes, tuple(rest[1::2]), crc)
        streams = tuple(
            Stream(tuple(codes), tuple(rows[:, 3 + 2 * s].tolist()), tuple(rows[:, 4 + 2 * s].tolist()))
            for s, codes in enumerate(self.stream_codes(t))
        )
        return Layout(
            _POSITION_NAMES[int(self.positions[t])],
            _VALUE_NAMES[int(self.values[t])],
            int(self.chunk[t]),
            book,
            streams,
            *(tuple(rows[:, i].tolist()) for i in range(ROW_HEAD)),
        )


def parse(plain: Mapping[str, object], names: list[str], dtypes: list[Dtype], weights: list[int]) -> Columns:
    """The columns of an index for tensors of these names, dtypes and numbers of words; everything is checked."""
    t = len(names)
    total = np.array(weights, np.int64)
    word = np.array([dtype.word for dtype in dtypes], np.int64)
    positions = unpack(plain["positions"], t, 0, 8, "positions")
    values = unpack(plain["values"], t, 0, 2, "values")
    chunk = unpack(plain["chunks"], t, STEP, MAX_CHUNK, "chunks")
    entries = unpack(plain["entries"], t, 0, 1 << 16, "entries")
    group = unpack(plain["groups"], t, 0, limits.MAX_WORDS, "groups")
    refuse = _Refusals(names)
    sparse, book = positions != 0, values == VALUES["codebook"]
    refuse(_UNKNOWN_POSITIONS[positions], "positions are 0, 1, 4, 5 or 8, found {}", positions)
    refuse(
        (total == 0) & (sparse | (values != VALUES["bytes"])), "a tensor of no elements has positions all, values bytes"
    )
    refuse(chunk % STEP != 0, f"chunks are multiples of {STEP}, found {{}}", chunk)
    refuse(sparse & (values == VALUES["bytes"]), "values of kind bytes go with positions of kind all")
    refuse(~book & ((entries != 0) | (group != 0)), "only values of kind codebook have entries and groups")
    refuse(book & (word == 1), "values of kind codebook need words of two bytes or more")
    refuse(
        book & (word == 2) & (entries > 256),
        "a codebook of words of two bytes has 256 entries at most, found {}",
        entries,
    )
    refuse(group % 64 != 0, "groups are multiples of 64, found {}", group)
    books = np.where(book, np.where(group > 0, -(-total // np.maximum(group, 1)), 1), 0)
    refuse(books * entries > 2 * total + 65_536, "more codebook entries than weights")
    planes = np.where(book, np.where(entries <= 256, 1, 2), np.where(values == VALUES["planes"], word, 1))
    streams = np.where(total > 0, planes + sparse, 0)
    chunks = -(-total // chunk)

    records, alphabet = _codes(plain["codes"])
    counts = unpack(plain["counts"], int(streams.sum()), 1, MAX_CODES, "counts")
    numbers = unpack(plain["numbers"], int(counts.sum()), 0, len(alphabet) - 1, "numbers")
    width = ROW_HEAD + 2 * streams
    nothing = np.zeros(t, np.int64)
    out = Columns(
        names, dtypes, plain["codes"], KernelColumns(records, counts, numbers, _EMPTY, _EMPTY),
        word, np.array([dtype.rotate for dtype in dtypes], np.int64), total, positions, values, chunk, entries, group,
        planes, streams, chunks, width, nothing, starts(streams), nothing, nothing, books, nothing, nothing, nothing,
    )  # fmt: skip
    out.number_at = np.concatenate([_NOTHING, counts]).cumsum()[out.stream_at]
    books_ = read_books(plain, out, book)
    rows = read_rows(plain, out, sparse, refuse)
    _check_streams(out, book, alphabet, refuse)
    out.kernel = KernelColumns(records, counts, numbers, rows, books_)
    return out


class _Refusals:
    """Raises for the first tensor of which something is wrong, naming it."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, wrong: NDArray[np.bool_], reason: str, found: I64 | None = None) -> None:
        if np.count_nonzero(wrong):  # quicker than any()
            at = int(np.flatnonzero(wrong)[0])
            value = "" if found is None else int(found[at])
            raise FormatError(f"tensor {self._names[at]!r}: {reason.format(value)}")


def _codes(plain: object) -> tuple[NDArray[np.uint8], I64]:
    """Records of the file's codes, and of each one more than the highest symbol it can say, as `record_of` has it."""
    if type(plain) is not list:
        raise FormatError("index: codes: expected a list")
    try:
        if len(set(plain)) != len(plain):
            raise FormatError("index: codes: a code is there twice")
    except TypeError:
        raise FormatError("index: codes: expected strings and bytes") from None
    parsed = list(map(record_of, plain))
    records = np.frombuffer(b"".join([record for record, _ in parsed]), np.uint8)
    wrong = kernels.active().check_codes(records)
    if wrong < len(parsed):
        raise FormatError(f"index: codes[{wrong}]: the lengths form no complete prefix code of at most 12 bits")
    return records, np.array([alphabet for _, alphabet in parsed], np.int64)


def _check_streams(c: Columns, book: NDArray[np.bool_], alphabet: I64, refuse: Refuse) -> None:
    """Codes that fit what they code: no cluster beyond the codebook, no counting of bytes as they are."""
    counts, numbers = c.kernel.counts, c.kernel.numbers
    if not len(counts):
        return
    highest = np.maximum.reduceat(alphabet[numbers], starts(counts))  # negative where all are raw or zstd
    has = c.streams > 0
    last = np.where(has, c.stream_at + c.streams - 1, 0)
    narrow = book & has & (c.planes == 1)
    refuse(narrow & (highest[last] > c.entries), "a code names a cluster beyond its codebook of {}", c.entries)
    refuse(has & (c.values == VALUES["bytes"]) & (highest[last] >= 0), "values of kind bytes are raw or zstd")
