"""Tensors clustered group by group come back bit for bit, and take a codebook per group where that is smaller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.kernels import Kernels
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
