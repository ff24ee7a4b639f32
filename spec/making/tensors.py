"""Tensors as a file stores them (SPEC 4, 6 and 8): the columns' numbers and a segment, for words in any layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reference_codes import crc32c
from reference_deltas import order
from reference_tensors import DTYPES, as_bytes

from making.rows import Code, bits_to_bytes, encode, fits, huffman_for

ALL, BITMAP, WIDE = 0, 1, 16
BYTES, PLANES, CODEBOOK = 0, 1, 2
STEP, XOR, REPLACE = 2, 3, 4


@dataclass
class Stored:
    """A tensor's part of the index, by the names of the columns, and its segment; `content` are its words as bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    words: int
    word_size: int
    nonzeros: int = 0
    content_crc: int = 0
    same_as: int = 0
    positions: int = 0
    values: int = 0
    chunk: int = 0
    entries: int = 0
    group: int = 0
    streams: list[list[Code]] = field(default_factory=list)
    rows: list[tuple[int, int, int, list[tuple[int, int]]]] = field(default_factory=list)
    book_crc: int = 0
    book: list[tuple[Code, int]] = field(default_factory=list)
    segment: bytes = b""
    content: bytes = b""
    transform: int = 0
    base_name: str = ""
    base_crcs: list[int] = field(default_factory=list)
    result_crcs: list[int] = field(default_factory=list)
    metadata: dict = field(default_factory=dict)
    unsupported: bool = False

    def copied(self, name: str, number: int, shape: tuple[int, ...] | None = None) -> Stored:
        """One that is the same as this, tensor `number` of the file."""
        return Stored(
            name, self.dtype, shape or self.shape, self.words, self.word_size, self.nonzeros, self.content_crc,
            same_as=number + 1, content=self.content, unsupported=self.unsupported,
        )  # fmt: skip


def rotated(word: int, size: int) -> int:
    """A word rotated left by one bit (3)."""
    bits = 8 * size
    return (word << 1 | word >> (bits - 1)) & (1 << bits) - 1


