"""What is stored comes back bit for bit, whatever its shape, dtype, values and place in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dcz
from dcz import kernels
from dcz.dtypes import DTYPES
from dcz.kernels import Kernels
from dcz.tensor import PROFILES
from support.arrays import CODES, LARGE, MEMORY, PATTERNS, arrays, distinct_words, hostile_words, large, make_array
from support.bits import assert_same_bits, little_endian


@given(array=arrays(), profile=st.sampled_from(list(PROFILES)))
def test_any_array(kernel_set: Kernels, array: np.ndarray, profile: str) -> None:
    before = array.tobytes()
    flags = array.flags.writeable
    with kernels.use(kernel_set):
        data = dcz.save({"w": array}, profile=profile, threads=1)
        found = dcz.load(data, threads=1)
        decoded = dcz.verify(data, threads=1).decoded
    assert list(found) == ["w"]
    assert_same_bits(found["w"], array)
    assert decoded == array.nbytes
    assert array.tobytes() == before and array.flags.writeable == flags


@pytest.mark.parametrize("code", DTYPES)
def test_which_types_are_numpys_own(code: str) -> None:
    assert DTYPES[code].in_numpy == (DTYPES[code].numpy().type.__module__ == "numpy")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", LARGE)
def test_many_chunks(name: str, profile: str) -> None:
    array = large(name)
    data = dcz.save({"w": array}, profile=profile)
    assert_same_bits(dcz.load(data)["w"], array)
    assert dcz.verify(data).decoded == array.nbytes


@pytest.mark.parametrize("name", LARGE)
def test_many_chunks_on_each_kernel_set(kernel_set: Kernels, name: str) -> None:
    array = large(name)
    with kernels.use(kernel_set):
        assert_same_bits(dcz.load(dcz.save({"w": array}))["w"], array)


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("code", CODES)
def test_each_dtype_in_each_memory_order(code: str, memory: str) -> None:
    array = make_array(7, code, (13, 4, 5), density=0.4, distinct=9, pattern="random", memory=memory)
    data = dcz.save({"w": array})
    assert_same_bits(dcz.load(data)["w"], array)
    assert data == dcz.save({"w": make_array(7, code, (13, 4, 5), density=0.4, distinct=9, pattern="random")})


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1), (511,), (512,), (513,), (1024,)])
def test_small_and_empty_shapes(code: str, shape: tuple[int, ...]) -> None:
    for density in (0.0, 0.5, 1.0):
        array = make_array(11, code, shape, density, pattern="hostile")
        for profile in PROFILES:
            assert_same_bits(dcz.load(dcz.save({"w": array}, profile=profile))["w"], array)


@pytest.mark.parametrize("code", CODES)
def test_every_bit_pattern_of_a_byte_and_of_two(code: str) -> None:
    dtype = DTYPES[code]
    words = np.arange(1 << min(16, dtype.bits), dtype=f"<u{dtype.word}")
    words <<= np.array(8 * dtype.word - min(16, 8 * dtype.word), words.dtype)  # the highest bits: exponents, signs
    array = words.view(dtype.numpy())
    for profile in ("auto", "csr", "dense"):
        assert_same_bits(dcz.load(dcz.save({"w": array}, profile=profile))["w"], array)


@pytest.mark.parametrize("distinct", [200, 5000])
def test_all_weights_in_one_place(kernel_set: Kernels, distinct: int) -> None:
    """Chunks are cut by the average density: here one is full, and too long for the sizes of Huffman's lanes."""
    array = np.zeros(12_000_000, "<f2")
    array[:1_300_000] = make_array(1, "U16", (1_300_000,), 1.0, distinct, "counter").view("<f2")
    with kernels.use(kernel_set):
        data = dcz.save({"w": array}, profile="bitmap")
        assert_same_bits(dcz.load(data)["w"], array)
        info = dcz.open(data).info("w")
    assert max(info.layout.nonzeros) > 6 * 65_536
    kinds = [{code.kind for code in stream.codes} for stream in info.layout.streams]
    assert {"raw", "huffman"} in kinds, kinds


@pytest.mark.parametrize("value", [-0.0, np.nan, np.inf, 5e-324])
def test_values_that_compare_oddly(value: float) -> None:
    """Negative zero is a value like any other; NaN equals itself."""
    array = np.zeros(10_000)
    array[::7] = value
    found = dcz.load(dcz.save({"w": array}))["w"]
    assert_same_bits(found, array)
    assert np.count_nonzero(found.view("<u8")) == len(array[::7])


@pytest.mark.parametrize("array", [np.float32(1.5), np.True_, np.complex64(1 - 2j), np.uint64(2**64 - 1)])
def test_numpy_scalars(array: np.generic) -> None:
    assert_same_bits(dcz.load(dcz.save({"w": array}))["w"], array)


def test_arrays_that_share_memory_with_themselves() -> None:
    wide = np.broadcast_to(np.float32([1, 0, -0.0]), (1000, 3))
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(40, dtype="<i2"), 8)
    found = dcz.load(dcz.save({"a": wide, "b": windows}))
    assert_same_bits(found["a"], wide)
    assert_same_bits(found["b"], windows)


def test_subclasses_are_stored_as_arrays() -> None:
    matrix = np.arange(6, dtype="<f4").reshape(2, 3).view(np.recarray)
    assert_same_bits(dcz.load(dcz.save({"w": matrix}))["w"], np.asarray(matrix))


@settings(max_examples=50)
@given(seed=st.integers(0, 999), number=st.integers(0, 12))
def test_many_tensors_in_one_file(seed: int, number: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    tensors = {
        f"layer.{i}": make_array(seed + i, CODES[rng.integers(len(CODES))], tuple(rng.integers(0, 20, 2)), rng.random())
        for i in range(number)
    }
    found = dcz.load(dcz.save(tensors))
    assert sorted(found) == sorted(tensors)
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_the_arrays_under_test_are_what_they_claim() -> None:
    """The generators above must produce the cases their parameters name."""
    assert (hostile_words(4) == 0x80000000).any() and np.isnan(hostile_words(8).view("<f8")).any()
    for pattern in PATTERNS:
        assert len(np.unique(distinct_words(np.random.default_rng(1), 8, 5000, pattern))) > 4900
    assert len(np.unique(large("70,000 values and zeros"))) > 65_536
    swapped = make_array(1, "F32", (3,), memory="big-endian")
    assert swapped.dtype.byteorder == ">" and little_endian(swapped) == make_array(1, "F32", (3,)).tobytes()
    assert not make_array(1, "F32", (3, 3), memory="F").flags.c_contiguous
    assert not make_array(1, "F32", (5,), memory="unaligned").flags.aligned
    assert make_array(1, "F32", (5,), memory="reversed").strides[0] < 0
    chunks = {name: len(dcz.open(dcz.save({"w": large(name)})).info("w").layout.crc32c) for name in LARGE}
    assert sum(count > 1 for count in chunks.values()) >= len(LARGE) - 3, chunks
