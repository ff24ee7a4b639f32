"""The index's columns about codes: the file's, and which of them each stream has (SPEC 5 and 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy.code import record_of
from dcz.errors import FormatError
from dcz.format.integers import I64, unpack
from dcz.kernels.interface import CODE_RECORD, MAX_CODES

KEYS = ("codes", "counts", "numbers")

# What a code can say: of a Huffman code one more than its highest symbol, of the others one of these.
RAW_ALPHABET, UNKNOWN_ALPHABET = -1, -2
# Takes the place of a code that is unknown; no tensor that uses one is decoded.
_NO_CODE = bytes(CODE_RECORD), UNKNOWN_ALPHABET


@dataclass(frozen=True)
class Codes:
    """The file's codes as the index has them, as kernels take them, and what each can say; then for each stream how
    many codes it has and where they begin in `numbers`, which codes they are."""

    plain: list[str | bytes]
    records: NDArray[np.uint8]
    alphabet: I64
    counts: I64
    first: I64
    numbers: I64

    def highest(self) -> I64:
        """For each stream one more than the highest symbol that its codes are known to say, or less than zero."""
        return np.maximum.reduceat(self.alphabet[self.numbers], self.first)


def read_codes(plain: Mapping[str, object], streams: int) -> Codes:
    """The codes of a file whose tensors have so many streams."""
    codes = plain["codes"]
    if type(codes) is not list:
        raise FormatError("index: codes: expected a list")
    try:
        if len(set(codes)) != len(codes):
            raise FormatError("index: codes: duplicate code")
    except TypeError:
        raise FormatError("index: codes: expected strings and bytes") from None
    if not {*map(type, codes)} <= {str, bytes}:
        wrong_ = next(code for code in codes if type(code) not in (str, bytes))
        raise FormatError(f"index: codes: expected strings and bytes, found {wrong_!r:.80}")
    parsed = [found or _NO_CODE for found in map(record_of, codes)]
    records = np.frombuffer(b"".join([record for record, _ in parsed]), np.uint8)
    wrong = kernels.active().check_codes(records)
    if wrong < len(parsed):
        raise FormatError(f"index: codes[{wrong}]: the lengths form no complete prefix code of at most 12 bits")
    counts = unpack(plain["counts"], streams, 1, MAX_CODES, "counts")
    ends = counts.cumsum()
    numbers = unpack(plain["numbers"], int(ends[-1]) if streams else 0, 0, len(parsed) - 1, "numbers")
    alphabet = np.array([alphabet for _, alphabet in parsed], np.int64)
    return Codes(codes, records, alphabet, counts, ends - counts, numbers)
