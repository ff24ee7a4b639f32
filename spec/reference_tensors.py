"""Sections 2, 3 and 4 of SPEC.md for the reference decoder: from a tensor's segment to its words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reference_codes import KNOWN_CODES, ROW_SYMBOLS, Code, bits_of, ceil_div, code_lengths, crc32c, decode_row, must

# -- 2. Elements and words


class Dtype(NamedTuple):
    """numpy's or ml_dtypes' name, bytes of a word, words of an element, whether words are rotated, and of types
    narrower than a byte how many bits may be set."""

    name: str
    word: int
    words: int = 1
    rotated: bool = False
    bits: int = 0


DTYPES = {
    "BOOL": Dtype("bool", 1), "U8": Dtype("uint8", 1), "I8": Dtype("int8", 1),
    "U4": Dtype("uint4", 1, bits=4), "I4": Dtype("int4", 1, bits=4),
    "U2": Dtype("uint2", 1, bits=2), "I2": Dtype("int2", 1, bits=2),
    "F8_E5M2": Dtype("float8_e5m2", 1), "F8_E4M3": Dtype("float8_e4m3fn", 1), "F8_E8M0": Dtype("float8_e8m0fnu", 1),
    "F8_E4M3FNUZ": Dtype("float8_e4m3fnuz", 1), "F8_E5M2FNUZ": Dtype("float8_e5m2fnuz", 1),
    "F8_E4M3_IEEE": Dtype("float8_e4m3", 1), "F8_E3M4": Dtype("float8_e3m4", 1),
    "F8_E4M3B11FNUZ": Dtype("float8_e4m3b11fnuz", 1), "F4": Dtype("float4_e2m1fn", 1, bits=4),
    "F6_E2M3": Dtype("float6_e2m3fn", 1, bits=6), "F6_E3M2": Dtype("float6_e3m2fn", 1, bits=6),
    "I16": Dtype("int16", 2), "U16": Dtype("uint16", 2),
    "F16": Dtype("float16", 2, rotated=True), "BF16": Dtype("bfloat16", 2, rotated=True),
    "I32": Dtype("int32", 4), "U32": Dtype("uint32", 4), "F32": Dtype("float32", 4, rotated=True),
    "C64": Dtype("complex64", 4, words=2, rotated=True), "I64": Dtype("int64", 8), "U64": Dtype("uint64", 8),
    "F64": Dtype("float64", 8, rotated=True), "C128": Dtype("complex128", 8, words=2, rotated=True),
}  # fmt: skip


class Content(NamedTuple):
    """A decoded tensor: its words as little-endian bytes."""

    code: str
    shape: list[int]
    words: bytes


def as_bytes(words: list[int], size: int) -> bytes:
    """Words of `size` bytes, one after another."""
    return b"".join(word.to_bytes(size, "little") for word in words)


def rotate_back(word: int, size: int) -> int:
    """A word of `size` bytes, rotated right by one bit."""
    return word >> 1 | (word & 1) << (8 * size - 1)


# -- 4. Chunks

ALL, BITMAP, WIDE = 0, 1, 16
RELATIVE = (4, 5, 8, WIDE)
BYTES, PLANES, CODEBOOK = 0, 1, 2


class Row(NamedTuple):
    """4: of one chunk, its counts and, per stream, which of the stream's codes and how many bytes."""

    nonzeros: int
    fillers: int
    crc: int
    streams: list[tuple[int, int]]


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
    def rotated(self) -> bool:
        """Whether stored words are: steps and exclusive ors (8.1) are not."""
        return DTYPES[self.code].rotated and self.transform not in (2, 3)

    @property
    def unknown(self) -> str:
        """What of it has no meaning here; nothing if all has."""
        used = [code for codes in self.codes for code in codes] + [code for code, _ in self.book]
        wrong = {
            "dtype": self.code not in DTYPES,
            "positions": self.positions not in (ALL, BITMAP, *RELATIVE),
            "values": self.values not in (CODEBOOK, PLANES, BYTES),
            "transform": self.transform > 4,
            "code": not all(isinstance(code, bytes) or code in KNOWN_CODES for code in used),
        }
        return ", ".join(what for what, is_wrong in wrong.items() if is_wrong)

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

    def weights(self, number: int) -> int:
        """4: weights of a chunk."""
        return min(self.chunks, self.words - number * self.chunks)

    def symbols(self, number: int) -> list[int]:
        """3: symbols of each stream of a chunk."""
        row, n = self.directory[number], self.weights(number)
        places = ceil_div(n, 8) if self.positions == BITMAP else row.nonzeros + row.fillers
        each = n * self.word_sizes if self.values == BYTES else n if self.positions == ALL else row.nonzeros
        return [places] * self.position_streams + [each] * self.planes


