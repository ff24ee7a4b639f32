"""Tensors in several layouts, and the check that a file made of them is refused."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz.errors import FormatError
from support.arrays import make_array
from support.layouts import in_layout

ARRAY = make_array(1, "F32", (50, 20), 0.3, 9, "float")
TENSORS = {
    "rel": in_layout(ARRAY, "relative8", "codebook"),
    "bit": in_layout(ARRAY, "bitmap", "planes"),
    "all": in_layout(ARRAY, "all", "codebook"),
    "raw": in_layout(ARRAY, "all", "bytes"),
    "wide": in_layout(np.arange(300, dtype="<i4"), "all", "codebook"),
}


def refusal(data: bytes, message: str, error: type[Exception] = FormatError) -> None:
    for read in (dcz.load, dcz.verify):
        with pytest.raises(error, match=message) as raised:
            read(data)
        assert type(raised.value) is error and "\n" not in str(raised.value)
