"""SPEC 2, 3 and 4: dtypes, and the words of a tensor's chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from reference_codes import LONGEST_ROW, crc32c, decode_row, must

ALL, BITMAP, RELATIVE, BYTES, PLANES, CODEBOOK = 0, 1, (4, 5, 8, 16), 0, 1, 2


@dataclass
class Dtype:
    """`bits` of an element if it is narrower than a byte, else 0; `signed` says that words are sign and magnitude."""

    name: str
    word: int
    words: int = 1
    rotated: bool = False
    bits: int = 0
    signed: bool = False


DTYPES = {
    "BOOL": Dtype("bool", 1), "U8": Dtype("uint8", 1), "I8": Dtype("int8", 1), "U4": Dtype("uint4", 1, bits=4),
    "I4": Dtype("int4", 1, bits=4), "U2": Dtype("uint2", 1, bits=2), "I2": Dtype("int2", 1, bits=2),
    "F8_E5M2": Dtype("float8_e5m2", 1, signed=True), "F8_E4M3": Dtype("float8_e4m3fn", 1, signed=True),
    "F8_E8M0": Dtype("float8_e8m0fnu", 1), "F8_E4M3FNUZ": Dtype("float8_e4m3fnuz", 1, signed=True),
    "F8_E5M2FNUZ": Dtype("float8_e5m2fnuz", 1, signed=True), "F8_E4M3_IEEE": Dtype("float8_e4m3", 1, signed=True),
    "F8_E3M4": Dtype("float8_e3m4", 1, signed=True), "F8_E4M3B11FNUZ": Dtype("float8_e4m3b11fnuz", 1, signed=True),
    "F4": Dtype("float4_e2m1fn", 1, bits=4), "F6_E2M3": Dtype("float6_e2m3fn", 1, bits=6),
    "F6_E3M2": Dtype("float6_e3m2fn", 1, bits=6), "I16": Dtype("int16", 2), "U16": Dtype("uint16", 2),
    "F16": Dtype("float16", 2, 1, True, 0, True), "BF16": Dtype("bfloat16", 2, 1, True, 0, True),
    "I32": Dtype("int32", 4), "U32": Dtype("uint32", 4), "F32": Dtype("float32", 4, 1, True, 0, True),
    "C64": Dtype("complex64", 4, 2, True, 0, True), "I64": Dtype("int64", 8), "U64": Dtype("uint64", 8),
    "F64": Dtype("float64", 8, 1, True, 0, True), "C128": Dtype("complex128", 8, 2, True, 0, True),
}  # fmt: skip


@dataclass
class Content:
    """A decoded tensor: the bytes of its words."""

    dtype: str
    shape: list[int]
    data: bytes


def as_bytes(words: list[int], size: int) -> bytes:
    """Words as little-endian bytes."""
    return np.array(words, f"<u{size}").tobytes()


def streams_of(positions: int, values: int, size: int, entries: int) -> int:
    """How many streams positions and values have (SPEC 3)."""
    of_positions = 0 if positions == ALL else 2 if positions == 16 else 1
    return of_positions + {BYTES: 1, PLANES: size, CODEBOOK: 1 if entries <= 256 else 2}[values]


def codebooks_of(t: SimpleNamespace) -> int:
    """How many codebooks a tensor has (3.2)."""
    return 0 if t.values != CODEBOOK else -(-t.words // t.groups) if t.groups else 1


def chunks_of(t: SimpleNamespace, segment: bytes, rotated: bool) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """First weight and number of weights of each chunk, the places in it that have stored words, and these words."""
    at = sum(length for _, length in t.book)
    books = _codebooks(t, segment[:at]) if t.values == CODEBOOK else np.zeros((0, 0))
    for number, (nonzeros, fillers, crc, pairs) in enumerate(t.directory):
        first, what = number * t.chunks, f"{t.name!r}: chunk {number}"
        n, stored = min(t.chunks, t.words - first), segment[at : at + sum(length for _, length in pairs)]
        at += len(stored)
        must(crc32c(stored) == crc, "R-CHUNK-4", f"{what}: not the stored bytes of its CRC-32C", "checksum")
        rows, begin = [], 0
        for stream, size, (use, length) in zip(t.codes, _symbols(t, n, nonzeros, fillers), pairs):
            rows.append(decode_row(stream[use], stored[begin : begin + length], size, what))
            begin += length
        places = _places(t.positions, rows, n, nonzeros, fillers, what)
        cut = 0 if t.positions == ALL else 2 if t.positions == 16 else 1
        words = _words(t, rows[cut:], first + places, books, what)
        is_rotated = rotated and t.values != BYTES
        yield first, n, places, words >> 1 | words << 8 * t.word_sizes - 1 if is_rotated else words


def _symbols(t: SimpleNamespace, n: int, nonzeros: int, fillers: int) -> list[int]:
    """How many symbols the row of each stream has (the table of SPEC 3)."""
    count = nonzeros + fillers
    positions = {ALL: [], BITMAP: [-(-n // 8)], 16: [count, count]}.get(t.positions, [count])
    each = n * t.word_sizes if t.values == BYTES else n if t.positions == ALL else nonzeros
    return positions + [each] * (len(t.codes) - len(positions))


def _places(positions: int, rows: list[np.ndarray], n: int, nonzeros: int, fillers: int, what: str) -> np.ndarray:
    """The weights of a chunk that have a stored word (3, 3.1)."""
    if positions == ALL:
        return np.arange(n)
    if positions == BITMAP:
        bits = np.unpackbits(rows[0], bitorder="little")
        must(not bits[n:].any(), "R-POS-3", f"{what}: bits of the bitmap behind the last weight")
        places = np.flatnonzero(bits)
    else:
        symbols = rows[0].astype(np.int64) + (rows[1].astype(np.int64) << 8 if positions == 16 else 0)
        filler = (1 << positions) - 1
        must((symbols <= filler).all(), "R-POS-4", f"{what}: a relative index of more than {positions} bits")
        must((symbols == filler).sum() == fillers, "R-POS-6", f"{what}: not as many fillers as the directory says")
        ends = np.cumsum(symbols + (symbols != filler))
        must(not len(ends) or ends[-1] <= n, "R-POS-5", f"{what}: relative indices leave the chunk")
        places = (ends - 1)[symbols != filler]
    must(len(places) == nonzeros, "R-POS-2", f"{what}: not as many positions as the directory says")
    return places


def _words(t: SimpleNamespace, rows: list[np.ndarray], weights: np.ndarray, books: np.ndarray, what: str) -> np.ndarray:
    """The stored words of a chunk, rotated where it is (3)."""
    kind = np.dtype(f"<u{t.word_sizes}")
    if t.values == BYTES:
        return np.frombuffer(rows[0].tobytes(), kind)
    joined = sum(row.astype(kind if t.values == PLANES else np.int64) << 8 * j for j, row in enumerate(rows))
    if t.values == PLANES:
        return joined
    must((joined < t.entries).all(), "R-BOOK-6", f"{what}: a cluster index is not below {t.entries}")
    return books[weights // t.groups if t.groups else 0, joined]


def _codebooks(t: SimpleNamespace, stored: bytes) -> np.ndarray:
    """The codebooks of a tensor, a row each (3.2)."""
    what, kind = f"{t.name!r}: codebook", np.dtype(f"<u{t.word_sizes}")
    must(not t.book or crc32c(stored) == t.book_crc, "R-BOOK-4", f"{what}: not the bytes of its CRC-32C", "checksum")
    size = codebooks_of(t) * t.entries
    cuts = [min(LONGEST_ROW, size - first) for first in range(0, size, LONGEST_ROW)] * t.word_sizes
    rows, at = [np.zeros(0, np.uint8)], 0
    for n, (code, length) in zip(cuts, t.book):
        rows.append(decode_row(code, stored[at : at + length], n, what))
        at += length
    planes = np.concatenate(rows).reshape(t.word_sizes, codebooks_of(t), t.entries).astype(kind)
    books = np.cumsum(sum(plane << 8 * j for j, plane in enumerate(planes)), axis=1, dtype=kind)
    must((books[:, 1:] >= books[:, :-1]).all(), "R-BOOK-5", f"{what}: the words do not ascend")
    return books
