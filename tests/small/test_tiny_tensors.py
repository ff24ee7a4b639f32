"""Tensors of a few bytes get the layout that the search finds, without the search."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz.dtypes import DTYPES
from dcz.tensor import choose, encode, to_words
from dcz.tensor.choose import PROFILES
from dcz.tensor.encoded import AsItIs, write
from dcz.tensor.streams import Analysis
from dcz.tensor.tiny import LIMIT

WORDS = {1: "U8", 2: "BF16", 4: "F32", 8: "F64"}
INTEGERS = {2: "U16", 4: "I32", 8: "I64"}


def assert_as_searched(array: np.ndarray, profile: str) -> bool:
    """Same bytes and layout as by the search; says whether the short way decided."""
    words = to_words(array, "w")
    found = encode(words, profile)
    analysis = Analysis(words)
    layout, parts = write(choose.choose(analysis, profile))
    assert b"".join(part.tobytes() for part in found.parts()) == b"".join(part.tobytes() for part in parts)
    assert (found.layout(), found.stored, found.nonzeros) == (layout, layout.stored, analysis.nonzeros)
    return isinstance(found, AsItIs)


def of_bytes(data: bytes, code: str) -> np.ndarray:
    dtype = DTYPES[code]
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype.numpy())


@st.composite
def tiny(draw: st.DrawFn) -> np.ndarray:
    code = draw(st.sampled_from([*WORDS.values(), *INTEGERS.values(), "C64", "F16", "BOOL"]))
    few = [draw(st.binary(min_size=16, max_size=16)) for _ in range(draw(st.integers(1, 3)))]
    size = DTYPES[code].itemsize
    some = st.one_of(
        st.sampled_from([each[:size] for each in few] + [bytes(size)]), st.binary(min_size=size, max_size=size)
    )
    words = draw(st.lists(some, min_size=1, max_size=(LIMIT + size) // size))
    return of_bytes(b"".join(words), code)


@given(array=tiny(), profile=st.sampled_from(list(PROFILES)))
def test_tiny_tensors_are_stored_as_the_search_would(array: np.ndarray, profile: str) -> None:
    assert_as_searched(array, profile)


@pytest.mark.parametrize("code", [*WORDS.values(), *INTEGERS.values()])
def test_thousands_of_tiny_tensors_are_stored_as_the_search_would(code: str) -> None:
    rng = random.Random(code)
    size, short = DTYPES[code].itemsize, 0
    for _ in range(300):
        n, bits = rng.randint(1, LIMIT // size), rng.choice([1, 4, 7, 8, 8 * size])
        words = [rng.getrandbits(bits) << rng.choice([0, 8 * size - bits]) for _ in range(n)]
        zeros = rng.choice([0, 0, 0.3, 0.9])
        words = [0 if rng.random() < zeros else word for word in words]
        data = b"".join(word.to_bytes(size, "little") for word in words)
        short += assert_as_searched(of_bytes(data, code), "auto")
    assert short > 50


@pytest.mark.parametrize("code", ["U8", "BF16", "F32", "F64", "I64"])
@pytest.mark.parametrize("size", [8, 16, 24, 32, 40, 48, 56])
def test_random_words_need_no_search(code: str, size: int) -> None:
    assert assert_as_searched(of_bytes(np.random.default_rng(7).bytes(size), code), "auto")
