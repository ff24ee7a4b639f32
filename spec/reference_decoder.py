"""A decoder of dcz files to learn from: written from SPEC.md alone, in its order, as plainly as possible.

It is slow (about a second for a million symbols), keeps no limits (SPEC 8) and shares no code with the library:
two readers that agree say more about SPEC.md than one. Needs numpy, msgpack, zstandard and, for the dtypes that
numpy lacks, ml_dtypes.

    python spec/reference_decoder.py model.dcz
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import msgpack
import numpy as np
import zstandard


class Refused(ValueError):
    """The bytes are no dcz file, or one of a version or with features unknown here."""


def must(condition: object, section: str, rule: str) -> None:
    """A "must" of SPEC."""
    if not condition:
        raise Refused(f"SPEC {section}: {rule}")


# -- 1. Terms and conventions


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # 0x1EDC6F41, reflected
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC of RFC 3720."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def ceil_div(a: int, b: int) -> int:
    """A division rounded up."""
    return -(-a // b)


def bits_of(data: bytes) -> list[int]:
    """Bit i is bit i mod 8 of byte i / 8."""
    return [byte >> i & 1 for byte in data for i in range(8)]


# -- 2. The file

VERSION = 0


def prelude(data: bytes) -> tuple[int, int]:
    """2.1: the feature words."""
    must(len(data) >= 64 and data[:8] == b"\x89DCZ\r\n\x1a\n", "2.1", "the file begins with the magic")
    version, zero, must_understand, may_ignore = struct.unpack_from("<IIQQ", data, 8)
    (crc,) = struct.unpack_from("<I", data, 60)
    must(crc == crc32c(data[:60]), "2.1", "the prelude matches its CRC-32C")
    must(version == VERSION, "2.1", f"the version is {VERSION}")
    must(zero == 0 and not any(data[32:60]), "2.1", "reserved bytes are zero")
    must(must_understand == 0, "2.1", "no feature is assigned that a reader must understand")
    return must_understand, may_ignore


def trailer(data: bytes) -> tuple[int, int, int]:
    """2.4: where the index begins, its length decompressed, its CRC-32C."""
    last = data[-32:]
    must(len(data) >= 96 and last[28:] == b"ZCD\x89", "2.4", "the file ends with the magic")
    length, stored, plain, crc, version, zero, own = struct.unpack("<QIIIHHI", last[:28])
    must(own == crc32c(last[:24]), "2.4", "the trailer matches its CRC-32C")
    must(version == VERSION and zero == 0, "2.4", f"the version is {VERSION}, reserved bytes are zero")
    must(length == len(data), "2.4", "the length is that of the file")
    must(len(data) - 32 - stored >= 64, "2.4", "the index fits the file")
    return len(data) - 32 - stored, plain, crc


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


# -- 5. Streams

Code = str | bytes


def check_code(code: Code) -> None:
    """5.1 and 5.3."""
    if isinstance(code, str):
        must(code in ("raw", "zstd", *(f"packed{b}" for b in range(1, 8))), "5.1", f"code {code!r:.40} is unknown")
        return
    must(isinstance(code, bytes), "5.1", "a code is a string or bytes")
    lengths = code_lengths(code)
    used = [length for length in lengths if length]
    must(code and code[-1] != 0 and len(code) <= 128, "5.3", "the last byte of code lengths is not zero")
    must(max(used) <= 12, "5.3", "lengths are at most 12")
    if len(used) == 1:
        must(used == [1], "5.3", "the code of a single symbol has length 1")
    else:
        must(sum(4096 >> length for length in used) == 4096, "5.3", "the sum of 2^-length is 1")


def decode_row(code: Code, n: int, data: bytes) -> bytes:
    """n symbols from the stored bytes of one row."""
    if code == "zstd":
        must(zstandard.frame_content_size(data) == n, "5.1", "the frame states its content size, that of the symbols")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=n)
    if n == 0:
        must(not data, "5.1", "a chunk without symbols takes no bytes")
        return b""
    if code == "raw":
        must(len(data) == n, "5.1", "raw symbols take a byte each")
        return data
    if isinstance(code, str):
        return unpack(int(code.removeprefix("packed")), n, data)
    return huffman_row(code, n, data)


def unpack(b: int, n: int, data: bytes) -> bytes:
    """5.2"""
    must(len(data) == ceil_div(n * b, 8), "5.2", "the stored length is that of n symbols of b bits")
    bits = bits_of(data)
    must(not any(bits[n * b :]), "5.2", "bits behind the last symbol are zero")
    return bytes(sum(bits[i * b + j] << j for j in range(b)) for i in range(n))


def code_lengths(code: bytes) -> list[int]:
    """5.3: two a byte, the lower symbol in the low four bits."""
    return [length for byte in code for length in (byte & 15, byte >> 4)]


def canonical(lengths: list[int]) -> dict[tuple[int, int], int]:
    """5.3: symbols by (length, code)."""
    symbols = {}
    number, before = 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        if symbols:
            number = number + 1 << length - before
        symbols[length, number] = symbol
        before = length
    return symbols


def huffman_row(code: bytes, n: int, data: bytes) -> bytes:
    """5.4"""
    symbols = canonical(code_lengths(code))
    if len(symbols) == 1:
        must(not data, "5.3", "rows of a single symbol take no bytes")
        return bytes(symbols.values()) * n
    if n < 2048:
        return huffman_lane(symbols, n, data)
    must(len(data) >= 10, "5.4", "the row begins with the lengths of five lanes")
    lengths = list(struct.unpack_from("<5H", data))
    must(10 + sum(lengths) <= len(data), "5.4", "the lanes fit the row")
    lengths.append(len(data) - 10 - sum(lengths))
    share = ceil_div(n, 6)
    out, at = b"", 10
    for i, length in enumerate(lengths):
        out += huffman_lane(symbols, min(n, (i + 1) * share) - i * share, data[at : at + length])
        at += length
    return out


def huffman_lane(symbols: dict[tuple[int, int], int], n: int, data: bytes) -> bytes:
    """5.4: the last symbol first, each code from its highest bit to its lowest."""
    bits = bits_of(data)
    out, at = bytearray(), 0
    while len(out) < n:
        length = number = 0
        while (length, number) not in symbols:
            must(at < len(bits), "5.4", "a lane has all of its symbols")
            number = number << 1 | bits[at]
            length, at = length + 1, at + 1
        out.append(symbols[length, number])
    must(ceil_div(at, 8) == len(data), "5.4", "a lane ends in its last byte")
    must(not any(bits[at:]), "5.4", "bits behind the last code are zero")
    return bytes(reversed(out))


# -- 6. Tensors

ALL, BITMAP, RELATIVE = 0, 1, (4, 5, 8)
CODEBOOK, PLANES, BYTES = 0, 1, 2


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
    book: tuple[int, list[tuple[Code, int]]] | None = None
    codes: list[list[Code]] | None = None
    rows: list[Row] | None = None

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
        return self.values == BYTES and all(code == "raw" for codes in self.codes for code in codes) and self.size >= 4096


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


# -- 7. Index

KEYS = (
    "must_understand", "may_ignore", "names", "dtypes", "shapes", "nonzeros", "positions", "values", "chunks", "entries",
    "groups", "codes", "counts", "numbers", "books", "directory", "aliases", "metadata",
)  # fmt: skip


def decode_index(stored: bytes, size: int) -> dict:
    """7.1: the map of columns."""
    must(zstandard.frame_content_size(stored) == size, "7.1", "the frame states its content size, that of the trailer")
    raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size)
    columns = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    must(msgpack.packb(columns, use_bin_type=True) == raw, "7.1", "the msgpack is canonical")
    must(isinstance(columns, dict) and tuple(columns) == KEYS, "7.2", "the map has these keys in this order")
    must(list(columns["aliases"]) == sorted(columns["aliases"]), "7.1", "aliases are in ascending order")
    return columns


class Column:
    """A flat list of integers, from which tensor after tensor takes its part."""

    def __init__(self, name: str, values: list[int]) -> None:
        self._name, self._values, self._at = name, values, 0

    def take(self, n: int) -> list[int]:
        """The next n."""
        self._at += n
        must(self._at <= len(self._values), "7.2", f"`{self._name}` is long enough")
        return self._values[self._at - n : self._at]

    def end(self) -> None:
        """Nothing may be left."""
        must(self._at == len(self._values), "7.2", f"nothing is left of `{self._name}`")


def tensors(columns: dict) -> Iterator[Tensor]:
    """7.2: what the columns say of each tensor."""
    names, codes = columns["names"], columns["codes"]
    must(len(set(names)) == len(names) and len(set(codes)) == len(codes), "7.2", "names and codes are there once")
    for code in codes:
        check_code(code)
    counts, numbers, books, directory = (Column(key, columns[key]) for key in ("counts", "numbers", "books", "directory"))
    keys = ("names", "dtypes", "shapes", "nonzeros", "positions", "values", "chunks", "entries", "groups")
    must(all(len(columns[key]) == len(names) for key in keys), "7.2", "a column per tensor has an entry for each")
    for name, dtype, shape, nonzeros, positions, values, chunk, entries, group in zip(*(columns[key] for key in keys)):
        must(dtype in DTYPES, "3", f"dtype {dtype!r} is unknown")
        t = Tensor(name, DTYPES[dtype], shape, nonzeros, positions, values, chunk, entries, group)
        check_tensor(t)
        if values == CODEBOOK:
            crc, *pairs = books.take(1 + 2 * t.dtype.word)
            t.book = crc, [(codes[number], length) for number, length in zip(pairs[::2], pairs[1::2])]
        t.codes = [[codes[number] for number in numbers.take(n)] for n in counts.take(t.streams)]
        must(all(1 <= len(each) <= 16 for each in t.codes), "5.1", "a stream names 1 to 16 codes")
        if values == BYTES:
            must(all(code in ("raw", "zstd") for each in t.codes for code in each), "6", "bytes are raw or zstd")
        t.rows = []
        for _ in range(ceil_div(t.words, chunk)):
            nonzeros, fillers, crc, *pairs = directory.take(3 + 2 * t.streams)
            t.rows.append(Row(nonzeros, fillers, crc, list(zip(pairs[::2], pairs[1::2]))))
        yield t
    for column in (counts, numbers, books, directory):
        column.end()


def check_tensor(t: Tensor) -> None:
    """4.1 and 6: what goes together."""
    must(t.chunk % 512 == 0 and 512 <= t.chunk <= 1_048_576, "4.1", "chunks are multiples of 512")
    must(t.positions in (ALL, BITMAP, *RELATIVE), "6", "positions are 0, 1, 4, 5 or 8")
    must(t.values in (CODEBOOK, PLANES, BYTES), "6", "values are 0, 1 or 2")
    must(t.values != BYTES or t.positions == ALL, "6", "bytes go with positions `all`")
    if t.values == CODEBOOK:
        must(t.dtype.word > 1 and t.entries <= (256 if t.dtype.word == 2 else 65_536), "6.2", "codebooks are not too large")
        must(t.group % 64 == 0, "6.2", "a group is a multiple of 64")
    else:
        must(t.entries == 0 and t.group == 0, "7.2", "entries and groups are zero without codebook")


# -- 9. The whole


def load(data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """All tensors by name, and the metadata."""
    features = prelude(data)
    begin, plain, crc = trailer(data)
    stored = data[begin:-32]
    must(crc == crc32c(stored), "2.4", "the index matches its CRC-32C")
    columns = decode_index(stored, plain)
    must((columns["must_understand"], columns["may_ignore"]) == features, "7.2", "feature words are those of the prelude")
    out: dict[str, np.ndarray] = {}
    at = 64
    for t in tensors(columns):
        start = ceil_div(at, 64) * 64 if t.mappable else at
        must(not any(data[at:start]), "2.2", "the bytes skipped are zero")
        at = start + t.size
        must(at <= begin, "2.2", "segments fit the file")
        out[t.name] = decode_tensor(t, data[start:at])
    must(at == begin, "2.2", "the index begins where the last segment ends")
    for name, target in columns["aliases"].items():
        must(name not in columns["names"], "7.2", "an alias is no tensor's name")
        must(target in columns["names"], "7.2", "an alias names a tensor")
        out[name] = out[target]
    return out, columns["metadata"]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        found, metadata = load(file.read())
    for name, array in found.items():
        print(f"{name}: {array.dtype} {array.shape}, {np.count_nonzero(array)} nonzeros")
    print(metadata)
