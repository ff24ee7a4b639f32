"""Choose a code for each row of a stream, with the exact bytes that result (SPEC 5)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy import tables, zstd
from dcz.entropy.code import HUFFMAN_COSTS, PACKED_CODES, RAW_CODE, ZSTD_CODE, Code
from dcz.entropy.symbols import Symbols
from dcz.kernels.interface import I64, LANE_THRESHOLD, LANES, MAX_CODES, MAX_ROW, SYMBOLS, U8

# Head of a long Huffman row, and on average half a byte at the end of each lane.
_LANE_HEAD = 2 * (LANES - 1)
_LANE_OVERHEAD = _LANE_HEAD + LANES // 2


class Coding:
    """How a stream is coded: its codes, the number of the code each row uses, and the bytes each row takes.

    `stored` is the bytes of all rows, exactly; `cost` adds what the codes are expected to take in the index. `frames`
    holds the rows that zstd compresses; None for those of symbols that are not held, which are compressed again when
    they are written."""

    __slots__ = ("_tried", "_with_zstd", "codes", "cost", "frames", "lanes", "sizes", "stored", "symbols", "use")

    def __init__(
        self,
        symbols: Symbols,
        codes: list[Code],
        use: U8,
        sizes: I64,
        lanes: I64,
        frames: dict[int, bytes | None] | None = None,
    ) -> None:
        self.symbols, self.codes, self.use, self.sizes, self.lanes = symbols, codes, use, sizes, lanes
        self.frames: dict[int, bytes | None] = frames or {}
        self.stored = int(sizes[0]) if len(sizes) == 1 else int(sizes.sum())
        self.cost = self.stored
        for code in codes:
            self.cost += code.cost
        self._with_zstd: Coding | None = None
        self._tried = False

    @property
    def with_zstd(self) -> Coding:
        """The same stream with zstd frames for the rows that they make smaller, if a sample is promising. It is made
        once: layouts share streams."""
        if not self._tried:
            found = compressed(self, self.stored)
            self._with_zstd = None if found is self else found  # no circle: it would keep the symbols for long
            self._tried = True
        return self._with_zstd or self

    def write(self, first: int, last: int, out: U8, offsets: I64, memo: dict[int, list[U8]] | None = None) -> None:
        """Write rows [first, last) at `offsets` in `out`. `memo` is as in `Symbols.part`."""
        data, bounds = self.symbols.part(first, last, memo)
        if not self.frames:
            self._encode(data, bounds, slice(first, last), out, offsets)
            return
        for r in range(first, last):
            at, i = int(offsets[r - first]), r - first
            if r in self.frames:
                frame = self.frames[r] or zstd.compress(data[bounds[i] : bounds[i + 1]])
                out[at : at + len(frame)] = np.frombuffer(frame, np.uint8)
            else:
                self._encode(data, bounds[i : i + 2], slice(r, r + 1), out, offsets[i : i + 1])

    def _encode(self, data: U8, bounds: I64, rows: slice, out: U8, offsets: I64) -> None:
        kernels.active().encode(data, bounds, self.use[rows], _records(self.codes), self.lanes[rows], out, offsets)


def write_all(streams: Sequence[Coding]) -> U8:
    """Return all rows of streams without zstd frames, stream after stream."""
    counts = np.concatenate([coding.symbols.counts for coding in streams])
    bounds = np.concatenate([[0], np.cumsum(counts)])
    first = list(accumulate([len(coding.codes) for coding in streams], initial=0))
    use = np.concatenate([coding.use + np.uint8(at) for coding, at in zip(streams, first)])
    sizes = np.concatenate([coding.sizes for coding in streams])
    ends = np.cumsum(sizes)
    out = np.empty(int(ends[-1]), np.uint8)
    kernels.active().encode(
        np.concatenate([coding.symbols.data for coding in streams]),
        bounds,
        use,
        _records([code for coding in streams for code in coding.codes]),
        np.concatenate([coding.lanes for coding in streams]),
        out,
        ends - sizes,
    )
    return out


def _records(codes: list[Code]) -> U8:
    if len(codes) == 1:
        return np.frombuffer(codes[0].record, np.uint8)
    return np.frombuffer(b"".join([code.record for code in codes]), np.uint8)


def _estimates(symbols: Symbols, codes: list[Code], lengths: list[U8]) -> NDArray[np.float64]:
    """Return the bytes of each row under each code, shape (rows, codes); infinite where a symbol has no code word.

    They are exact but for the ends of lanes, which the histogram of a whole row does not show."""
    counts = symbols.counts
    histograms = symbols.histograms
    out = np.empty((symbols.rows, len(codes)))
    long_rows = counts >= LANE_THRESHOLD
    for j, (code, each) in enumerate(zip(codes, lengths)):
        if code.kind == "raw":
            out[:, j] = counts
        elif code.kind == "packed":
            out[:, j] = -(-counts * code.bits // 8)
            out[histograms[:, 1 << code.bits :].any(axis=1), j] = np.inf
        else:
            single = np.count_nonzero(each) == 1
            bits = np.zeros(symbols.rows) if single else histograms @ each.astype(np.float64)
            out[:, j] = np.ceil(bits / 8) + (0 if single else long_rows * _LANE_OVERHEAD)
            out[histograms[:, each == 0].any(axis=1), j] = np.inf
    return out


def _settle(symbols: Symbols, codes: list[Code], use: U8) -> Coding:
    """Return the coding with exact sizes. Codes that no row uses are dropped, the others numbered by first use."""
    order = list(dict.fromkeys(use.tolist()))
    number = np.zeros(len(codes), np.uint8)
    number[order] = np.arange(len(order), dtype=np.uint8)
    codes, use = [codes[j] for j in order], number[use]
    if any(code.kind == "huffman" for code in codes):
        lanes = _lanes(symbols, codes, use)
    else:
        lanes = np.zeros((symbols.rows, LANES), np.int64)
    counts = symbols.counts
    sizes = np.empty(symbols.rows, np.int64)
    for j, code in enumerate(codes):
        rows = use == j
        if code.kind == "huffman":
            coded = lanes[rows].sum(axis=1)
            sizes[rows] = coded + _LANE_HEAD * ((counts[rows] >= LANE_THRESHOLD) & (coded > 0))
        else:
            sizes[rows] = counts[rows] if code.kind == "raw" else -(-counts[rows] * code.bits // 8)
    return Coding(symbols, codes, use, sizes, lanes)


def _lanes(symbols: Symbols, codes: list[Code], use: U8) -> I64:
    """Return the bytes of each lane of each row, shape (rows, LANES)."""
    records = _records(codes)
    found = [
        kernels.active().lane_sizes(*symbols.part(first, last), use[first:last], records)
        for first, last in symbols.blocks()
    ]
    return found[0] if len(found) == 1 else np.concatenate(found)


def encode_with(symbols: Symbols, code: Code = RAW_CODE) -> Coding:
    """Code all rows by one given code."""
    if code is RAW_CODE and symbols.rows == 1:
        return Coding(symbols, [code], _FIRST, np.array([symbols.count]), _NO_LANES)
    return _settle(symbols, [code], np.zeros(symbols.rows, np.uint8))


def choose(symbols: Symbols) -> Coding:
    """Return the smallest coding by raw, packed and Huffman, with as many Huffman tables as pay for themselves."""
    if symbols.rows == 0 or symbols.count == 0:
        return encode_with(symbols)
    if symbols.rows == 1:
        return _single(symbols, symbols.histograms[0])
    total = symbols.histograms.sum(axis=0, dtype=np.uint64)
    top = int(np.flatnonzero(total)[-1])
    codes = [RAW_CODE]
    if 0 < top < 128:
        codes.append(PACKED_CODES[top.bit_length()])
    simple = len(codes)
    codes += [Code.huffman(lengths) for lengths in tables.search(symbols.histograms, total)]
    sizes = _estimates(symbols, codes, [code.code_lengths() for code in codes])
    plainest = np.argmin(sizes[:, :simple], axis=1).astype(np.uint8)
    best = _settle(symbols, codes[:simple], plainest)
    use = np.argmin(sizes, axis=1).astype(np.uint8)
    rich = _settle(symbols, codes, use)
    too_long = (symbols.counts > MAX_ROW) & rich.lanes.any(axis=1)  # for the lanes' sizes in the row's head
    if too_long.any():
        rich = _settle(symbols, codes, np.where(too_long, plainest, use))
    return min(best, rich, key=lambda coding: coding.cost)


def choose_planes(planes: NDArray[np.uint8]) -> list[Coding]:
    """Return the smallest coding of each byte plane, shape (planes, symbols): streams of one row, if short enough."""
    n = planes.shape[1]
    if not 0 < n <= MAX_ROW:
        return [choose(Symbols.even(plane, MAX_ROW) if n else Symbols.one_row(plane)) for plane in planes]
    histograms = kernels.active().histograms(planes.reshape(-1), np.arange(0, planes.size + 1, n))
    bounds = np.array([0, n])
    return [_single(Symbols(*each), each[2][0]) for each in zip(planes, repeat(bounds), histograms[:, None])]


def _single(symbols: Symbols, histogram: NDArray[np.uint32]) -> Coding:
    """Return the coding of a single row, without arrays that many rows need. At equal cost the simpler code wins."""
    n = symbols.count
    top = SYMBOLS - 1 - int((histogram[::-1] != 0).argmax())
    code, size, ends = RAW_CODE, n, _NO_LANES
    cost = n + RAW_CODE.cost
    if 0 < top < 128:
        packed = PACKED_CODES[top.bit_length()]
        bytes_ = -(-n * packed.bits // 8)
        if bytes_ + packed.cost < cost:
            code, size, cost = packed, bytes_, bytes_ + packed.cost
    constant = int(histogram[top]) == n
    if HUFFMAN_COSTS[top + 1] + (0 if constant else -(-n // 8)) < cost:  # no code word is shorter than a bit
        lengths = tables.lengths_of(histogram)
        huffman = Code.huffman(lengths)
        bytes_, lanes = _huffman_size(symbols, histogram, lengths, huffman, constant)
        if bytes_ + huffman.cost < cost and (constant or n <= MAX_ROW):
            code, size, ends = huffman, bytes_, lanes
    return Coding(symbols, [code], _FIRST, np.array([size]), ends)


def _huffman_size(
    symbols: Symbols, histogram: NDArray[Any], lengths: U8, code: Code, constant: bool
) -> tuple[int, I64]:
    """Return the bytes of a single row by a Huffman code, and of each of its lanes."""
    if constant:
        return 0, _NO_LANES
    if symbols.count < LANE_THRESHOLD:
        lanes = np.zeros((1, LANES), np.int64)
        lanes[0, 0] = size = -(-int(histogram @ lengths.astype(np.uint32)) // 8)
        return size, lanes
    lanes = _lanes(symbols, [code], _FIRST)
    return int(lanes.sum()) + _LANE_HEAD, lanes


_FIRST = np.zeros(1, np.uint8)
_NO_LANES = np.zeros((1, LANES), np.int64)
_NO_LANES.flags.writeable = False


def compressed(coding: Coding, stored: int) -> Coding:
    """Return the same stream with zstd frames for the rows that they make smaller. It is the stream itself unless a
    sample promises less than `stored` bytes."""
    symbols = coding.symbols
    if len(coding.codes) == MAX_CODES or not zstd.promising(symbols, stored):
        return coding
    use, sizes = coding.use.copy(), coding.sizes.copy()
    frames: dict[int, bytes | None] = {}
    for first, last in symbols.blocks():
        data, bounds = symbols.part(first, last)
        edges = bounds.tolist()
        for r in range(first, last):
            frame = zstd.compress(data[edges[r - first] : edges[r - first + 1]])
            if len(frame) < sizes[r]:
                frames[r] = frame if symbols.held else None
                use[r], sizes[r] = len(coding.codes), len(frame)
    if not frames:
        return coding
    order = list(dict.fromkeys(use.tolist()))
    number = np.zeros(len(coding.codes) + 1, np.uint8)
    number[order] = np.arange(len(order), dtype=np.uint8)
    codes = [*coding.codes, ZSTD_CODE]
    return Coding(symbols, [codes[j] for j in order], number[use], sizes, coding.lanes, frames)
