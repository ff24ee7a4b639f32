"""The layout that is chosen is exactly the smallest of all, and takes the bytes it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz.entropy import coding
from dcz.tensor import choose, to_words
from dcz.tensor.choose import PROFILES, Encoding
from dcz.tensor.encoded import write
from dcz.tensor.streams import Analysis
from support.arrays import CODES, LARGE, WIDE_CODES, arrays, large, make_array
from support.layouts import encodings


def least(array: np.ndarray, profile: str) -> int:
    """By trying them all."""
    analysis = Analysis(to_words(array, "w"))
    return min(
        encoding.cost for encoding in (choose.as_it_is(analysis), *choose.candidates(analysis, PROFILES[profile]))
    )


def least_with_zstd(array: np.ndarray, profile: str) -> int:
    """By trying them all, with zstd on those within `with_slack` of the smallest without it."""
    analysis = Analysis(to_words(array, "w"))
    whole = choose.as_it_is(analysis)
    every = [whole, *choose.candidates(analysis, PROFILES[profile])]
    limit = choose.with_slack(min(encoding.cost for encoding in every))
    near = [encoding for encoding in every if encoding.cost <= limit]
    best = min(
        encoding.cost
        if encoding is whole
        else encoding.cost + sum(stream.with_zstd.cost - stream.cost for stream in encoding.streams)
        for encoding in near
    )
    stream = whole.streams[0]
    return min(best, whole.cost + coding.compressed(stream, best).cost - stream.cost)


def chosen(array: np.ndarray, profile: str) -> Encoding:
    return choose.choose(Analysis(to_words(array, "w")), profile)


@contextmanager
def without_zstd() -> Iterator[None]:
    """No sample is promising, so that zstd is never tried."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dcz.entropy.zstd.promising", lambda symbols, stored: False)
        yield


@without_zstd()
def chosen_without_zstd(array: np.ndarray, profile: str) -> int:
    return chosen(array, profile).cost


@given(array=arrays(codes=WIDE_CODES), profile=st.sampled_from(list(PROFILES)))
def test_no_candidate_is_smaller(array: np.ndarray, profile: str) -> None:
    if array.size:
        assert chosen_without_zstd(array, profile) == least(array, profile)


@given(array=arrays(codes=tuple(code for code in CODES if code not in WIDE_CODES)))
def test_no_candidate_is_smaller_for_bytes(array: np.ndarray) -> None:
    if array.size:
        assert chosen_without_zstd(array, "auto") == least(array, "auto")


@pytest.mark.parametrize("profile", ["auto", "paper"])
@pytest.mark.parametrize("name", LARGE)
def test_no_candidate_is_smaller_over_many_chunks(name: str, profile: str) -> None:
    array = large(name)
    assert chosen_without_zstd(array, profile) == least(array, profile)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2000, 60_000),
    density=st.floats(0.01, 0.99),
    distinct=st.integers(1, 2000),
    code=st.sampled_from(["F16", "BF16", "F32", "I32"]),
)
def test_no_candidate_is_smaller_near_the_crossings(
    seed: int, n: int, density: float, distinct: int, code: str
) -> None:
    array = make_array(seed, code, (n,), density, distinct, "float")
    assert chosen_without_zstd(array, "auto") == least(array, "auto")


@given(array=arrays())
def test_zstd_never_makes_it_larger(array: np.ndarray) -> None:
    if array.size:
        for profile in ("auto", "dense"):
            assert chosen(array, profile).cost <= least(array, profile)


@given(array=arrays(codes=WIDE_CODES), profile=st.sampled_from(["auto", "dense"]))
def test_no_candidate_is_smaller_with_zstd(array: np.ndarray, profile: str) -> None:
    if array.size:
        assert chosen(array, profile).cost == least_with_zstd(array, profile)


@pytest.mark.parametrize("profile", ["auto", "dense"])
@pytest.mark.parametrize("name", LARGE)
def test_no_candidate_is_smaller_with_zstd_over_many_chunks(name: str, profile: str) -> None:
    array = large(name)
    assert chosen(array, profile).cost == least_with_zstd(array, profile)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2000, 60_000),
    density=st.floats(0.01, 0.99),
    distinct=st.integers(1, 2000),
    period=st.sampled_from([1, 7, 64, 500]),
    code=st.sampled_from(["F16", "BF16", "F32", "I32"]),
)
def test_no_candidate_is_smaller_with_zstd_near_the_crossings(
    seed: int, n: int, density: float, distinct: int, period: int, code: str
) -> None:
    """Half of the tensor repeats the beginning, as masks and copies do."""
    array = make_array(seed, code, (n,), density, distinct, "float")
    array[n // 2 :] = np.resize(array[:period], n - n // 2)
    assert chosen(array, "auto").cost == least_with_zstd(array, "auto")


def test_planes_win_by_zstd_over_groups() -> None:
    """Small steps in 16 bits: the high byte is nearly always zero, which zstd says in less than a bit."""
    rng = np.random.Generator(np.random.PCG64(1))
    steps = np.minimum(rng.geometric(0.03, (512, 2048)) * 2 + rng.integers(0, 2, (512, 2048)), 65535)
    array = np.where(rng.random(steps.shape) < 0.05, steps, 0).astype("<u2")
    analysis = Analysis(to_words(array, "w"))
    without = min(choose.candidates(analysis, PROFILES["auto"]), key=lambda encoding: encoding.cost)
    assert without.codebook is not None and without.codebook.group
    assert chosen(array, "auto").values == "planes"
    assert chosen(array, "auto").cost == least_with_zstd(array, "auto") < without.cost


def written(encoding: Encoding) -> int:
    layout, parts = write(encoding)
    assert layout.stored == sum(len(part) for part in parts)
    return layout.stored


def counted(encoding: Encoding) -> int:
    """The part of the cost that is bytes of the segment."""
    streams = [*encoding.streams, *(encoding.codebook.planes if encoding.codebook else ())]
    return sum(int(stream.sizes.sum()) for stream in streams)


@given(array=arrays(), profile=st.sampled_from(list(PROFILES)))
def test_the_cost_is_what_is_written(array: np.ndarray, profile: str) -> None:
    if array.size:
        encoding = chosen(array, profile)
        assert written(encoding) == counted(encoding) <= encoding.cost


@given(array=arrays(most=3000))
def test_the_cost_of_every_candidate_is_what_is_written(array: np.ndarray) -> None:
    if array.size:
        for encoding in encodings(array):
            assert written(encoding) == counted(encoding) <= encoding.cost


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_takes_its_own_positions_or_nothing(profile: str) -> None:
    array = make_array(5, "F32", (4000,), 0.3, 16, "float")
    encoding = chosen(array, profile)
    assert encoding.positions in PROFILES[profile] or encoding.values == "bytes"
    assert (encoding.values == "bytes") == (profile == "raw")


def test_several_code_tables_where_rows_differ() -> None:
    """Rows of very different density, as in a real transformer: one table for all would cost more."""
    rng = np.random.Generator(np.random.PCG64(8))
    rows = np.repeat([0.02, 0.5], 200_000)
    array = np.where(rng.random(400_000) < rows, rng.choice(np.float32([1, 2, 3]), 400_000), np.float32(0))
    encoding = chosen(array, "auto")
    assert max(len(stream.codes) for stream in encoding.streams) > 1
