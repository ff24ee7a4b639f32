"""Sections 3, 4 and 6 of SPEC.md for the reference decoder: from a tensor's segment to its words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import numpy as np
from reference_codes import Code, bits_of, ceil_div, crc32c, decode_row, must

# -- 3. Elements and words


@dataclass(frozen=True)
class Dtype:
    """numpy's or ml_dtypes' name, bytes of a word, words of an element, whether words are rotated."""

    name: str
    word: int
    words: int = 1
    rotated: bool = False


DTYPES = {
    "BOOL": Dtype("bool", 1),
    "U8": Dtype("uint8", 1),
    "I8": Dtype("int8", 1),
    "F8_E5M2": Dtype("float8_e5m2", 1),
    "F8_E4M3": Dtype("float8_e4m3fn", 1),
    "F8_E8M0": Dtype("float8_e8m0fnu", 1),
    "F8_E4M3FNUZ": Dtype("float8_e4m3fnuz", 1),
    "F8_E5M2FNUZ": Dtype("float8_e5m2fnuz", 1),
    "F4": Dtype("float4_e2m1fn", 1),
    "F6_E2M3": Dtype("float6_e2m3fn", 1),
    "F6_E3M2": Dtype("float6_e3m2fn", 1),
    "I16": Dtype("int16", 2),
    "U16": Dtype("uint16", 2),
    "F16": Dtype("float16", 2, rotated=True),
    "BF16": Dtype("bfloat16", 2, rotated=True),
    "I32": Dtype("int32", 4),
    "U32": Dtype("uint32", 4),
    "F32": Dtype("float32", 4, rotated=True),
    "C64": Dtype("complex64", 4, words=2, rotated=True),
    "I64": Dtype("int64", 8),
    "U64": Dtype("uint64", 8),
    "F64": Dtype("float64", 8, rotated=True),
}


def numpy_dtype(name: str) -> np.dtype:
    """The little-endian type."""
    try:
        return np.dtype(name).newbyteorder("<")
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


def rotate_back(word: int, size: int) -> int:
    """A word of `size` bytes, rotated right by one bit."""
    return word >> 1 | (word & 1) << (8 * size - 1)


# -- 4. Chunks

ALL, BITMAP, RELATIVE = 0, 1, (4, 5, 8)
CODEBOOK, PLANES, BYTES = 0, 1, 2


@dataclass
class Row:
    """4.2: of one chunk, its counts and, per stream, which of the stream's codes and how many bytes."""

    nonzeros: int
    fillers: int
    crc: int
    streams: list[tuple[int, int]]


def symbol_counts(positions: int, values: int, planes: int, word: int, n: int, row: Row) -> list[int]:
    """4.3: symbols of each stream of a chunk of n weights."""
    counts = []
    if positions == BITMAP:
        counts.append(ceil_div(n, 8))
    elif positions in RELATIVE:
        counts.append(row.nonzeros + row.fillers)
    if values == BYTES:
        return [*counts, n * word]
    return counts + [n if positions == ALL else row.nonzeros] * planes


# -- 6. Tensors


