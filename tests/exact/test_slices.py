"""A slice is what numpy's slice is, and reads only the chunks it touches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices

import dcz
from dcz import limits
from dcz.errors import DczError, LimitError
from dcz.tensor import PROFILES
from support.arrays import CODES, large, make_array, shapes
from support.bits import assert_same_bits
from support.files import CountingFile


@given(data=st.data())
def test_any_basic_index(data: st.DataObject) -> None:
    shape = data.draw(shapes(3000))
    array = make_array(
        seed=data.draw(st.integers(0, 999)),
        code=data.draw(st.sampled_from(CODES)),
        shape=shape,
        density=data.draw(st.floats(0, 1)),
        distinct=data.draw(st.sampled_from([1, 20, 1000])),
    )
    key = data.draw(basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    reader = dcz.open(dcz.save({"w": array}, profile=data.draw(st.sampled_from(list(PROFILES)))))
    assert_same_bits(reader.get_slice("w")[key], array[key])


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        (3, 400),
        (-300, -1),
        np.int64(7),
        (),
        ...,
        None,
        slice(None),
        slice(None, None, -1),
        slice(100, 90, -3),
        slice(5, 5),
        slice(10**9, None),
        (..., 7),
        (slice(250, 350, 50), slice(None, None, -250)),
        (None, 5, ..., None, slice(2)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["pruned and clustered float32", "dense palette float32"])
def test_over_many_chunks(name: str, key: object) -> None:
    array = large(name)
    assert_same_bits(dcz.open(dcz.save({"w": array})).get_slice("w")[key], array[key])


@pytest.mark.parametrize("key", [7, -8, (0, 3), (0, 0, 0), (slice(None), 5)])
def test_what_is_out_of_range_is_numpys_error(key: object) -> None:
    array = np.zeros((7, 3), "<f4")
    with pytest.raises(IndexError) as expected:
        array[key]
    with pytest.raises(IndexError) as found:
        dcz.open(dcz.save({"w": array})).get_slice("w")[key]
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("key", [[0, 1], np.array([0]), True, (0, False), "a", 1.0, (slice(None), [0])])
def test_other_indices_are_refused(key: object) -> None:
    with pytest.raises(DczError, match="slice of tensor 'w'.*read the whole tensor"):
        dcz.open(dcz.save({"w": np.zeros((7, 3))})).get_slice("w")[key]


def test_shape_and_dtype() -> None:
    view = dcz.open(dcz.save({"w": make_array(1, "BF16", (7, 3))})).get_slice("w")
    assert view.shape == (7, 3) and view.get_shape() == [7, 3]
    assert view.get_dtype() == "BF16" and view.dtype.name == "bfloat16"


@pytest.mark.parametrize(
    "name", ["pruned and clustered float32", "very sparse float32", "too many values for a codebook"]
)
@pytest.mark.parametrize("start", [0, 350_000, 699_990])
def test_only_chunks_that_are_touched_are_read(name: str, start: int) -> None:
    array = large(name).reshape(-1)
    file = CountingFile(dcz.save({"w": array}))
    reader = dcz.open(file)
    info = reader.info("w")
    view = reader.get_slice("w")
    view[:1]  # reads the codebook, once
    file.reads.clear()
    found = view[start : start + 10]
    assert_same_bits(found, array[start : start + 10])
    first, last = start // info.layout.chunk, (start + 9) // info.layout.chunk
    expected = sum(sum(stream.lengths[first : last + 1]) for stream in info.layout.streams)
    padding = reader._store.entry("w").padding if first == 0 else 0  # checked with the first chunk
    assert file.bytes_read == expected + padding
    assert len(info.layout.crc32c) > 1 and expected < info.stored


def test_an_empty_slice_reads_nothing() -> None:
    file = CountingFile(dcz.save({"w": large("pruned and clustered float32")}))
    reader = dcz.open(file)
    file.reads.clear()
    assert reader.get_slice("w")[5:5].shape == (0, 1000)
    assert file.bytes_read == 0


def test_a_slice_may_not_expand_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few stored bytes can be many weights: what `load_file` refuses, a slice refuses."""
    monkeypatch.setattr(limits, "FREE_EXPANSION_BYTES", 1 << 20)
    reader = dcz.open(dcz.save({"w": np.zeros(1 << 18, "<f8")}))
    assert reader.get_slice("w")[: 1 << 17].nbytes == 1 << 20
    with pytest.raises(LimitError, match="decoding needs 1048584 bytes"):
        reader.get_slice("w")[: (1 << 17) + 1]


@pytest.mark.parametrize(
    "key",
    [np.s_[5000:5003], np.s_[::1000, ::9], np.s_[:, 7], np.s_[-1:0:-777, 1500:0:-3], np.s_[..., ::500, None]],
    ids=["rows", "every thousandth row", "a column", "backwards", "a new axis"],
)
def test_memory_is_that_of_the_slice(key: object) -> None:
    """Nothing is as large as the tensor: a few chunks at a time beside what is returned."""
    array = np.zeros((10_000, 2_000), "<i2")
    array[::3, ::5] = 7
    data = dcz.save({"w": array})
    reader = dcz.open(data)
    chunk = 2 * reader.info("w").layout.chunk
    view = reader.get_slice("w")
    view[0, 0]
    tracemalloc.start()
    found = view[key]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_same_bits(found, array[key])
    pieces = 1000 * (array.size // (chunk // 2) + 1 + len(found))  # what describes them
    assert peak < found.nbytes + 3 * chunk + pieces + (1 << 20) and peak < array.nbytes


def test_each_chunk_is_read_once() -> None:
    array = large("pruned and clustered float32")
    file = CountingFile(dcz.save({"w": array}))
    reader = dcz.open(file)
    file.reads.clear()
    assert_same_bits(reader.get_slice("w")[::-1, ::-1], array[::-1, ::-1])
    assert file.bytes_read == reader.info("w").stored
    assert len(file.reads) < len(reader.info("w").layout.crc32c)
