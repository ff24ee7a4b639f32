"""Two models of which the second is the first after a step: anything may have changed, or nothing."""

from __future__ import annotations

import io
from collections.abc import Mapping
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st

import dcz
from dcz.dtypes import DTYPES
from dcz.tensor import chunking
from support.arrays import make_array

DENSITIES = (0.0, 0.001, 0.01, 0.1, 0.5, 1.0)
TRANSFORMS = ("auto", "step", "xor", "replace")


def changed(array: np.ndarray, seed: int, density: float, kind: str) -> np.ndarray:
    """The same array with a share of its words changed: by one step (`near`), to anything (`far`), to hostile patterns
    and zero (`odd`)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    word = DTYPES[code_of(array)].word
    bits = array.reshape(-1).view(f"<u{word}").copy()
    at = np.flatnonzero(rng.random(bits.size) < density)
    if kind == "near":
        bits[at] += rng.choice(np.array([1, np.iinfo(bits.dtype).max], bits.dtype), len(at))
    else:
        pattern, distinct = ("hostile", 40) if kind == "odd" else ("random", 500)
        other = make_array(seed + 1, code_of(array), (array.size + 1,), 0.8, distinct, pattern)
        bits[at] = np.resize(other.view(bits.dtype), bits.size)[at]
    bits &= bits.dtype.type((1 << DTYPES[code_of(array)].bits) - 1)  # of types narrower than a byte
    return bits.view(array.dtype).reshape(array.shape)


def code_of(array: np.ndarray) -> str:
    return next(code for code, dtype in DTYPES.items() if dtype.numpy() == array.dtype)


@st.composite
def pairs(draw: st.DrawFn, most: int = 5000, codes: tuple[str, ...] = tuple(DTYPES)) -> tuple[np.ndarray, np.ndarray]:
    """A base and what became of it."""
    code = draw(st.sampled_from(codes))
    shape = draw(st.sampled_from([(), (1,), (7,), (most,), (most // 10, 10), (3, most // 30, 10)]))
    seed = draw(st.integers(0, 2**32 - 10))
    distinct, pattern = draw(st.sampled_from([(16, "float"), (5000, "float"), (40, "hostile"), (300, "random")]))
    base = make_array(seed, code, shape, draw(st.sampled_from([0.1, 1.0])), distinct, pattern)
    kind = draw(st.sampled_from(["near", "far", "odd"]))
    return base, changed(base, seed, draw(st.sampled_from(DENSITIES)), kind)


def delta(
    new: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray], *, symbols: int = 65_536, **options: object
) -> bytes:
    """The file that turns one into the other, in chunks of about so many changes."""
    file = io.BytesIO()
    with patch.object(chunking, "TARGET_SYMBOLS", symbols):
        dcz.save_delta(new, file, base=base, **options)
    return file.getvalue()


def copied(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same in other memory."""
    return {name: array.copy() for name, array in tensors.items()}


def same(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """Names, dtypes, shapes and every bit."""
    return a.keys() == b.keys() and all(
        (x.dtype, x.shape, x.tobytes()) == (b[name].dtype, b[name].shape, b[name].tobytes()) for name, x in a.items()
    )