@dataclass
class Tensor:
    """What the index says of a tensor."""

    name: str
    dtype: Dtype
    shape: list[int]
    nonzeros: int
    positions: int
    values: int
    chunk: int
    entries: int
    group: int
    book: Optional[tuple[int, list[tuple[Code, int]]]] = None
    codes: list[list[Code]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def words(self) -> int:
        """How many it has."""
        out = self.dtype.words
        for n in self.shape:
            out *= n
        return out

    @property
    def planes(self) -> int:
        """Streams of values."""
        if self.values == CODEBOOK:
            return 1 if self.entries <= 256 else 2
        return self.dtype.word if self.values == PLANES else 1

    @property
    def streams(self) -> int:
        """Streams; without words there are none."""
        return self.planes + (self.positions != ALL) if self.words else 0

    @property
    def head(self) -> int:
        """Bytes of its codebooks."""
        return sum(length for _, length in self.book[1]) if self.book else 0

    @property
    def size(self) -> int:
        """Bytes of its segment."""
        return self.head + sum(length for row in self.rows for _, length in row.streams)

    @property
    def mappable(self) -> bool:
        """2.2: stored as it is."""
        return (
            self.values == BYTES and all(code == "raw" for codes in self.codes for code in codes) and self.size >= 4096
        )


def stored_positions(t: Tensor, row: Row, n: int, symbols: bytes) -> list[int]:
    """6 and 6.1: the weights of a chunk that are stored."""
    if t.positions == BITMAP:
        bits = bits_of(symbols)
        must(not any(bits[n:]), "6", "bits behind the chunk's last weight are zero")
        found = [i for i, bit in enumerate(bits) if bit]
    else:
        filler = 2**t.positions - 1
        found, at, fillers = [], 0, 0
        for s in symbols:
            must(s <= filler, "6.1", f"relative indices have {t.positions} bits")
            at += s
            if s == filler:
                fillers += 1
            else:
                found.append(at)
                at += 1
            must(at <= n, "6.1", "the indices do not leave the chunk")
        must(fillers == row.fillers, "4.2", "there are as many fillers as the row says")
    must(len(found) == row.nonzeros, "6", "there are as many stored weights as the row says")
    return found


def codebooks(t: Tensor, head: bytes) -> list[list[int]]:
    """6.2: the words of each codebook, rotated back."""
    crc, planes = t.book
    must(crc == crc32c(head), "6.2", f"the codebooks of {t.name!r} match their CRC-32C")
    books = ceil_div(t.words, t.group) if t.group else 1
    rows, at = [], 0
    for code, length in planes:
        must(code != "zstd", "6.2", "codebooks are not coded by zstd")
        rows.append(decode_row(code, books * t.entries, head[at : at + length]))
        at += length
    out = []
    for b in range(books):
        word, book = 0, []
        for e in range(b * t.entries, (b + 1) * t.entries):
            word += sum(row[e] << 8 * j for j, row in enumerate(rows))
            must(word < 1 << 8 * t.dtype.word, "6.2", "a codebook ascends")
            book.append(rotate_back(word, t.dtype.word) if t.dtype.rotated else word)
        out.append(book)
    return out


def decode_chunk(t: Tensor, number: int, data: bytes, books: list[list[int]]) -> list[int]:
    """The words of one chunk from its stored bytes."""
    row, first = t.rows[number], number * t.chunk
    n = min(t.chunk, t.words - first)
    must(row.crc == crc32c(data), "4.2", f"chunk {number} of {t.name!r} matches its CRC-32C")
    streams, at = [], 0
    counts = symbol_counts(t.positions, t.values, t.planes, t.dtype.word, n, row)
    for codes, (which, length), count in zip(t.codes, row.streams, counts):
        must(which < len(codes), "4.2", "a row names one of its stream's codes")
        streams.append(decode_row(codes[which], count, data[at : at + length]))
        at += length
    if t.positions == ALL:
        must(row.nonzeros == 0 and row.fillers == 0, "4.2", "counts are zero where positions are `all`")
        stored: list[int] | range = range(n)
    else:
        must(t.positions in RELATIVE or row.fillers == 0, "4.2", "only relative indices have fillers")
        stored = stored_positions(t, row, n, streams.pop(0))
    words = [0] * n
    for i, at in enumerate(stored):
        if t.values == BYTES:
            words[at] = int.from_bytes(streams[0][i * t.dtype.word : (i + 1) * t.dtype.word], "little")
            continue
        value = sum(plane[i] << 8 * j for j, plane in enumerate(streams))
        if t.values == CODEBOOK:
            must(value < t.entries, "6.2", "a cluster index is less than the entries")
            words[at] = books[(first + at) // t.group if t.group else 0][value]
        else:
            words[at] = rotate_back(value, t.dtype.word) if t.dtype.rotated else value
    return words


def decode_tensor(t: Tensor, segment: bytes) -> np.ndarray:
    """A tensor from its segment."""
    books = codebooks(t, segment[: t.head]) if t.book else []
    words, at = [], t.head
    for number, row in enumerate(t.rows):
        size = sum(length for _, length in row.streams)
        words += decode_chunk(t, number, segment[at : at + size], books)
        at += size
    must(t.nonzeros == sum(word != 0 for word in words), "7.2", f"{t.name!r} has as many nonzeros as the index says")
    raw = b"".join(word.to_bytes(t.dtype.word, "little") for word in words)
    return np.frombuffer(bytearray(raw), numpy_dtype(t.dtype.name)).reshape(t.shape)


def check_tensor(t: Tensor) -> None:
    """4.1 and 6: what goes together."""
    must(t.chunk % 512 == 0 and 512 <= t.chunk <= 1_048_576, "4.1", "chunks are multiples of 512")
    must(t.positions in (ALL, BITMAP, *RELATIVE), "6", "positions are 0, 1, 4, 5 or 8")
    must(t.values in (CODEBOOK, PLANES, BYTES), "6", "values are 0, 1 or 2")
    must(t.values != BYTES or t.positions == ALL, "6", "bytes go with positions `all`")
    if t.values == CODEBOOK:
        must(
            t.dtype.word > 1 and t.entries <= (256 if t.dtype.word == 2 else 65_536),
            "6.2",
            "codebooks are not too large",
        )
        must(t.group % 64 == 0, "6.2", "a group is a multiple of 64")
    else:
        must(t.entries == 0 and t.group == 0, "7.2", "entries and groups are zero without codebook")
