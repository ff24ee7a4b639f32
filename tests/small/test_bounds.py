"""Small, and never bigger: what a file may take beyond its arrays, and what known arrays take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.tensor import PROFILES
from support.arrays import LARGE, arrays, large

# Prelude, trailer, and an index with one tensor.
ONE_TENSOR = 512


@given(array=arrays(), profile=st.sampled_from(list(PROFILES)))
def test_one_array_never_gets_bigger(array: np.ndarray, profile: str) -> None:
    assert len(dcz.save({"w": array}, profile=profile)) <= array.nbytes + ONE_TENSOR


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", LARGE)
def test_large_arrays_never_get_bigger(name: str, profile: str) -> None:
    array = large(name)
    assert len(dcz.save({"w": array}, profile=profile)) <= array.nbytes + ONE_TENSOR


def test_ten_megabytes_of_random_bytes() -> None:
    array = np.random.Generator(np.random.PCG64(1)).integers(0, 256, 10_000_000, np.uint8)
    assert len(dcz.save({"w": array})) <= array.nbytes + 4096


def test_a_thousand_tensors_of_ten_floats() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    tensors = {f"layers.{i}.weight": rng.standard_normal(10).astype("<f4") for i in range(1000)}
    assert len(dcz.save(tensors)) <= 40_000 + 60_000


@pytest.mark.parametrize("value", [0.0, 1.5, np.nan])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2"])
def test_constant_tensors_take_next_to_nothing(value: float, dtype: str) -> None:
    assert len(dcz.save({"w": np.full((2000, 1000), value, dtype)})) <= 400


@pytest.mark.parametrize("dtype", ["|u1", "|i1", "|b1"])
def test_constant_bytes_take_next_to_nothing(dtype: str) -> None:
    for value in (0, 1):
        assert len(dcz.save({"w": np.full(3_000_000, value, dtype)})) <= 400


def test_dense_gaussian_bfloat16() -> None:
    """22.3 MB for 4096 x 4096: 0.6646 of the array; a sixteenth of it here."""
    values = np.random.Generator(np.random.PCG64(3)).standard_normal(1 << 20).astype("<f4") * np.float32(0.02)
    words = (values.view("<u4") >> 16).astype("<u2")
    array = words.view(dcz.dtypes.DTYPES["BF16"].numpy()).reshape(1024, 1024)
    assert len(dcz.save({"w": array})) <= 0.6646 * array.nbytes


def test_a_layer_of_the_paper() -> None:
    """Han et al. 2016, Table 4, fc6 of AlexNet: 9 % of the weights and 5-bit clusters take 3.0 % of the dense
    layer without, and about 2.4 % with Huffman coding. A tenth of its rows."""
    rng = np.random.Generator(np.random.PCG64(4))
    weights = rng.standard_normal((410, 9216)).astype("<f4")
    kept = np.abs(weights) > np.quantile(np.abs(weights[:20]), 0.91)
    steps = np.round(weights * 6) / 6
    array = np.where(kept, steps, 0).astype("<f4")
    assert 0.08 < kept.mean() < 0.10 and len(np.unique(array)) <= 64
    sizes = {profile: len(dcz.save({"w": array}, profile=profile)) for profile in PROFILES}
    assert sizes["auto"] <= min(sizes["csr"], sizes["bitmap"], sizes["dense"]) + 64
    assert sizes["auto"] <= 1.002 * sizes["paper"]  # narrow indices are left to that profile, for speed
    assert sizes["paper"] <= 0.028 * array.nbytes
    assert sizes["auto"] <= 0.026 * array.nbytes
