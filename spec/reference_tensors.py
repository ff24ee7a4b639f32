"""Sections 3, 4 and 6 of SPEC.md for the reference decoder: from a tensor's segment to its words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from reference_codes import KNOWN_CODES, Code, bits_of, ceil_div, code_lengths, crc32c, decode_row, must

# -- 2. Elements and words


@dataclass(frozen=True)
class Dtype:
    """numpy's or ml_dtypes' name, bytes of a word, words of an element, whether words are rotated, and of types
    narrower than a byte how many bits may be set."""

    name: str
    word: int
    words: int = 1
    rotated: bool = False
    bits: int = 0


DTYPES = {
    "BOOL": Dtype("bool", 1),
    "U8": Dtype("uint8", 1),
    "I8": Dtype("int8", 1),
    "U4": Dtype("uint4", 1, bits=4),
    "I4": Dtype("int4", 1, bits=4),
    "U2": Dtype("uint2", 1, bits=2),
    "I2": Dtype("int2", 1, bits=2),
    "F8_E5M2": Dtype("float8_e5m2", 1),
    "F8_E4M3": Dtype("float8_e4m3fn", 1),
    "F8_E8M0": Dtype("float8_e8m0fnu", 1),
    "F8_E4M3FNUZ": Dtype("float8_e4m3fnuz", 1),
    "F8_E5M2FNUZ": Dtype("float8_e5m2fnuz", 1),
    "F8_E4M3_IEEE": Dtype("float8_e4m3", 1),
    "F8_E3M4": Dtype("float8_e3m4", 1),
    "F8_E4M3B11FNUZ": Dtype("float8_e4m3b11fnuz", 1),
    "F4": Dtype("float4_e2m1fn", 1, bits=4),
    "F6_E2M3": Dtype("float6_e2m3fn", 1, bits=6),
    "F6_E3M2": Dtype("float6_e3m2fn", 1, bits=6),
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
    "C128": Dtype("complex128", 8, words=2, rotated=True),
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

ALL, BITMAP, WIDE = 0, 1, 16
RELATIVE = (4, 5, 8, WIDE)
BYTES, PLANES, CODEBOOK = 0, 1, 2
ROW_SYMBOLS = 262_080


@dataclass
class Row:
    """4: of one chunk, its counts and, per stream, which of the stream's codes and how many bytes."""

    nonzeros: int
    fillers: int
    crc: int
    streams: list[tuple[int, int]]


def symbol_counts(positions: int, values: int, planes: int, word: int, n: int, row: Row) -> list[int]:
    """3: symbols of each stream of a chunk of n weights."""
    counts = []
    if positions == BITMAP:
        counts.append(ceil_div(n, 8))
    elif positions in RELATIVE:
        counts += [row.nonzeros + row.fillers] * (2 if positions == WIDE else 1)
    if values == BYTES:
        return [*counts, n * word]
    return counts + [n if positions == ALL else row.nonzeros] * planes


# -- 3. Tensors


@dataclass
class Tensor:
    """What the index says of a tensor; the names are those of its columns."""

    name: str
    code: str
    shape: list[int]
    words: int
    word_sizes: int
    nonzeros: int
    content_crcs: int
    same_as: int
    positions: int
    values: int
    chunks: int
    entries: int
    groups: int
    streams: int
    rows: int
    book_rows: int
    segments: int
    transform: int = 0
    base_name: str = ""
    base_crcs: list[int] = field(default_factory=list)
    result_crcs: list[int] = field(default_factory=list)
    book_crc: int = 0
    book: list[tuple[Code, int]] = field(default_factory=list)
    codes: list[list[Code]] = field(default_factory=list)
    directory: list[Row] = field(default_factory=list)
    start: int = 0

    @property
    def dtype(self) -> Dtype:
        """Of a dtype that is known."""
        return DTYPES[self.code]

    @property
    def rotated(self) -> bool:
        """Whether stored words are: steps and exclusive ors (8.1) are not."""
        return self.dtype.rotated and self.transform not in (2, 3)

    @property
    def known(self) -> bool:
        """Whether every number and name has a meaning here."""
        used = [code for codes in self.codes for code in codes] + [code for code, _ in self.book]
        return (
            self.code in DTYPES
            and self.positions in (ALL, BITMAP, *RELATIVE)
            and self.values in (CODEBOOK, PLANES, BYTES)
            and self.transform <= 4
            and all(isinstance(code, bytes) or code in KNOWN_CODES for code in used)
        )

    @property
    def own(self) -> bool:
        """Whether it has chunks: it has words, and they are not another's or the base's."""
        return self.words > 0 and self.same_as == 0 and self.transform != 1

    @property
    def books(self) -> int:
        """Codebooks."""
        return ceil_div(self.words, self.groups) if self.groups else 1

    @property
    def planes(self) -> int:
        """Streams of values."""
        if self.values == CODEBOOK:
            return 1 if self.entries <= 256 else 2
        return self.word_sizes if self.values == PLANES else 1

    @property
    def position_streams(self) -> int:
        """Streams of positions."""
        return 2 if self.positions == WIDE else int(self.positions != ALL)

    @property
    def head(self) -> int:
        """Bytes of its codebooks."""
        return sum(length for _, length in self.book)

    @property
    def size(self) -> int:
        """Bytes of its segment."""
        return self.head + sum(length for row in self.directory for _, length in row.streams)

    @property
    def aligned(self) -> bool:
        """6.1: perhaps the words as they are."""
        return self.size >= 4096 and self.size == self.words * self.word_sizes


