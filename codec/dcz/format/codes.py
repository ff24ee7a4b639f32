"""The index's columns of codes: those of the file, and which of them each stream has (SPEC 5 and 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.entropy.code import UNKNOWN_ALPHABET, records_of
from dcz.errors import FormatError
from dcz.format.integers import I64, Integers
from dcz.kernels.interface import MAX_CODES

__all__ = ["KEYS", "UNKNOWN_ALPHABET", "Codes", "read_codes"]

KEYS = ("codes", "counts", "numbers")


@dataclass(frozen=True)
class Codes:
    """The file's codes as the index has them and as kernels take them, and the symbols of each; then for each stream
    the number of its codes, and where they begin in `numbers`."""

    plain: list[str | bytes]
    records: NDArray[np.uint8]
    alphabet: I64
    counts: I64
    first: I64
    numbers: I64

    def highest(self) -> I64:
        """For each stream, one more than the highest symbol that its codes are known to have, or less than zero."""
        return np.maximum.reduceat(self.alphabet[self.numbers], self.first)


def read_codes(plain: Mapping[str, object], integers: Integers, streams: int) -> Codes:
    """Read the codes of a file whose tensors have these numbers of streams."""
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
    found, alphabets = records_of(codes)
    records = np.frombuffer(found, np.uint8)
    wrong = kernels.active().check_codes(records)
    if wrong < len(codes):
        raise FormatError(f"index: codes[{wrong}]: the lengths form no complete prefix code of at most 12 bits")
    counts = integers.take("counts", streams, 1, MAX_CODES)
    ends = counts.cumsum()
    numbers = integers.take("numbers", int(ends[-1]) if streams else 0, 0, len(codes) - 1)
    return Codes(codes, records, np.array(alphabets, np.int64), counts, ends - counts, numbers)