def chunk_bytes(t: Tensor, segment: bytes) -> Iterator[bytes]:
    """The stored bytes of each chunk, which match their CRC-32C (R-CHUNK-4)."""
    at = t.head
    must(
        not t.book or t.book_crc == crc32c(segment[:at]),
        "R-BOOK-4",
        f"codebooks of {t.name!r} have their CRC",
        "checksum",
    )
    for number, row in enumerate(t.directory):
        data = segment[at : at + sum(length for _, length in row.streams)]
        must(row.crc == crc32c(data), "R-CHUNK-4", f"chunk {number} of {t.name!r} matches its CRC-32C", "checksum")
        at += len(data)
        yield data


def stored_positions(t: Tensor, row: Row, n: int, streams: list[Sequence[int]]) -> list[int]:
    """3 and 3.1: the weights of a chunk that are stored."""
    if t.positions == BITMAP:
        bits = bits_of(bytes(streams[0]))
        must(not any(bits[n:]), "R-POS-3", "bits behind the chunk's last weight are zero")
        found = [i for i, bit in enumerate(bits) if bit]
    else:
        filler = 2**t.positions - 1
        found, at, fillers = [], 0, 0
        for s in [low | high << 8 for low, high in zip(*streams)] if t.positions == WIDE else streams[0]:
            must(s <= filler, "R-POS-4", f"relative indices have {t.positions} bits")
            at += s
            if s == filler:
                fillers += 1
            else:
                found.append(at)
                at += 1
            must(at <= n, "R-POS-5", "the indices do not leave the chunk")
        must(fillers == row.fillers, "R-POS-6", "there are as many fillers as the row says")
    must(len(found) == row.nonzeros, "R-POS-2", "there are as many stored weights as the row says")
    return found


def codebooks(t: Tensor, head: bytes) -> list[list[int]]:
    """3.2: the words of each codebook, rotated back."""
    must(t.book_crc == crc32c(head), "R-BOOK-4", f"the codebooks of {t.name!r} match their CRC-32C", "checksum")
    left, at, planes, total = iter(t.book), 0, [], t.books * t.entries
    for _ in range(t.word_sizes):
        plane: list[int] = []
        while len(plane) < total:
            code, length = next(left)
            plane += decode_row(code, min(ROW_SYMBOLS, total - len(plane)), head[at : at + length])
            at += length
        planes.append(plane)
    out = []
    for first in range(0, total, t.entries or 1):
        word, book = 0, []
        for e in range(first, first + t.entries):
            word += sum(plane[e] << 8 * j for j, plane in enumerate(planes))
            must(word < 1 << 8 * t.word_sizes, "R-BOOK-5", "a codebook ascends")
            book.append(rotate_back(word, t.word_sizes) if t.rotated else word)
        out.append(book)
    return out


