"""Relative indices of 16 bits, in two streams: for tensors with one nonzero in hundreds of weights."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.kernels import Kernels
from support.arrays import make_array
from support.bits import assert_same_bits
from support.forging import forge
from support.layouts import encodings, in_layout, stored


@pytest.mark.parametrize("code", ["F32", "BF16", "U8", "F64", "C64"])
@pytest.mark.parametrize("values", ["codebook", "planes"])
def test_every_word(kernel_set: Kernels, code: str, values: str) -> None:
    array = make_array(2, code, (300_000,), 0.0007, 40, "hostile")
    found = [e for e in encodings(array) if (e.positions, e.values) == ("relative16", values)]
    for encoding in found:
        data = forge({"w": stored(array, encoding)})
        with kernels.use(kernel_set), dcz.open(data) as reader:
            assert reader.info("w").layout.positions == "relative16"
            assert_same_bits(reader["w"], array)
            assert_same_bits(reader.get_slice("w")[70_000:200_000], array[70_000:200_000])
        dcz.verify(data)
    assert found or code in ("U8",) or values == "codebook"


@pytest.mark.parametrize("at", [[0], [65534], [65535], [65536], [131070, 131071], [0, 65536, 199_999], [131069], []])
def test_gaps_around_a_filler(kernel_set: Kernels, at: list[int]) -> None:
    array = np.zeros(200_000, "<u4")
    array[at] = np.arange(1, len(at) + 1)
    with kernels.use(kernel_set):
        each = in_layout(array, "relative16", "planes")
        assert each.layout.chunk >= 131_072 or len(at) == 0
        assert_same_bits(dcz.load(forge({"w": each}))["w"], array)
        if len(at):
            reader = dcz.open(forge({"w": each.__class__(**{**vars(each), "shape": (400, 500)})}))
            assert reader.get_csr("w").nnz == len(at)


def test_both_kernels_make_the_same_gaps(kernel_set: Kernels, pure: Kernels) -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    for density in (0.00001, 0.001, 0.5):
        bitmap = np.packbits(rng.random(300_001) < density, bitorder="little")
        count = int(np.unpackbits(bitmap).sum())
        for chunk in (512, 131_072, 1 << 20):
            found, expected = (k.gaps(bitmap, 300_001, chunk, 16, count) for k in (kernel_set, pure))
            assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("density", [0.0002, 0.001, 0.003, 0.02])
def test_the_writer_takes_them_where_they_are_smaller(density: float) -> None:
    array = make_array(5, "I8", (4_000_000,), density, 3)
    sizes = {e.positions: e.cost for e in sorted(encodings(array), key=lambda e: -e.cost)}
    data = dcz.save({"w": array}, profile="csr")
    layout = dcz.open(data).info("w").layout
    assert layout.positions == min(("relative8", "relative16"), key=sizes.__getitem__)
    if density <= 0.001:
        assert layout.positions == "relative16"
        assert layout.stored * 8 / np.count_nonzero(array) < {0.0002: 17.5, 0.001: 14}[density]
    assert_same_bits(dcz.load(data)["w"], array)


def test_places_that_lie(kernel_set: Kernels) -> None:
    """An index that leaves its chunk, and fillers that are not as many as the directory says."""
    array = np.zeros(200_000, "<u4")
    array[[3, 150_000]] = 7
    each = in_layout(array, "relative16", "planes")

    def change(key: str, by: int) -> bytes:
        return forge({"w": each}, lambda index: index[key].__setitem__(0, index[key][0] + by))

    with kernels.use(kernel_set):
        for data in (change("row_fillers", 1), change("row_fillers", -1), change("row_nonzeros", 1)):
            with pytest.raises(dcz.FormatError):
                dcz.load(data)


def test_few_changes_of_a_base(kernel_set: Kernels) -> None:
    """One step in five thousand words of a byte: places take 16 bits, not 27."""
    rng = np.random.Generator(np.random.PCG64(4))
    old = rng.integers(-100, 100, 3_000_000, np.int8)
    new = old + (rng.random(len(old)) < 0.0002).astype(np.int8)
    file = io.BytesIO()
    dcz.save_delta({"w": new}, file, base={"w": old})
    changed = np.count_nonzero(new != old)
    layout = dcz.open(file.getvalue()).info("w").layout
    assert layout.positions == "relative16" and 8 * layout.stored / changed < 18
    with kernels.use(kernel_set):
        tensors = {"w": old.copy()}
        dcz.apply_delta(tensors, file.getvalue())
        assert_same_bits(tensors["w"], new)
        assert_same_bits(dcz.load_file(file.getvalue(), base={"w": old})["w"], new)
