"""Sections 1 and 5 of SPEC.md for the reference decoder: checksums, bits, and rows of symbols."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Union

import zstandard


class Refused(ValueError):
    """A rule of SPEC that a file breaks. `kind` is the class of the conformance protocol: format, checksum, truncated,
    unsupported, limit, or base."""

    def __init__(self, kind: str, section: str, rule: str) -> None:
        super().__init__(f"{section}: {rule}")
        self.section = section
        self.kind = kind


def must(condition: object, section: str, rule: str, kind: str = "format") -> None:
    """A "must" of SPEC."""
    if not condition:
        raise Refused(kind, section, rule)


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


# -- 5. Streams

Code = Union[str, bytes]

KNOWN_CODES = ("raw", "zstd", *(f"packed{b}" for b in range(1, 8)))
ROW_SYMBOLS = 262_080


def check_code(code: object) -> None:
    """5 and 5.2. A string may be a code that is unknown here: tensors that use it are not read."""
    must(isinstance(code, (str, bytes)), "R-INDEX-4", "a code is a string or bytes")
    if isinstance(code, bytes):
        must(
            1 <= len(code) <= 128 and code[-1] != 0,
            "R-CODE-3",
            "code lengths take 1 to 128 bytes, the last is not zero",
        )
        used = [length for length in code_lengths(code) if length]
        must(max(used) <= 12, "R-CODE-4", "code lengths are at most 12")
        complete = used == [1] or (len(used) > 1 and sum(4096 >> length for length in used) == 4096)
        must(complete, "R-CODE-4", "the sum of 2^-length is 1, or a single symbol has length 1")


def decode_row(code: Code, n: int, data: bytes) -> Sequence[int]:
    """n symbols from the stored bytes of one row."""
    if n == 0:
        must(not data, "R-CODE-1", "a chunk without symbols takes no bytes")
        return b""
    if code == "zstd":
        return frame(data, n)
    if code == "raw":
        must(len(data) == n, "R-CHUNK-5", "raw symbols take a byte each")
        return data
    return unpack(int(code[6:]), n, data) if isinstance(code, str) else huffman_row(code, n, data)


def frame(data: bytes, n: int) -> bytes:
    """5.4: one zstd frame of n bytes."""
    must(data[:4] == b"\x28\xb5\x2f\xfd", "R-CODE-7", "a zstd frame begins with its magic number")
    try:
        header = zstandard.get_frame_parameters(data)
        must(header.content_size == n, "R-CODE-7", "a zstd frame states its content size, that of the symbols")
        must(
            header.dict_id == 0 and not header.has_checksum,
            "R-CODE-7",
            "a zstd frame has no dictionary and no checksum",
        )
        must(header.window_size <= 8 << 20, "R-CODE-7", "the window of a zstd frame has at most 8 MiB")
        out = zstandard.ZstdDecompressor().decompress(data, max_output_size=n, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Refused("format", "R-CODE-7", f"a zstd frame decompresses, nothing follows it ({error})") from None
    must(len(out) == n, "R-CODE-7", "a zstd frame holds the symbols")
    return out


def unpack(b: int, n: int, data: bytes) -> bytes:
    """5.1"""
    must(len(data) == ceil_div(n * b, 8), "R-CODE-2", "the stored length is that of n symbols of b bits")
    bits = bits_of(data)
    must(not any(bits[n * b :]), "R-CODE-2", "bits behind the last symbol are zero")
    return bytes(sum(bits[i * b + j] << j for j in range(b)) for i in range(n))


def code_lengths(code: bytes) -> list[int]:
    """5.2: two a byte, the lower symbol in the low four bits."""
    return [length for byte in code for length in (byte & 15, byte >> 4)]


def canonical(lengths: list[int]) -> dict[tuple[int, int], int]:
    """5.2: symbols by (length, code)."""
    symbols: dict[tuple[int, int], int] = {}
    number, before = 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        if symbols:
            number = number + 1 << length - before
        symbols[length, number] = symbol
        before = length
    return symbols


def huffman_row(code: bytes, n: int, data: bytes) -> bytes:
    """5.3"""
    symbols = canonical(code_lengths(code))
    if len(symbols) == 1:
        must(not data, "R-CODE-4", "rows of a single symbol take no bytes")
        return bytes(symbols.values()) * n
    must(n <= ROW_SYMBOLS, "R-CODE-5", "a row has at most 262,080 symbols")
    if n < 2048:
        return huffman_lane(symbols, n, data)
    must(len(data) >= 10, "R-CODE-6", "the row begins with the lengths of five lanes")
    lengths = list(struct.unpack_from("<5H", data))
    must(10 + sum(lengths) <= len(data), "R-CODE-6", "the lanes fit the row")
    lengths.append(len(data) - 10 - sum(lengths))
    share = ceil_div(n, 6)
    out, at = b"", 10
    for i, length in enumerate(lengths):
        out += huffman_lane(symbols, min(n, (i + 1) * share) - i * share, data[at : at + length])
        at += length
    return out


def huffman_lane(symbols: dict[tuple[int, int], int], n: int, data: bytes) -> bytes:
    """5.3: the last symbol first, each code from its highest bit to its lowest."""
    bits = bits_of(data)
    out, at = bytearray(), 0
    while len(out) < n:
        length = number = 0
        while (length, number) not in symbols:
            must(at < len(bits), "R-CODE-6", "a lane has all of its symbols")
            number = number << 1 | bits[at]
            length, at = length + 1, at + 1
        out.append(symbols[length, number])
    must(ceil_div(at, 8) == len(data), "R-CODE-6", "a lane ends in its last byte")
    must(not any(bits[at:]), "R-CODE-6", "bits behind the last code are zero")
    return bytes(reversed(out))
