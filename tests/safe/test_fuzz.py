"""The campaign of `tests/fuzz.py` gets past checksums, to what they protect."""

from __future__ import annotations

import random

import fuzz

from dcz import kernels


def test_changed_bits_have_right_checksums() -> None:
    """Otherwise every change of a codebook or of what lies behind one would end at its checksum."""
    rng, ends = random.Random(1), set()
    files = fuzz.corpus(0)
    for file in files:
        case = fuzz.Case(file)
        for _ in range(4):
            case._bits(rng)
            case._fix_checksums()
            ends.add(case.run(kernels.active()))
    assert {"CHECKSUM", "BOOK_CHECKSUM"}.isdisjoint(ends), ends
    assert {"ok", "BOOK", "ORDER"} <= ends, ends
