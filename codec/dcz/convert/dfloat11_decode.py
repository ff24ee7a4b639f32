"""The bits of DFloat11: bfloat16 whose exponents are Huffman-coded, without a break, over all weights of a module.

    encoded_exponent   U8          the codes, highest bit first; after the last one bits that mean nothing
    sign_mantissa      U8          a byte a weight: sign, then seven bits of mantissa
    luts               U8 (k, 256) k - 1 tables of the next byte: an exponent, or from 240 on 256 - v is the next
                                   table; the last row has the lengths of the exponents' codes, 0 where there is none
    gaps               U8          five bits for each LANE bytes: how many bits after their start the first code begins
    output_positions   U8          32-bit integers: the number of the first weight of each BLOCK lanes, and that of all

Source: DFloat11's package, version 0.5, and Zhang et al., "70% Size, 100% Accuracy", 2025, section 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.errors import FormatError

LANE = 8
BLOCK = 512
_POINTER = 240
_LONGEST = 32
# Lanes that are decoded at once: some 100 bytes each.
_LANES = 1 << 16

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


class Exponents:
    """The coded exponents of a module, any range of which can be decoded. `where` begins errors.

    What is not consistent is refused: every lane must begin where the one before ends, and every block with the weight
    that it says."""

    def __init__(self, parts: dict[str, Bytes], count: int, where: str) -> None:
        self._where, self._count = where, count
        self._data = parts["encoded_exponent"]
        self._lanes = -(-len(self._data) // LANE)
        self._tables(parts["luts"])
        self._gaps = _gaps(parts["gaps"], self._lanes, where)
        self._positions = self._checked(parts["output_positions"])

    def _tables(self, luts: Bytes) -> None:
        if luts.ndim != 2 or luts.shape[1] != 256 or not 2 <= len(luts) <= 256 - _POINTER + 2:
            raise FormatError(f"{self._where}: luts: expected U8 (2 to 18, 256), found {luts.shape}")
        self._luts, self._lengths = luts[:-1], luts[-1].astype(np.int64)
        if self._lengths[_POINTER:].any():
            raise FormatError(f"{self._where}: luts: codes for exponents from {_POINTER} on, which no decoder can tell")
        if self._lengths.max() > _LONGEST or not self._lengths.any():
            raise FormatError(
                f"{self._where}: luts: codes of {int(self._lengths.max())} bits; 1 to {_LONGEST} are allowed"
            )

    def _checked(self, packed: Bytes) -> Integers:
        if packed.ndim != 1 or len(packed) % 4 or len(packed) < 8:
            raise FormatError(f"{self._where}: output_positions: expected 32-bit integers, found {len(packed)} bytes")
        positions = packed.view("<u4").astype(np.int64)
        blocks = -(-self._lanes // BLOCK)
        if positions[0] or positions[-1] != self._count or (np.diff(positions) < 0).any():
            raise FormatError(
                f"{self._where}: output_positions do not go from 0 to {self._count}, the number of weights"
            )
        if (
            len(positions) - 1 not in (blocks, blocks - 1) and blocks
        ):  # the last block may have no code that begins in it
            raise FormatError(
                f"{self._where}: output_positions of {len(positions) - 1} blocks, the codes have {blocks}"
            )
        return positions

    def decode(self, first: int, last: int) -> Bytes:
        """Return the exponents of weights [first, last)."""
        if first == last:
            return np.zeros(0, np.uint8)
        start = int(np.searchsorted(self._positions[:-1], first, "right")) - 1
        out = np.empty(last - first, np.uint8)
        lane, at = start * BLOCK, int(self._positions[start])
        skip = lane > 0  # the lane before says where the first one begins
        end: int | None = None
        lane -= skip
        while at < last:
            to = min(lane + _LANES, self._lanes)
            if lane >= to:
                raise FormatError(
                    f"{self._where}: expected codes of {self._count} weights, found {at}; fetch the file again"
                )
            symbols, counts, ends = self._batch(lane, to)
            lanes = np.arange(lane, to)
            begins = at - (int(counts[0]) if skip else 0) + np.cumsum(counts) - counts
            self._check(lanes, begins, ends, end, last)
            begin, end, lane = int(begins[0]), int(ends[-1]), to
            low, high = max(first, begin), min(last, begin + len(symbols))
            if low < high:
                out[low - first : high - first] = symbols[low - begin : high - begin]
            at, skip = begin + len(symbols), False
        return out

    def _batch(self, lane: int, to: int) -> tuple[Bytes, Integers, Integers]:
        """Return the exponents whose codes begin in lanes [lane, to), how many each lane has, and where its last code
        ends, in bits of the file."""
        data = np.zeros((to - lane) * LANE + 8, np.uint8)
        part = self._data[lane * LANE : to * LANE + 8]
        data[: len(part)] = part
        pairs = data[:-1].astype(np.uint16) << np.uint16(8) | data[1:]
        base = np.arange(to - lane, dtype=np.int64) * (LANE * 8)
        at, stop = base + self._gaps[lane:to], base + LANE * 8
        found = np.zeros((LANE * 8, to - lane), np.uint8)
        counts = np.zeros(to - lane, np.int64)
        active = np.flatnonzero(at < stop)
        for step in range(LANE * 8):
            if not len(active):
                break
            here = at[active]
            symbols = self._symbols(pairs, here)
            lengths = self._lengths[symbols]
            good = lengths > 0
            if not good.all():  # it may be among the bits after the last code; a lane that stops here has no more
                active, here, symbols, lengths = active[good], here[good], symbols[good], lengths[good]
            found[step, active] = symbols
            counts[active] += 1
            at[active] = here + lengths
            active = active[at[active] < stop[active]]
        mask = np.arange(LANE * 8)[:, None] < counts
        return found.T[mask.T], counts, at + lane * LANE * 8

    def _symbols(self, pairs: NDArray[np.uint16], at: Integers) -> Bytes:
        """Return the exponents that the codes at these bits stand for."""
        values = self._luts[0][_next_byte(pairs, at)]
        again = np.flatnonzero(values >= _POINTER)
        depth = 8
        while len(again):
            tables = 256 - values[again].astype(np.int64)
            good = (tables < len(self._luts)) & (depth < _LONGEST)
            values[again[~good]] = 255  # of no code: its length is 0, or the value is refused below
            again, tables = again[good], tables[good]
            values[again] = self._luts[tables, _next_byte(pairs, at[again] + depth)]
            again, depth = again[values[again] >= _POINTER], depth + 8
        return values

    def _check(self, lanes: Integers, begins: Integers, ends: Integers, before: int | None, last: int) -> None:
        """Refuse lanes that do not begin where those before them end, of those that weights before `last` need."""
        starts = lanes * (LANE * 8) + self._gaps[lanes]
        expected = np.concatenate([[starts[0] if before is None else before], ends[:-1]])
        needed = begins < min(last, self._count)
        if needed[0] and before is None and not lanes[0] and starts[0]:
            raise FormatError(f"{self._where}: the first code begins at bit {starts[0]}; expected 0")
        wrong = np.flatnonzero(needed & (starts != expected))
        if len(wrong):
            number = int(lanes[wrong[0]])
            raise FormatError(
                f"{self._where}: gaps: the code in bytes {number * LANE} to {number * LANE + LANE} begins at bit "
                f"{starts[wrong[0]]}, the one before it ends at {expected[wrong[0]]}"
            )
        blocks = np.flatnonzero(lanes % BLOCK == 0)
        for place in blocks:
            block = int(lanes[place]) // BLOCK
            if block < len(self._positions) - 1 and begins[place] != self._positions[block]:
                raise FormatError(
                    f"{self._where}: output_positions: block {block} begins with weight {self._positions[block]}, its "
                    f"codes with {begins[place]}"
                )


def _next_byte(pairs: NDArray[np.uint16], at: Integers) -> Bytes:
    place = np.minimum(at >> 3, len(pairs) - 1)
    return (pairs[place] >> (8 - (at & 7)).astype(np.uint16)).astype(np.uint8)


def _gaps(packed: Bytes, lanes: int, where: str) -> Integers:
    needed = -(-lanes * 5 // 8)
    if packed.ndim != 1 or len(packed) < needed:
        raise FormatError(
            f"{where}: gaps should have {needed} bytes for {lanes} times {LANE} bytes, found {packed.shape}"
        )
    bits = np.unpackbits(packed[:needed], count=lanes * 5).reshape(lanes, 5)
    return bits.astype(np.int64) @ np.array([16, 8, 4, 2, 1])


def joined(exponents: Bytes, sign_mantissa: Bytes) -> NDArray[np.uint16]:
    """Return the words of bfloat16 numbers."""
    out = (sign_mantissa & 0x80).astype(np.uint16) << np.uint16(8)
    out |= exponents.astype(np.uint16) << np.uint16(7)
    out |= sign_mantissa & 0x7F
    return out
