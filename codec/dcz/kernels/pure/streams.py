"""Encode and decode rows of symbols (SPEC 5): raw, packed and Huffman."""

from __future__ import annotations

from itertools import islice

import numpy as np
from bitarray import bitarray
from bitarray.util import canonical_decode
from numpy.typing import NDArray

from dcz.kernels.interface import (
    CODE_RECORD,
    HUFFMAN,
    I64,
    LANE_THRESHOLD,
    LANES,
    MAX_ROW,
    RAW,
    SYMBOLS,
    U8,
    KernelError,
    Status,
)
from dcz.kernels.pure.code import Code, read_code
from dcz.kernels.pure.words import blocks

_HEAD = 2 * (LANES - 1)


def histograms(symbols: U8, bounds: I64) -> NDArray[np.uint32]:
    edges = bounds.tolist()
    out = np.zeros((len(edges) - 1, SYMBOLS), np.uint32)
    for row, a, b in zip(out, edges, edges[1:]):
        for block in blocks(b - a):
            row += np.bincount(symbols[a:b][block], minlength=SYMBOLS).astype(np.uint32)
    return out


def _lanes(n: int) -> list[tuple[int, int]]:
    """Return where each lane of a row of n symbols begins and ends."""
    if n < LANE_THRESHOLD:
        return [(0, n)]
    span = -(-n // LANES)
    return [(i * span, min(n, (i + 1) * span)) for i in range(LANES)]


def lane_sizes(symbols: U8, bounds: I64, use: U8, codes: U8) -> I64:
    out = np.zeros((len(use), LANES), np.int64)
    for r, which in enumerate(use.tolist()):
        record = codes[which * CODE_RECORD : (which + 1) * CODE_RECORD]
        if len(record) != CODE_RECORD:
            raise KernelError(Status.ARGUMENT, r)
        if record[0] < HUFFMAN:
            continue
        code = read_code(record)
        row = symbols[bounds[r] : bounds[r + 1]]
        if len(code.symbols) == 1:
            continue
        for i, (a, b) in enumerate(_lanes(len(row))):
            out[r, i] = -(-int(code.lengths[row[a:b]].astype(np.int64).sum()) // 8)
    return out


def _pack(row: U8, bits: int) -> bytes:
    if row.size and int(row.max()) >> bits:
        raise KernelError(Status.INDEX)
    out = bytearray()
    for block in blocks(len(row)):  # of a multiple of 8 symbols: whole bytes
        each = np.unpackbits(row[block, None], axis=1, count=bits, bitorder="little")
        out += np.packbits(each.reshape(-1), bitorder="little").tobytes()
    return bytes(out)


def _unpack(data: U8, bits: int, n: int) -> U8:
    if len(data) != -(-n * bits // 8):
        raise KernelError(Status.LENGTH)
    each = np.unpackbits(data, bitorder="little")
    if each[n * bits :].any():
        raise KernelError(Status.PADDING)
    columns = each[: n * bits].reshape(n, bits)
    return np.packbits(columns, axis=1, bitorder="little").reshape(-1) if n else np.zeros(0, np.uint8)


def _encode_huffman(code: Code, row: U8, lanes: list[int]) -> bytes:
    if len(row) == 0 or len(code.symbols) == 1:
        return b""
    words = {
        symbol: bitarray(format(number, f"0{code.lengths[symbol]}b"))
        for symbol, number in zip(code.symbols, code.numbers)
    }
    parts = []
    for a, b in _lanes(len(row)):
        stream = bitarray(endian="little")
        stream.encode(words, row[a:b][::-1].tolist())  # last symbol first
        parts.append(stream.tobytes())
    if [len(part) for part in parts] != lanes[: len(parts)]:
        raise KernelError(Status.LENGTH)
    if len(parts) == 1:
        return parts[0]
    if max(map(len, parts[:-1])) > 0xFFFF:
        raise KernelError(Status.ARGUMENT)
    head = np.array([len(part) for part in parts[:-1]], "<u2").tobytes()
    return head + b"".join(parts)


def encode(symbols: U8, bounds: I64, use: U8, codes: U8, lanes: I64, out: U8, offsets: I64) -> None:
    parsed: dict[int, Code] = {}
    for r, which in enumerate(use.tolist()):
        record = codes[which * CODE_RECORD : (which + 1) * CODE_RECORD]
        row = symbols[bounds[r] : bounds[r + 1]]
        if record[0] == RAW:
            data = row.tobytes()
        elif record[0] < HUFFMAN:
            data = _pack(row, int(record[0]))
        else:
            if which not in parsed:
                parsed[which] = read_code(record)
            data = _encode_huffman(parsed[which], row, lanes[r].tolist())
        at = int(offsets[r])
        if at + len(data) > len(out):
            raise KernelError(Status.ARGUMENT, r)
        out[at : at + len(data)] = np.frombuffer(data, np.uint8)


def _decode_lane(code: Code, data: U8, n: int) -> U8:
    stream = bitarray(endian="little")
    stream.frombytes(data.tobytes())
    stream.extend([0] * 16)  # a lane that runs over its end decodes zeros and is caught by its length
    try:
        out = np.fromiter(islice(canonical_decode(stream, code.counts, code.symbols), n), np.uint8)
    except ValueError:  # even those end inside a code
        raise KernelError(Status.LENGTH) from None
    used = int(code.lengths[out].astype(np.int64).sum())
    if len(out) != n or -(-used // 8) != len(data):
        raise KernelError(Status.LENGTH)
    if stream[used : 8 * len(data)].any():
        raise KernelError(Status.PADDING)
    return out[::-1]


def _decode_huffman(code: Code, data: U8, n: int) -> U8:
    if n == 0 or len(code.symbols) == 1:
        if len(data):
            raise KernelError(Status.LENGTH)
        return np.full(n, code.symbols[0], np.uint8)
    if n < LANE_THRESHOLD:
        return _decode_lane(code, data, n)
    if len(data) < _HEAD:
        raise KernelError(Status.LENGTH)
    sizes = data[:_HEAD].view("<u2").tolist()
    sizes.append(len(data) - _HEAD - sum(sizes))
    if sizes[-1] < 0:
        raise KernelError(Status.LENGTH)
    at, parts = _HEAD, []
    for (a, b), size in zip(_lanes(n), sizes):
        parts.append(_decode_lane(code, data[at : at + size], b - a))
        at += size
    return np.concatenate(parts)


def decode_row(record: U8, data: U8, n: int) -> U8:
    """Return the n symbols of one coded row."""
    if record[0] == RAW:
        if len(data) != n:
            raise KernelError(Status.LENGTH)
        return data
    if record[0] < HUFFMAN:
        return _unpack(data, int(record[0]), n)
    code = read_code(record)
    if n > MAX_ROW and len(code.symbols) > 1:
        raise KernelError(Status.LENGTH)
    return _decode_huffman(code, data, n)


def decode(record: U8, data: U8, out: U8) -> None:
    out[:] = decode_row(record, np.frombuffer(data, np.uint8), len(out))