def gaps(places: Sequence[int], bits: int, tail: int = 0) -> tuple[list[int], int]:
    """Relative indices (3.1) of places, and how many of them are fillers; `tail` more fillers behind the last."""
    filler, out, at = (1 << bits) - 1, [], 0
    for place in places:
        skip = place - at
        out += [filler] * (skip // filler) + [skip % filler]
        at = place + 1
    out += [filler] * tail
    return out, out.count(filler)


def change(dtype: str, transform: int, base: int, result: int) -> int:
    """What is stored of a word (8.1, 8.2)."""
    bits = 8 * DTYPES[dtype].word
    if transform == XOR:
        return base ^ result
    if transform == REPLACE:
        return result
    step = (order(result, bits, dtype) - order(base, bits, dtype)) % (1 << bits)
    step -= (step >> (bits - 1)) << bits
    return 2 * step if step >= 0 else -2 * step - 1


def build(
    name: str,
    dtype: str,
    shape: Sequence[int],
    words: Sequence[int],
    positions: int = ALL,
    values: int = PLANES,
    chunk: int = 512,
    *,
    codes: Sequence[Sequence[Code]] | None = None,
    pick: Callable[[list[int]], int] = lambda usable: usable[0],
    entries: int = 0,
    group: int = 0,
    books: Sequence[Sequence[int]] | None = None,
    book_code: Callable[[list[int]], Code] = huffman_for,
    stored: Sequence[int] | None = None,
    tail: int = 0,
    transform: int = 0,
    base: Sequence[int] = (),
    base_name: str = "",
    metadata: dict | None = None,
) -> Stored:
    """A tensor of these words. `codes` are those of each stream, of which `pick` chooses one for each row among those
    that can say it; without, each stream has a Huffman code. `entries` is the least size of a codebook; `books` are
    them, if they are not just the values. `stored` are the places that are stored where positions are sparse, if it
    is not those that have to be. `tail` are fillers behind the last index, `base` the base's words of a `transform`."""
    about = DTYPES[dtype]
    size = about.word
    t = Stored(name, dtype, tuple(shape), len(words), size, transform=transform, base_name=base_name)
    assert len(words) == math.prod(shape) * about.words
    t.metadata = metadata or {}
    t.content = as_bytes(list(words), size)
    t.content_crc = crc32c(t.content)
    if not words or transform == 1:
        return t
    kept = [change(dtype, transform, b, w) for b, w in zip(base, words)] if transform else list(words)
    if about.rotated and values != BYTES and transform not in (STEP, XOR):
        kept = [rotated(word, size) for word in kept]
    t.nonzeros = sum(word != 0 for word in kept)
    needed = [b != w for b, w in zip(base, words)] if transform else [word != 0 for word in words]
    if positions == ALL:
        places = list(range(len(words)))
    else:
        places = [i for i, is_needed in enumerate(needed) if is_needed] if stored is None else sorted(stored)
        t.nonzeros = len(places)
    t.positions, t.values, t.chunk, t.group = positions, values, chunk, group
    if values == CODEBOOK:
        _add_books(t, kept, places, entries, books, book_code)
        kept_books = t.__dict__.pop("_books")
    symbols = []
    for first in range(0, len(words), chunk):
        n = min(chunk, len(words) - first)
        here = [p for p in places if first <= p < first + n] if len(words) > chunk else places
        rows, fillers = _positions(t, [p - first for p in here], n, tail if first + n == len(words) else 0)
        if values == BYTES:
            rows.append(as_bytes(kept[first : first + n], size))
        elif values == PLANES:
            rows += [[kept[p] >> 8 * j & 255 for p in here] for j in range(size)]
        else:
            numbers = [kept_books[p // group if group else 0][kept[p]] for p in here]
            rows += [[i >> 8 * j & 255 for i in numbers] for j in range(1 if t.entries <= 256 else 2)]
        symbols.append((len(here) if positions != ALL else 0, fillers, rows))
    _add_rows(t, symbols, codes, pick)
    if transform:
        for first in range(0, len(words), chunk):
            t.base_crcs.append(crc32c(as_bytes(list(base[first : first + chunk]), size)))
            t.result_crcs.append(crc32c(as_bytes(list(words[first : first + chunk]), size)))
    return t


def _positions(t: Stored, places: list[int], n: int, tail: int) -> tuple[list[Sequence[int]], int]:
    if t.positions == ALL:
        return [], 0
    if t.positions == BITMAP:
        found = set(places)
        return [bits_to_bytes([int(i in found) for i in range(n)])], 0
    indices, fillers = gaps(places, t.positions, tail)
    if t.positions == WIDE:
        return [[i & 255 for i in indices], [i >> 8 for i in indices]], fillers
    return [indices], fillers


def _add_books(
    t: Stored, kept: list[int], places: list[int], entries: int, books: Sequence[Sequence[int]] | None,
    book_code: Callable[[list[int]], Code],
) -> None:  # fmt: skip
    count = -(-t.words // t.group) if t.group else 1
    if books is None:
        found: list[set[int]] = [set() for _ in range(count)]
        for p in places:
            found[p // t.group if t.group else 0].add(kept[p])
        entries = max(entries, *(len(each) for each in found))
        books = [sorted(each) + [max(each, default=0)] * (entries - len(each)) for each in found]
    t.entries = len(books[0])
    differences = [word - (book[i - 1] if i else 0) for book in books for i, word in enumerate(book)]
    head = b""
    for j in range(t.word_size):
        plane = [d >> 8 * j & 255 for d in differences]
        for first in range(0, len(plane), 262_080):
            row = plane[first : first + 262_080]
            code = book_code(row)
            data = encode(code, row)
            t.book.append((code, len(data)))
            head += data
    t.book_crc, t.segment = crc32c(head), head
    t.__dict__["_books"] = [{word: i for i, word in reversed(list(enumerate(book)))} for book in books]


def _add_rows(
    t: Stored, symbols: list[tuple[int, int, list]], codes: Sequence[Sequence[Code]] | None,
    pick: Callable[[list[int]], int],
) -> None:  # fmt: skip
    width = len(symbols[0][2])
    if codes is None:
        each = [[s for _, _, rows in symbols for s in rows[i]] for i in range(width)]
        codes = [["raw"] if t.values == BYTES and i == width - 1 else [huffman_for(row)] for i, row in enumerate(each)]
        if t.values == CODEBOOK and not t.entries:
            codes[-1] = ["raw"]  # a Huffman code has at least one symbol, and there is no cluster
        codes = [c if t.words <= 262_080 or fits(c[0], row) else ["raw"] for c, row in zip(codes, each)]
    t.streams = [list(codes[min(i, len(codes) - 1)]) for i in range(width)]
    for nonzeros, fillers, rows in symbols:
        data, pairs = b"", []
        for available, row in zip(t.streams, rows):
            use = pick([i for i, code in enumerate(available) if fits(code, row)])
            stored = encode(available[use], row)
            data += stored
            pairs.append((use, len(stored)))
        t.rows.append((nonzeros, fillers, crc32c(data), pairs))
        t.segment += data
