"""The reference decoder, which is written from SPEC.md alone and lies beside it, with arrays in place of bytes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ml_dtypes  # noqa: F401  (numpy then knows its types by name)
import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[2] / "spec"

sys.path.insert(0, str(FOLDER))
try:
    import reference_decoder as decoder
finally:
    sys.path.remove(str(FOLDER))

_CODES = {np.dtype(about.name): code for code, about in decoder.DTYPES.items()}


def load(data: bytes, base: Mapping[str, NDArray] | None = None) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """All arrays of a file that can be decoded, and its metadata."""
    contents = None
    if base is not None:
        arrays = {name: np.asarray(array) for name, array in base.items()}
        contents = {
            name: decoder.Content(_CODES[array.dtype], list(array.shape), array.tobytes())
            for name, array in arrays.items()
        }
    found, index = decoder.read(data, contents)
    out = {
        name: np.frombuffer(each.data, decoder.DTYPES[each.dtype].name).reshape(each.shape)
        for name, each in found.items()
        if each is not None
    }
    return out, index.metadata


reference = SimpleNamespace(**vars(decoder), load=load)
