"""A vector without its last bytes is refused, wherever it ends, and so is one with a byte more."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance import FOLDER
from reference_decoder import Refused, check_index

import dcz

FILES = sorted(FOLDER.glob("valid/*.dcz"))
EVERY = 5000  # bytes up to which every place is tried, of longer files as many


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_truncated_and_appended(path: Path) -> None:
    data = path.read_bytes()
    step = max(1, len(data) // EVERY)
    for end in range(0, len(data), step):
        with pytest.raises((dcz.TruncatedError, dcz.ChecksumError, dcz.FormatError)):
            dcz.open(data[:end])
    for more in (b"\0", b"\x89", data[:1], data):
        with pytest.raises((dcz.TruncatedError, dcz.FormatError)):
            dcz.open(data + more)
        with pytest.raises(Refused):
            check_index(data + more)
    for end in range(0, len(data), 97 * step):
        with pytest.raises(Refused):
            check_index(data[:end])
