"""One way to code a row of symbols (SPEC 5). A stream has up to sixteen, and each chunk names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dcz.errors import FormatError
from dcz.kernels.interface import CODE_RECORD, HUFFMAN, RAW, U8

# What a code costs in the index after its compression, fitted on the 35 code-length tables of a real
# network (8,764 symbols in 2,210 bytes): used to decide whether another table pays.
_FIXED_COST = 4
_SYMBOLS_PER_BYTE = 4


@dataclass(frozen=True, slots=True)
class Code:
    """A code. `kind` is "raw", "packed", "huffman" or "zstd".

    A packed code has `bits`. A Huffman code has `lengths`: two code lengths a byte, low nibble first, up to the last
    symbol that has one. `alphabet` is one more than the highest symbol that the code can produce. `cost` is the bytes
    that the code is expected to take in the index, and `index_value` what stands for it there."""

    kind: str
    bits: int = 0
    lengths: bytes = b""
    index_value: str | bytes = field(init=False, repr=False, compare=False)
    alphabet: int = field(init=False, repr=False, compare=False)
    cost: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        alphabet, cost = 1 << self.bits if self.kind == "packed" else 256, 1
        if self.kind == "huffman":
            alphabet = 2 * len(self.lengths) - (self.lengths[-1] < 16)
            cost = _FIXED_COST + -(-alphabet // _SYMBOLS_PER_BYTE)
        value = self.lengths if self.kind == "huffman" else f"{self.kind}{self.bits or ''}"
        object.__setattr__(self, "index_value", value)
        object.__setattr__(self, "alphabet", alphabet)
        object.__setattr__(self, "cost", cost)

    @staticmethod
    def huffman(lengths: U8) -> Code:
        """Return the canonical code with these lengths, shape (256,)."""
        pairs = lengths[0::2] | lengths[1::2] << 4
        return Code("huffman", lengths=pairs.tobytes().rstrip(b"\0"))

    @staticmethod
    def from_index(value: str | bytes) -> Code:
        """Return the code of an `index_value` that `records_of` has checked."""
        return Code("huffman", lengths=value) if isinstance(value, bytes) else _NAMED[value]

    @property
    def record(self) -> bytes:
        """The code as kernels take it. They get zstd rows decompressed, so that zstd is raw to them."""
        if self.kind == "huffman":
            return bytes((HUFFMAN,)) + self.lengths.ljust(CODE_RECORD - 1, b"\0")
        return bytes((self.bits if self.kind == "packed" else RAW,)).ljust(CODE_RECORD, b"\0")

    def code_lengths(self) -> U8:
        """Return the code lengths of all 256 symbols, zero where a symbol has none."""
        pairs = np.frombuffer(self.lengths.ljust(CODE_RECORD - 1, b"\0"), np.uint8)
        return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)

    def __str__(self) -> str:
        return f"{self.kind}{self.bits or ''}"


def huffman_cost(alphabet: int) -> int:
    """Return the bytes that a Huffman code of symbols below `alphabet` is expected to take in the index."""
    return _FIXED_COST + -(-alphabet // _SYMBOLS_PER_BYTE)


# By the alphabet's size.
HUFFMAN_COSTS = tuple([huffman_cost(alphabet) for alphabet in range(257)])
RAW_CODE = Code("raw")
ZSTD_CODE = Code("zstd")
PACKED_CODES = {bits: Code("packed", bits) for bits in range(1, 8)}
_NAMED: dict[object, Code] = {code.index_value: code for code in (RAW_CODE, ZSTD_CODE, *PACKED_CODES.values())}
# What `records_of` says of codes of symbols as they are, and of codes that are unknown.
RAW_ALPHABET, UNKNOWN_ALPHABET = -1, -2
_NAMED_RECORDS = {value: (code.record, -(code.kind in ("raw", "zstd"))) for value, code in _NAMED.items()}
_HUFFMAN_BYTE = bytes((HUFFMAN,))
# Takes the place of a code that is unknown; no tensor that uses one is decoded.
_NO_CODE = bytes(CODE_RECORD), UNKNOWN_ALPHABET


def records_of(values: Sequence[str | bytes]) -> tuple[bytes, list[int]]:
    """Return the records of codes from their `index_value`, one after another, and what each can say.

    That is, of a Huffman code, one more than its highest symbol; of raw and zstd -1; of packed 0; of one that this
    version does not know `UNKNOWN_ALPHABET`. The lengths of a Huffman code may yet be those of no code."""
    records, alphabets = [], []
    for value in values:
        if type(value) is bytes:
            n = len(value)
            if not 0 < n <= 128 or value[-1] == 0:
                raise FormatError(f"index: codes: code lengths take 1 to 128 bytes without trailing zeros, found {n}")
            records.append(_HUFFMAN_BYTE + value.ljust(CODE_RECORD - 1, b"\0"))
            alphabets.append(2 * n - (value[-1] < 16))
        else:
            record, alphabet = _NAMED_RECORDS.get(value, _NO_CODE)
            records.append(record)
            alphabets.append(alphabet)
    return b"".join(records), alphabets