def stored_positions(t: Tensor, row: Row, n: int, streams: list[bytes]) -> list[int]:
    """3 and 3.1: the weights of a chunk that are stored."""
    if t.positions == BITMAP:
        bits = bits_of(streams[0])
        must(not any(bits[n:]), "3", "bits behind the chunk's last weight are zero")
        found = [i for i, bit in enumerate(bits) if bit]
    else:
        filler = 2**t.positions - 1
        found, at, fillers = [], 0, 0
        symbols = [low | high << 8 for low, high in zip(*streams)] if t.positions == WIDE else streams[0]
        for s in symbols:
            must(s <= filler, "3.1", f"relative indices have {t.positions} bits")
            at += s
            if s == filler:
                fillers += 1
            else:
                found.append(at)
                at += 1
            must(at <= n, "3.1", "the indices do not leave the chunk")
        must(fillers == row.fillers, "4", "there are as many fillers as the row says")
    must(len(found) == row.nonzeros, "3", "there are as many stored weights as the row says")
    return found


def check_stored(t: Tensor, segment: bytes) -> None:
    """3.2 and 4: the stored bytes of a tensor, which may be one that is unknown here."""
    at = t.head
    must(not t.book or t.book_crc == crc32c(segment[:at]), "3.2", f"the codebooks of {t.name!r} match their CRC-32C")
    for number, row in enumerate(t.directory):
        size = sum(length for _, length in row.streams)
        must(row.crc == crc32c(segment[at : at + size]), "4", f"chunk {number} of {t.name!r} matches its CRC-32C")
        at += size


def codebooks(t: Tensor, head: bytes) -> list[list[int]]:
    """3.2: the words of each codebook, rotated back."""
    books = t.books
    left, at = list(t.book), 0
    rows = []
    for _ in range(t.dtype.word):
        plane = b""
        while len(plane) < books * t.entries:
            code, length = left.pop(0)
            must(code != "zstd", "3.2", "codebooks are not coded by zstd")
            plane += decode_row(code, min(ROW_SYMBOLS, books * t.entries - len(plane)), head[at : at + length])
            at += length
        rows.append(plane)
    out = []
    for b in range(books):
        word, book = 0, []
        for e in range(b * t.entries, (b + 1) * t.entries):
            word += sum(row[e] << 8 * j for j, row in enumerate(rows))
            must(word < 1 << 8 * t.dtype.word, "3.2", "a codebook ascends")
            book.append(rotate_back(word, t.dtype.word) if t.rotated else word)
        out.append(book)
    return out


