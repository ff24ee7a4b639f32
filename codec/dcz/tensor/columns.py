"""The index's columns about tensors' layouts: written from layouts, read and checked all tensors at once (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dcz import kernels, limits
from dcz.dtypes import Dtype
from dcz.entropy import Code
from dcz.entropy.code import MAX_CODES, record_of
from dcz.errors import FormatError, LimitError
from dcz.kernels import Columns as KernelColumns
from dcz.tensor.layout import POSITIONS, VALUES, CodebookRecord, Layout, Stream
from dcz.tensor.sizing import MAX_CHUNK, STEP

I64 = NDArray[np.int64]

KEYS = ("positions", "values", "chunks", "entries", "groups", "codes", "counts", "numbers", "books", "directory")
ROW_HEAD = 3
_POSITION_NAMES = {number: name for name, number in POSITIONS.items()}
_VALUE_NAMES = {number: name for name, number in VALUES.items()}
_MAX_LENGTH = 1 << 32
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
            out["books"].append(book.crc32c)
            for code, length in zip(book.codes, book.lengths):
                out["books"] += number(code), length
        for stream in layout.streams:
            out["counts"].append(len(stream.codes))
            out["numbers"] += [number(code) for code in stream.codes]
        out["directory"] += layout.rows()
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


def integers(values: object, count: int | None, least: int, most: int, field: str) -> I64:
    """A column of integers, checked."""
    if type(values) is not list or not set(map(type, values)) <= {int}:
        raise FormatError(f"index: {field}: expected a list of integers")
    if count is not None and len(values) != count:
        raise FormatError(f"index: {field}: expected {count} integers, found {len(values)}")
    try:
        out = np.array(values, np.int64)
        wrong = bool(values) and (int(out.min()) < least or int(out.max()) > most)
    except OverflowError:
        wrong = True
    if wrong:
        at = next(i for i, value in enumerate(values) if not least <= value <= most)
        raise FormatError(f"index: {field}[{at}]: expected an integer from {least} to {most}, found {values[at]}")
    return out


def _starts(sizes: I64) -> I64:
    return np.cumsum(sizes) - sizes


def parse(plain: Mapping[str, object], names: list[str], dtypes: list[Dtype], weights: list[int]) -> Columns:
    """The columns of an index for tensors of these names, dtypes and numbers of words; everything is checked."""
    t = len(names)
    total = np.array(weights, np.int64)
    word = np.array([dtype.word for dtype in dtypes], np.int64)
    positions = integers(plain["positions"], t, 0, 8, "positions")
    values = integers(plain["values"], t, 0, 2, "values")
    chunk = integers(plain["chunks"], t, STEP, MAX_CHUNK, "chunks")
    entries = integers(plain["entries"], t, 0, 1 << 16, "entries")
    group = integers(plain["groups"], t, 0, limits.MAX_WORDS, "groups")
    refuse = _Refusals(names)
    sparse, book = positions != 0, values == VALUES["codebook"]
    refuse(_UNKNOWN_POSITIONS[positions], "positions are 0, 1, 4, 5 or 8, found {}", positions)
    refuse((total == 0) & (sparse | (values != VALUES["bytes"])), "a tensor of no elements has positions all, values bytes")
    refuse(chunk % STEP != 0, f"chunks are multiples of {STEP}, found {{}}", chunk)
    refuse(sparse & (values == VALUES["bytes"]), "values of kind bytes go with positions of kind all")
    refuse(~book & ((entries != 0) | (group != 0)), "only values of kind codebook have entries and groups")
    refuse(book & (word == 1), "values of kind codebook need words of two bytes or more")
    refuse(book & (word == 2) & (entries > 256), "a codebook of words of two bytes has 256 entries at most, found {}", entries)
    refuse(group % 64 != 0, "groups are multiples of 64, found {}", group)
    books = np.where(book, np.where(group > 0, -(-total // np.maximum(group, 1)), 1), 0)
    refuse(books * entries > 2 * total + 65_536, "more codebook entries than weights")
    planes = np.where(book, np.where(entries <= 256, 1, 2), np.where(values == VALUES["planes"], word, 1))
    streams = np.where(total > 0, planes + sparse, 0)
    chunks = -(-total // chunk)

    records, alphabet = _codes(plain["codes"])
    counts = integers(plain["counts"], int(streams.sum()), 1, MAX_CODES, "counts")
    numbers = integers(plain["numbers"], int(counts.sum()), 0, len(alphabet) - 1, "numbers")
    flat = integers(plain["books"], int((book * (1 + 2 * word)).sum()), 0, _MAX_LENGTH, "books")
    width = ROW_HEAD + 2 * streams
    if float(chunks.astype(np.float64) @ width) > limits.MAX_INDEX_BYTES:
        raise LimitError(f"index: directory: more than {limits.MAX_INDEX_BYTES} numbers; split the file into shards")
    rows = integers(plain["directory"], int((chunks * width).sum()), 0, _MAX_LENGTH, "directory")
    out = Columns(
        names, dtypes, plain["codes"], KernelColumns(records, counts, numbers, rows, flat),
        word, np.array([dtype.rotate for dtype in dtypes], np.int64), total, positions, values, chunk, entries, group,
        planes, streams, chunks, width, _starts(chunks * width), _starts(streams), np.zeros(t, np.int64),
        _starts(book * (1 + 2 * word)), books, *(np.zeros(t, np.int64) for _ in range(3)),
    )  # fmt: skip
    per_stream = np.concatenate([_starts(counts), [counts.sum()]])
    out.number_at = per_stream[out.stream_at]
    out.head = _check_books(out, book)
    _check_rows(out, sparse, refuse)
    _check_streams(out, book, alphabet, refuse)
    return out


class _Refusals:
    """Raises for the first tensor of which something is wrong, naming it."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, wrong: NDArray[np.bool_], reason: str, found: I64 | None = None) -> None:
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            value = "" if found is None else int(found[at])
            raise FormatError(f"tensor {self._names[at]!r}: {reason.format(value)}")


