"""A chunk in its parts, where its nonzeros are and which clusters or words they are, without making it dense (SPEC 4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.container.decode import REASONS, Decoder
from dcz.entropy import zstd
from dcz.errors import ChecksumError, FormatError
from dcz.format.columns import ROW_HEAD
from dcz.kernels.interface import I64, U8, KernelError, Status
from dcz.tensor.layout import VALUES

_BITMAP = 1


class Part(NamedTuple):
    """Nonzero words of a chunk: their positions in the tensor in ascending order, the words, and where the tensor
    has a codebook, which of its entries they are."""

    where: I64
    words: NDArray
    index: NDArray[np.uint16] | None


def split_chunk(decoder: Decoder, t: int, number: int, data: U8) -> Part:
    """Chunk `number` of tensor `t` from its stored bytes; `decoder.prepare` has been called for the tensor.

    Raises `ChecksumError` and `FormatError` as decoding it to an array does."""
    c = decoder.columns
    if c.positions[t] == 0 and c.values[t] != VALUES["codebook"]:
        return _dense(decoder, t, number, data)
    where = f"tensor {c.names[t]!r}, chunk {number}"
    row = c.rows(t)[number]
    if kernels.active().crc32c(data) != row[2]:
        raise ChecksumError(f"{where}: the stored bytes do not match their CRC-32C; fetch the file again")
    try:
        return _stored(decoder, t, number, row, data, where)
    except KernelError as error:
        reason = REASONS.get(error.status, f"the kernel refused it ({error.status.name.lower()})")
        raise FormatError(f"{where}: {reason}; the file was not written by a correct encoder") from None


def _dense(decoder: Decoder, t: int, number: int, data: U8) -> Part:
    """Of a tensor that stores every word as it is, the only way is to look at them all."""
    c = decoder.columns
    first = number * int(c.chunk[t])
    words = np.empty(min(int(c.chunk[t]), int(c.weights[t]) - first), f"<u{c.word[t]}")
    decoder.decode_part(t, number, number + 1, data, words.view(np.uint8))
    where = np.flatnonzero(words)
    return Part(first + where, words[where], None)


def _stored(decoder: Decoder, t: int, number: int, row: I64, data: U8, field: str) -> Part:
    c = decoder.columns
    first = number * int(c.chunk[t])
    count = min(int(c.chunk[t]), int(c.weights[t]) - first)
    streams, at = [], 0
    for s, codes in enumerate(c.stream_codes(t)):
        code, length = codes[int(row[ROW_HEAD + 2 * s])], int(row[ROW_HEAD + 1 + 2 * s])
        symbols = np.empty(decoder.symbols(t, number, row, s), np.uint8)
        piece = data[at : at + length]
        at += length
        if code.kind == "zstd":
            symbols = np.frombuffer(zstd.decompress(piece.data, len(symbols), field), np.uint8)
        else:
            kernels.active().decode(np.frombuffer(code.record, np.uint8), piece, symbols)
        streams.append(symbols)
    if c.positions[t] == 0:
        where = np.arange(count)
    else:
        where = _positions(int(c.positions[t]), streams.pop(0), int(row[0]), count)
    if c.values[t] != VALUES["codebook"]:
        words = kernels.active().merge(np.stack(streams), bool(c.rotate[t])).view(f"<u{c.word[t]}")
        return _nonzero(first + where, words, None)
    index = streams[0].astype(np.uint16)
    if len(streams) == 2:
        index |= streams[1].astype(np.uint16) << np.uint16(8)
    book = decoder.codebook(t)
    if index.size and int(index.max()) >= book.shape[1]:
        raise KernelError(Status.INDEX)
    group = (first + where) // c.group[t] if c.group[t] else 0
    return _nonzero(first + where, book[group, index], index)


def _positions(kind: int, symbols: U8, nonzeros: int, count: int) -> I64:
    """Where in a chunk of `count` words the nonzeros are: from a bitmap, or from relative indices of `kind` bits."""
    if kind == _BITMAP:
        bits = np.unpackbits(symbols, bitorder="little")
        if bits[count:].any():
            raise KernelError(Status.PADDING)
        where = np.flatnonzero(bits)
    else:
        filler = (1 << kind) - 1
        real = symbols < filler
        ends = np.cumsum(symbols.astype(np.int64) + real)
        if len(ends) and (ends[-1] > count or int(symbols.max()) > filler):
            raise KernelError(Status.COUNT)
        where = ends[real] - 1
    if len(where) != nonzeros:
        raise KernelError(Status.COUNT)
    return where


def _nonzero(where: I64, words: NDArray, index: NDArray[np.uint16] | None) -> Part:
    """Without the zeros that a codebook may have for tensors of all positions."""
    keep = words != 0
    if keep.all():
        return Part(where, words, index)
    return Part(where[keep], words[keep], None if index is None else index[keep])