def stored_words(t: Tensor, number: int, data: bytes, books: list[list[int]]) -> tuple[Sequence[int], list[int]]:
    """Of one chunk, from its stored bytes: which of its weights are stored, and their words."""
    row, n, size = t.directory[number], t.weights(number), t.word_sizes
    streams, at = [], 0
    for codes, (which, length), count in zip(t.codes, row.streams, t.symbols(number)):
        streams.append(decode_row(codes[which], count, data[at : at + length]))
        at += length
    places: Sequence[int] = range(n)
    if t.positions != ALL:
        places = stored_positions(t, row, n, streams[: t.position_streams])
        streams = streams[t.position_streams :]
    if t.values == BYTES:
        return places, [int.from_bytes(bytes(streams[0][i * size : (i + 1) * size]), "little") for i in places]
    found = [sum(plane[i] << 8 * j for j, plane in enumerate(streams)) for i in range(len(places))]
    if t.values == PLANES:
        return places, [rotate_back(word, size) if t.rotated else word for word in found]
    must(max(found, default=0) < max(t.entries, 1), "R-BOOK-6", "a cluster index is less than the entries")
    first = number * t.chunks
    return places, [books[(first + at) // t.groups if t.groups else 0][i] for at, i in zip(places, found)]


def decode_tensor(t: Tensor, segment: bytes) -> bytes:
    """The words of a tensor without a transform: zero where nothing is stored."""
    books = codebooks(t, segment[: t.head]) if t.book else []
    words = [0] * t.words
    for number, data in enumerate(chunk_bytes(t, segment)):
        for place, word in zip(*stored_words(t, number, data, books)):
            words[number * t.chunks + place] = word
    return as_bytes(words, t.word_sizes)


def check_tensor(t: Tensor) -> None:
    """3, 4 and 7.2: what goes together, where everything is known."""
    must(1 <= t.word_sizes <= 255, "R-INDEX-4", "a word has 1 to 255 bytes")
    dtype, elements, bound = DTYPES.get(t.code), 1, 1
    for n in t.shape:
        elements, bound = elements * n, bound * max(n, 1)
    if dtype:
        must(t.word_sizes == dtype.word, "R-INDEX-9", "the word size is that of the dtype")
        must(bound * dtype.words <= 1 << 48, "9", "a tensor has at most 2^48 words", "limit")
        must(t.words == elements * dtype.words, "R-INDEX-9", "the words are those of the shape")
    if t.unknown:
        return
    if not t.own:
        layout = (t.positions, t.values, t.chunks, t.entries, t.groups, t.streams, t.rows, t.book_rows, t.segments)
        must(not any(layout), "R-INDEX-10", "a tensor without chunks of its own has no layout")
        must(t.same_as or t.nonzeros == 0, "R-INDEX-10", "a tensor that is empty or a copy stores no nonzeros")
        return
    must(t.chunks % 512 == 0 and 512 <= t.chunks <= 1_048_576, "R-CHUNK-1", "chunks are multiples of 512")
    must(t.values != BYTES or t.positions == ALL, "R-POS-1", "bytes go with positions `all`")
    must(t.streams == t.planes + t.position_streams, "R-INDEX-11", "the streams are those of positions and values")
    must(t.rows == ceil_div(t.words, t.chunks), "R-INDEX-11", "the rows are those of the chunks")
    for number, row in enumerate(t.directory):
        n = t.weights(number)
        must(row.nonzeros <= (n if t.positions != ALL else 0), "R-CHUNK-2", "a chunk has no more nonzeros than weights")
        must(row.fillers <= (n if t.positions in RELATIVE else 0), "R-CHUNK-3", "only relative indices have fillers")
    if t.positions == ALL:
        must(t.nonzeros <= t.words, "R-INDEX-12", "there are no more nonzeros than words")
    else:
        must(t.nonzeros == sum(row.nonzeros for row in t.directory), "R-INDEX-12", "the nonzeros are those of the rows")
    if t.values == BYTES:
        must(all(code in ("raw", "zstd") for each in t.codes for code in each), "R-POS-1", "bytes are raw or zstd")
    if t.values != CODEBOOK:
        must(
            t.entries == 0 and t.groups == 0 and t.book_rows == 0, "R-BOOK-1", "only codebooks have entries and groups"
        )
        return
    must(t.word_sizes > 1, "R-BOOK-1", "words of one byte have no codebook")
    must(t.entries <= (256 if t.word_sizes == 2 else 65_536), "R-BOOK-1", "a codebook has not too many entries")
    must(t.groups % 64 == 0, "R-BOOK-1", "groups are multiples of 64")
    must(t.books * t.entries <= t.words, "R-BOOK-2", "codebooks have no more entries than the tensor has words")
    pieces = ceil_div(t.books * t.entries, ROW_SYMBOLS)
    must(t.book_rows == t.word_sizes * pieces, "R-INDEX-11", "the book_rows are those of planes cut into rows")
    must(all(code != "zstd" for code, _ in t.book), "R-BOOK-3", "codebooks are not coded by zstd")
    for lengths in [code_lengths(code) for code in t.codes[-1] if isinstance(code, bytes) and t.planes == 1]:
        highest = max(symbol for symbol, length in enumerate(lengths) if length)
        must(highest < t.entries, "R-BOOK-7", "no code names a cluster beyond the entries")
