"""A difference whose result has bits above a four-bit element is refused, in place too, where it is taken back."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from support.conformance import SPEC

VECTORS = SPEC / "vectors"


@pytest.mark.parametrize("transform", ["step", "xor", "replace"])
def test_in_place(transform: str) -> None:
    base = {name: array.copy() for name, array in dcz.load_file(VECTORS / "valid" / "delta-base.dcz").items()}
    before = {name: array.tobytes() for name, array in base.items()}
    file = VECTORS / "invalid" / f"delta-high-bits-{transform}.dcz"
    with pytest.raises(dcz.FormatError, match="bits above"):
        dcz.apply_delta(base, file)
    assert {name: array.tobytes() for name, array in base.items()} == before
    with pytest.raises(dcz.FormatError, match="bits above"):
        dcz.load_file(file, base=base)
    assert np.array_equal(base["f4"].view(np.uint8), np.arange(16))