def _codes(plain: object) -> tuple[NDArray[np.uint8], I64]:
    """Records of the file's codes, and of each one more than the highest symbol it can say."""
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


def _check_books(c: Columns, book: NDArray[np.bool_]) -> I64:
    """Stored bytes of each tensor's codebooks."""
    head = np.zeros(len(c.names), np.int64)
    flat, count = c.kernel.books, len(c.plain_codes)
    zstd = c.plain_codes.index("zstd") if "zstd" in c.plain_codes else -1
    for word in (2, 4, 8):
        of = np.flatnonzero(book & (c.word == word))
        at = c.book_at[of, None] + 1 + 2 * np.arange(word)
        numbers = flat[at]
        wrong = (flat[c.book_at[of]] >= _MAX_LENGTH) | (numbers >= count).any(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise FormatError(f"tensor {c.names[of[i]]!r}: its codebook names code {numbers[i].max()} of {count}")
        if (numbers == zstd).any():
            i = int(np.argmax((numbers == zstd).any(axis=1)))
            raise FormatError(f"tensor {c.names[of[i]]!r}: a codebook is raw, packed or Huffman-coded, found zstd")
        head[of] = flat[at + 1].sum(axis=1)
    return head


def _check_rows(c: Columns, sparse: NDArray[np.bool_], refuse: Callable) -> None:
    """Counts that fit their chunks, codes that are there; sums up what each tensor stores and has."""
    rows, t = c.kernel.rows, len(c.names)
    owner = np.repeat(np.arange(t), c.chunks)
    nth = np.arange(len(owner)) - _starts(c.chunks)[owner]
    at = c.row_at[owner] + nth * c.width[owner]
    weights = np.minimum(c.chunk[owner], c.weights[owner] - nth * c.chunk[owner])
    nonzeros, fillers = rows[at], rows[at + 1]

    def owners(wrong: NDArray[np.bool_], whose: I64) -> NDArray[np.bool_]:
        return np.bincount(whose[wrong], minlength=t) > 0

    wrong = nonzeros > np.where(sparse[owner], weights, 0)
    refuse(owners(wrong, owner), "a chunk has more nonzeros than weights")
    wrong = fillers > np.where(c.positions[owner] >= 4, weights, 0)
    refuse(owners(wrong, owner), "a chunk has more fillers than it can have")
    refuse(owners(rows[at + 2] >= _MAX_LENGTH, owner), "a CRC-32C has more than 32 bits")
    per_row = c.streams[owner]
    row = np.repeat(np.arange(len(owner)), per_row)
    nth_stream = np.arange(len(row)) - _starts(per_row)[row]
    pair, pair_owner = at[row] + ROW_HEAD + 2 * nth_stream, owner[row]
    wrong = rows[pair] >= c.kernel.counts[c.stream_at[pair_owner] + nth_stream]
    refuse(owners(wrong, pair_owner), "a chunk uses a code its stream lacks")
    # Sums in floating point are exact: no tensor stores 2^53 bytes.
    c.stored = c.head + np.bincount(pair_owner, weights=rows[pair + 1], minlength=t).astype(np.int64)
    c.nonzeros = np.bincount(owner, weights=nonzeros, minlength=t).astype(np.int64)


def _check_streams(c: Columns, book: NDArray[np.bool_], alphabet: I64, refuse: Callable) -> None:
    """Codes that fit what they code: no cluster beyond the codebook, no counting of bytes as they are."""
    counts, numbers = c.kernel.counts, c.kernel.numbers
    if not len(counts):
        return
    whole = np.zeros(len(alphabet), bool)
    whole[[i for i, plain in enumerate(c.plain_codes) if plain == "raw" or plain == "zstd"]] = True
    first = _starts(counts)
    highest = np.maximum.reduceat(alphabet[numbers], first)
    plain = np.logical_and.reduceat(whole[numbers], first)
    has = c.streams > 0
    last = np.where(has, c.stream_at + c.streams - 1, 0)
    narrow = book & has & (c.planes == 1)
    refuse(narrow & (highest[last] > c.entries), "a code names a cluster beyond its codebook of {}", c.entries)
    refuse(has & (c.values == VALUES["bytes"]) & ~plain[last], "values of kind bytes are raw or zstd")
