"""A writer's record of each stored tensor, and the index's columns made of them (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from dcz.dtypes import Dtype
from dcz.format.columns import DELTA_KEYS, KEYS, Columns
from dcz.tensor.layout import POSITIONS, VALUES, Layout


@dataclass(frozen=True, slots=True)
class StoredLayout:
    """A layout as the index has it: numbers and names, whether or not this version knows what they mean. `book` has a
    code and a length for each coded row of the codebooks, `streams` the codes of each stream; `row_codes` and
    `row_lengths` have for each chunk one number for each stream."""

    positions: int = 0
    values: int = 0
    chunk: int = 0
    entries: int = 0
    group: int = 0
    book_crc: int = 0
    book: tuple[tuple[str | bytes, int], ...] = ()
    streams: tuple[tuple[str | bytes, ...], ...] = ()
    nonzeros: tuple[int, ...] = ()
    fillers: tuple[int, ...] = ()
    crcs: tuple[int, ...] = ()
    row_codes: tuple[int, ...] = ()
    row_lengths: tuple[int, ...] = ()

    @property
    def stored(self) -> int:
        """Return the bytes of the segment."""
        return sum(map(itemgetter(1), self.book)) + sum(self.row_lengths)

    @staticmethod
    def of(layout: Layout) -> StoredLayout:
        """Return the numbers of a layout that has just been written; one without chunks has none."""
        if not layout.crc32c:
            return StoredLayout()
        book, streams = layout.codebook, layout.streams
        return StoredLayout(
            POSITIONS[layout.positions], VALUES[layout.values], layout.chunk,
            book.entries if book else 0, book.group if book else 0, book.crc32c if book else 0,
            tuple(zip([code.index_value for code in book.codes], book.lengths)) if book else (),
            tuple([tuple([code.index_value for code in stream.codes]) for stream in streams]),
            layout.nonzeros, layout.fillers, layout.crc32c,
            tuple(chain.from_iterable(zip(*[stream.use for stream in streams]))),
            tuple(chain.from_iterable(zip(*[stream.lengths for stream in streams]))),
        )  # fmt: skip

    @staticmethod
    def read(c: Columns, t: int) -> StoredLayout:
        """Return the numbers of tensor `t` of a file, to copy its segment."""
        rows, at = c.rows(t), int(c.book_at[t])
        book = c.kernel.books[at : at + 1 + 2 * int(c.book_rows[t])].tolist() if c.book_rows[t] else [0]
        plain = c.codes_.plain
        codes = iter(c.numbers(t))
        counts = c.kernel.counts[c.stream_at[t] : c.stream_at[t] + c.streams[t]].tolist()
        return StoredLayout(
            int(c.positions[t]), int(c.values[t]), int(c.chunk[t]), int(c.entries[t]), int(c.group[t]), book[0],
            tuple((plain[code], length) for code, length in zip(book[1::2], book[2::2])),
            tuple(tuple(plain[next(codes)] for _ in range(n)) for n in counts),
            tuple(rows[:, 0].tolist()), tuple(rows[:, 1].tolist()), tuple(rows[:, 2].tolist()),
            tuple(rows[:, 3::2].reshape(-1).tolist()), tuple(rows[:, 4::2].reshape(-1).tolist()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """A tensor that has been written, for the index. `words` of `word_size` bytes each; `dtype` is its code.
    `nonzeros` counts what is stored where positions are sparse, else words that are not zero. `content_crc` is the
    CRC-32C of the decoded words. `same_as` names an earlier tensor that holds the same words, in which case the layout
    is empty. The last four belong to a file with a base; see `dcz.format.columns`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    words: int
    word_size: int
    nonzeros: int
    content_crc: int
    layout: StoredLayout
    same_as: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    transform: int = 0
    base_name: str = ""
    base_crcs: tuple[int, ...] = ()
    result_crcs: tuple[int, ...] = ()

    @staticmethod
    def of(
        name: str, dtype: Dtype, shape: tuple[int, ...], words: int, nonzeros: int, content_crc: int, layout: Layout
    ) -> Record:
        """Return the record of a tensor that is stored whole, in this layout."""
        stored = StoredLayout.of(layout)
        return Record(name, dtype.code, shape, words, dtype.word, nonzeros, content_crc, stored)


def flatten(records: Sequence[Record], has_base: bool = False) -> dict[str, list[Any]]:
    """Return the columns of these tensors. Equal codes and dtypes are stored once a file."""
    out: dict[str, list[Any]] = {key: [] for key in KEYS + (DELTA_KEYS if has_base else ())}
    codes: dict[str | bytes, int] = {}
    dtypes: dict[str, int] = {}
    numbers = {record.name: number for number, record in enumerate(records, 1)}
    for record in records:
        _add_tensor(out, record, dtypes, numbers)
        _add_layout(out, record.layout, codes)
        if has_base:
            out["transforms"].append(record.transform)
            out["base_names"].append(record.base_name if record.base_name != record.name else "")
            out["row_base_crcs"] += record.base_crcs
            out["row_result_crcs"] += record.result_crcs
    out["dtypes"], out["codes"] = list(dtypes), list(codes)
    return out


def _add_tensor(out: dict[str, list[Any]], record: Record, dtypes: dict[str, int], numbers: dict[str, int]) -> None:
    out["dtype_numbers"].append(dtypes.setdefault(record.dtype, len(dtypes)))
    out["ranks"].append(len(record.shape))
    out["dims"] += record.shape
    out["words"].append(record.words)
    out["word_sizes"].append(record.word_size)
    out["nonzeros"].append(record.nonzeros)
    out["content_crcs"].append(record.content_crc)
    out["same_as"].append(numbers[record.same_as] if record.same_as else 0)
    out["segments"].append(record.layout.stored)


def _add_layout(out: dict[str, list[Any]], layout: StoredLayout, codes: dict[str | bytes, int]) -> None:
    def number(code: str | bytes) -> int:
        return codes.setdefault(code, len(codes))

    out["positions"].append(layout.positions)
    out["values"].append(layout.values)
    out["chunks"].append(layout.chunk)
    out["entries"].append(layout.entries)
    out["groups"].append(layout.group)
    out["streams"].append(len(layout.streams))
    out["rows"].append(len(layout.crcs))
    out["book_rows"].append(len(layout.book))
    if layout.book:
        out["book_crcs"].append(layout.book_crc)
        out["book_codes"] += [number(code) for code, _ in layout.book]
        out["book_lengths"] += [length for _, length in layout.book]
    for stream in layout.streams:
        out["counts"].append(len(stream))
        out["numbers"] += map(number, stream)
    out["row_nonzeros"] += layout.nonzeros
    out["row_fillers"] += layout.fillers
    out["row_crcs"] += layout.crcs
    out["row_codes"] += layout.row_codes
    out["row_lengths"] += layout.row_lengths
