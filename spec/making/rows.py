"""Rows of symbols as SPEC 5 stores them, and columns of integers as SPEC 7.2 does."""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Sequence

import zstandard

Code = str | bytes


def bits_to_bytes(bits: Sequence[int]) -> bytes:
    """Bit i is bit i mod 8 of byte i / 8."""
    out = bytearray(-(-len(bits) // 8))
    for i, bit in enumerate(bits):
        out[i // 8] |= bit << i % 8
    return bytes(out)


def column(values: Sequence[int], width: int = 0) -> bytes:
    """A column of integers; a wrong one if `width` is given."""
    top = max(values, default=0)
    width = width or next(w for w in (1, 2, 4, 8) if top < 1 << 8 * w)
    words = [value.to_bytes(width, "little") for value in values]
    return bytes([width]) + bytes(word[i] for i in range(width) for word in words)


def packed_lengths(lengths: Sequence[int]) -> bytes:
    """A Huffman code as the index has it: two lengths a byte."""
    pairs = list(lengths) + [0] * (len(lengths) % 2)
    return bytes(low | high << 4 for low, high in zip(pairs[0::2], pairs[1::2])).rstrip(b"\0")


def huffman_for(symbols: Sequence[int]) -> bytes:
    """A Huffman code for symbols, as long as it needs no more than 12 bits; else one of equal lengths."""
    counts = Counter(symbols) or Counter([0])
    lengths = [0] * (max(counts) + 1)
    if len(counts) == 1:
        lengths[max(counts)] = 1
        return packed_lengths(lengths)
    heap = [(n, symbol, [symbol]) for symbol, n in sorted(counts.items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        (n, first, a), (m, _, b) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in a + b:
            lengths[symbol] += 1
        heapq.heappush(heap, (n + m, first, a + b))
    if max(lengths) > 12:
        depth = (len(counts) - 1).bit_length()
        short = (1 << depth) - len(counts)  # so many have one bit less
        for i, symbol in enumerate(sorted(counts)):
            lengths[symbol] = depth - (i < short)
    return packed_lengths(lengths)


def code_table(code: bytes) -> dict[int, tuple[int, int]]:
    """Length and number of each symbol's code (5.2)."""
    lengths = [length for byte in code for length in (byte & 15, byte >> 4)]
    table: dict[int, tuple[int, int]] = {}
    number = before = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        number = (number + 1) << (length - before) if table else 0
        table[symbol], before = (length, number), length
    return table


def fits(code: Code, symbols: Sequence[int]) -> bool:
    """Whether a code can say these symbols."""
    if isinstance(code, bytes):
        table = code_table(code)
        return set(symbols) <= set(table) and (len(symbols) <= 262_080 or len(table) == 1)
    return not code.startswith("packed") or max(symbols, default=0) < 1 << int(code[6:])


def encode(code: Code, symbols: Sequence[int]) -> bytes:
    """A row (5)."""
    if not len(symbols) or code == "raw":
        return bytes(symbols)
    if code == "zstd":
        return zstandard.ZstdCompressor(level=19, write_checksum=False).compress(bytes(symbols))
    if isinstance(code, str):
        b = int(code[6:])
        return bits_to_bytes([symbol >> j & 1 for symbol in symbols for j in range(b)])
    table = code_table(code)
    if len(table) == 1:
        return b""
    if len(symbols) < 2048:
        return _lane(table, symbols)
    share = -(-len(symbols) // 6)
    lanes = [_lane(table, symbols[i * share : (i + 1) * share]) for i in range(6)]
    return struct.pack("<5H", *map(len, lanes[:5])) + b"".join(lanes)


def run_frame(header: bytes, n: int) -> bytes:
    """A zstd frame of this header whose one block says a byte `n` times."""
    return b"\x28\xb5\x2f\xfd" + header + (1 | 1 << 1 | n << 3).to_bytes(3, "little") + b"\7"


def _lane(table: dict[int, tuple[int, int]], symbols: Sequence[int]) -> bytes:
    bits = []
    for symbol in reversed(symbols):
        length, number = table[symbol]
        bits += [number >> i & 1 for i in reversed(range(length))]
    return bits_to_bytes(bits)