def stored_words(t: Tensor, number: int, data: bytes, books: list[list[int]]) -> tuple[list[int] | range, list[int]]:
    """Of one chunk, from its stored bytes: which of its weights are stored, and their words."""
    row, first = t.directory[number], number * t.chunks
    n = min(t.chunks, t.words - first)
    streams, at = [], 0
    counts = symbol_counts(t.positions, t.values, t.planes, t.dtype.word, n, row)
    for codes, (which, length), count in zip(t.codes, row.streams, counts):
        must(which < len(codes), "4", "a row names one of its stream's codes")
        streams.append(decode_row(codes[which], count, data[at : at + length]))
        at += length
    if t.positions == ALL:
        must(row.nonzeros == 0 and row.fillers == 0, "4", "counts are zero where positions are `all`")
        stored: list[int] | range = range(n)
    else:
        must(t.positions in RELATIVE or row.fillers == 0, "4", "only relative indices have fillers")
        stored = stored_positions(t, row, n, streams[: t.position_streams])
        streams = streams[t.position_streams :]
    words = []
    for i, at in enumerate(stored):
        if t.values == BYTES:
            words.append(int.from_bytes(streams[0][i * t.dtype.word : (i + 1) * t.dtype.word], "little"))
            continue
        value = sum(plane[i] << 8 * j for j, plane in enumerate(streams))
        if t.values == CODEBOOK:
            must(value < t.entries, "3.2", "a cluster index is less than the entries")
            words.append(books[(first + at) // t.groups if t.groups else 0][value])
        else:
            words.append(rotate_back(value, t.dtype.word) if t.rotated else value)
    return stored, words


def decode_chunk(t: Tensor, number: int, data: bytes, books: list[list[int]]) -> list[int]:
    """The words of one chunk of a tensor without a transform: zero where nothing is stored."""
    words = [0] * min(t.chunks, t.words - number * t.chunks)
    for place, word in zip(*stored_words(t, number, data, books)):
        words[place] = word
    return words


def decode_tensor(t: Tensor, source: Tensor, segment: bytes) -> np.ndarray:
    """A tensor from the segment of `source`, which is itself or the one it is the same as."""
    books = codebooks(source, segment[: source.head]) if source.values == CODEBOOK and source.own else []
    words, at = [], source.head
    for number, row in enumerate(source.directory):
        size = sum(length for _, length in row.streams)
        words += decode_chunk(source, number, segment[at : at + size], books)
        at += size
    if source.positions == ALL:
        counted = sum(word != 0 for word in words)
    else:
        counted = sum(row.nonzeros for row in source.directory)
    must(t.nonzeros == counted, "7.2", f"{t.name!r} has as many nonzeros as the index says")
    return finished(t, words)


def finished(t: Tensor, words: list[int]) -> np.ndarray:
    """The array of a tensor's words."""
    raw = b"".join(word.to_bytes(t.word_sizes, "little") for word in words)
    must(crc32c(raw) == t.content_crcs, "7.2", f"{t.name!r} decodes to what its CRC-32C says")
    must(not t.dtype.bits or not any(byte >> t.dtype.bits for byte in raw), "2", "the bits above an element are zero")
    return np.frombuffer(bytearray(raw), numpy_dtype(t.dtype.name)).reshape(t.shape)


def check_tensor(t: Tensor) -> None:
    """3, 4 and 7.2: what goes together, where everything is known."""
    if not t.known:
        return
    elements = 1
    for n in t.shape:
        elements *= n
    must(t.word_sizes == t.dtype.word, "7.2", "the word size is that of the dtype")
    must(t.words == elements * t.dtype.words, "7.2", "the words are those of the shape")
    layout = (t.positions, t.values, t.chunks, t.entries, t.groups, t.streams, t.rows, t.book_rows, t.segments)
    if not t.own:
        must(not any(layout), "7.2", "a tensor without chunks of its own has no layout")
        return
    must(t.chunks % 512 == 0 and 512 <= t.chunks <= 1_048_576, "4", "chunks are multiples of 512")
    must(t.values != BYTES or t.positions == ALL, "3", "bytes go with positions `all`")
    must(t.streams == t.planes + t.position_streams, "7.2", "the streams are those of positions and values")
    must(t.rows == ceil_div(t.words, t.chunks), "7.2", "the rows are those of the chunks")
    if t.values == BYTES:
        must(all(code in ("raw", "zstd") for each in t.codes for code in each), "3", "bytes are raw or zstd")
    if t.values == CODEBOOK:
        most = 256 if t.dtype.word == 2 else 65_536
        must(t.dtype.word > 1 and t.entries <= most, "3.2", "codebooks are not too large")
        must(t.groups % 64 == 0, "3.2", "a group is a multiple of 64")
        if t.planes == 1:
            above = (code for code in t.codes[-1] if isinstance(code, bytes) and any(code_lengths(code)[t.entries :]))
            must(not any(above), "3.2", "no code names a cluster beyond the codebook")
        must(t.books * t.entries <= t.words, "3.2", "codebooks have no more entries than the tensor has words")
        must(
            t.book_rows == t.dtype.word * ceil_div(t.books * t.entries, ROW_SYMBOLS), "6.2", "planes are cut into rows"
        )
    else:
        must(t.entries == 0 and t.groups == 0 and t.book_rows == 0, "7.2", "only codebooks have entries and groups")
