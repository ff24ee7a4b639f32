"""Tensors of equal words are stored once, and each loads as an array of its own (SPEC, `same_as`)."""

from __future__ import annotations

import io
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

import dcz
from dcz.container.duplicates import Duplicates
from support.arrays import make_array
from support.bits import assert_same_bits

ARRAY = make_array(3, "F32", (400, 300), 0.3, 900, "float")


def test_two_arrays_of_the_same_words(tmp_path: Path) -> None:
    tensors = {"a": ARRAY, "b": ARRAY.copy(), "c": ARRAY.reshape(300, 400), "d": ARRAY.copy()}
    tensors["tied"] = tensors["b"]
    path = tmp_path / "w.dcz"
    dcz.save_file(tensors, path)
    assert path.read_bytes() == dcz.save(tensors)
    assert path.stat().st_size < len(dcz.save({"a": ARRAY})) + 300
    found = dcz.load_file(path)
    for name, array in tensors.items():
        assert_same_bits(found[name], array)
    assert found["tied"] is found["b"] and found["b"] is not found["a"]
    found["a"][0, 0] = 77
    assert found["b"][0, 0] == ARRAY[0, 0]
    with dcz.open(path) as reader:
        infos = {name: reader.info(name) for name in reader}
        assert [infos[name].same_as for name in "abcd"] == [None, "a", "a", "a"]
        assert infos["b"].stored == 0 < infos["a"].stored and infos["b"].layout == infos["a"].layout
        assert_same_bits(reader["c"], tensors["c"])
        assert_same_bits(reader.get_slice("c")[17:30, 5:], tensors["c"][17:30, 5:])
        assert (reader.get_csr("d").toarray() == ARRAY).all()
    assert dcz.verify(path).tensors == 4


def test_same_words_of_another_dtype_are_stored() -> None:
    data = dcz.save({"a": ARRAY, "b": ARRAY.view("<i4")})
    assert dcz.open(data).info("b").same_as is None
    assert_same_bits(dcz.load(data)["b"], ARRAY.view("<i4"))


@pytest.mark.parametrize("profile", ["auto", "raw", "csr"])
def test_equal_checksums_are_not_enough(profile: str) -> None:
    """Different words whose checksums are equal are found to be different, and both are stored."""
    other = ARRAY.copy()
    other[7, 7] = 3.5
    file = io.BytesIO()
    with (
        patch.object(Duplicates, "candidates", lambda self, key: [c for each in self._found.values() for c in each]),
        dcz.Writer(file, profile=profile) as writer,
    ):
        writer.add("a", ARRAY)
        writer.add("b", other)
        writer.add("c", other.copy())
    with dcz.open(file.getvalue()) as reader:
        assert [reader.info(name).same_as for name in "abc"] == [None, None, "b"]
        for name, array in (("a", ARRAY), ("b", other), ("c", other)):
            assert_same_bits(reader[name], array)
    dcz.verify(file.getvalue())


def test_a_buffer_that_is_filled_anew() -> None:
    file, buffer = io.BytesIO(), np.empty(5000, np.float32)
    with dcz.Writer(file) as writer:
        for i in (1, 2, 1):
            buffer[:] = np.arange(5000) * i
            writer.add(f"{len(file.getvalue())}", buffer)
    found = list(dcz.load(file.getvalue()).values())
    assert [array[1] for array in found] == [1, 2, 1]


def test_where_nothing_can_be_read_back() -> None:
    class Pipe:
        def __init__(self) -> None:
            self.data = bytearray()

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with dcz.Writer(pipe) as writer:
        writer.add("a", ARRAY)
        writer.add("b", ARRAY.copy())
    with dcz.open(bytes(pipe.data)) as reader:
        assert reader.info("b").same_as is None
        assert_same_bits(reader["b"], ARRAY)


def test_empty_tensors_are_not_the_same() -> None:
    data = dcz.save({"a": np.zeros((0, 3)), "b": np.zeros((5, 0))})
    assert dcz.open(data).info("b").same_as is None
    assert dcz.load(data)["b"].shape == (5, 0)


@pytest.mark.parametrize("shape", [(3,), (100,), (40, 50)])
def test_tensors_without_bytes_around_one_that_begins_where_they_do(shape: tuple[int, ...]) -> None:
    """Zeros take no bytes; a later tensor of the same zeros begins where the first does."""
    model = {"a": np.zeros(shape, "f4"), "b": np.arange(5, dtype="f4"), "c": np.zeros(shape, "f4"), "d": np.ones(9)}
    data = dcz.save(model)
    for names in (list(model), ["c", "b"], ["a", "b", "c"]):
        found = dcz.load(data, names=names)
        assert {name: array.tobytes() for name, array in found.items()} == {n: model[n].tobytes() for n in names}
