"""Tensors clustered group by group come back bit for bit, and take a codebook per group where that is smaller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.kernels import Kernels
from dcz.tensor import groups, to_words
from support.bits import assert_same_bits


def grouped(seed: int, groups: int, size: int, k: int, density: float, dtype: str) -> np.ndarray:
    """Each row has `k` random values of its own, and zeros."""
    rng = np.random.Generator(np.random.PCG64(seed))
    values = rng.standard_normal((groups, k)).astype(dtype)
    out = np.take_along_axis(values, rng.integers(0, k, (groups, size)), axis=1)
    out[rng.random(out.shape) >= density] = 0
    return out


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<f8"])
@pytest.mark.parametrize("density", [1.0, 0.4])
def test_groups_are_found(kernel_set: Kernels, dtype: str, density: float) -> None:
    array = grouped(1, 64, 1024, 16, density, dtype)
    with kernels.use(kernel_set):
        data = dcz.save({"w": array})
        reader = dcz.open(data)
        book = reader.info("w").layout.codebook
        assert book is not None and book.group == 1024 and book.entries <= 17
        assert_same_bits(reader["w"], array)
        assert_same_bits(reader.get_slice("w")[5:9, 100:], array[5:9, 100:])
    assert dcz.verify(data).tensors == 1
    assert len(data) < 0.35 * array.nbytes


def test_all_kernel_sets_write_the_same() -> None:
    array = grouped(2, 40, 512, 9, 0.7, "<f4")
    files = set()
    for kernel_set in kernels.available().values():
        with kernels.use(kernel_set):
            files.add(dcz.save({"w": array}))
    assert len(files) == 1


@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(2, 60),
    size=st.sampled_from([64, 128, 256, 576, 1024, 4096]),
    k=st.integers(1, 300),
    density=st.sampled_from([1.0, 0.9, 0.3, 0.02]),
    dtype=st.sampled_from(["<f2", "<f4", "<f8", "<i4"]),
)
def test_any_groups(kernel_set: Kernels, seed: int, groups: int, size: int, k: int, density: float, dtype: str) -> None:
    array = grouped(seed, groups, size, k, density, dtype)
    with kernels.use(kernel_set):
        assert_same_bits(dcz.load(dcz.save({"w": array}))["w"], array)


@pytest.mark.parametrize("density", [0.003, 0.01, 0.05])
def test_a_sparse_tensor_of_many_values_has_no_groups(density: float) -> None:
    """Each row has few distinct words only because it has few nonzeros: a codebook for each cannot pay."""
    rng = np.random.Generator(np.random.PCG64(3))
    array = np.where(rng.random((128, 2048)) < density, rng.integers(1, 65536, (128, 2048)), 0).astype("<u2")
    assert groups.find(to_words(array, "w")) is None


def test_groups_of_a_sparse_tensor_are_found_over_several_rows() -> None:
    """A row of 64 nonzeros cannot tell 64 values apart from 64 random ones; some rows together can."""
    values = np.random.Generator(np.random.PCG64(4)).standard_normal((8, 64)).astype("<f4")
    rng = np.random.Generator(np.random.PCG64(5))
    index = rng.integers(0, 64, (128, 2048))
    array = np.where(rng.random(index.shape) < 1 / 32, values[np.arange(128)[:, None] // 16, index], np.float32(0))
    found = groups.find(to_words(array, "w"))
    assert found is not None and found.size == 16 * 2048 and found.entries == 64
    assert_same_bits(dcz.load(dcz.save({"w": array}))["w"], array)


def test_a_tensor_that_begins_with_zeros_may_have_groups() -> None:
    array = grouped(6, 64, 1024, 16, 1.0, "<f4")
    array[:5] = 0
    assert groups.find(to_words(array, "w")) is not None
