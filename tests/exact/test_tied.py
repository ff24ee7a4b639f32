"""One array under two names is stored once and comes back as one array; different arrays never mix."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.bits import assert_same_bits


def test_one_array_under_two_names() -> None:
    array = np.random.Generator(np.random.PCG64(1)).random((100, 100))
    data = dcz.save({"head": array, "embedding": array})
    assert len(data) < array.nbytes + 512
    found = dcz.load(data)
    assert found["head"] is found["embedding"]
    assert_same_bits(found["head"], array)
    assert dict(dcz.open(data).aliases) == {"head": "embedding"}


def test_what_only_overlaps_is_not_tied() -> None:
    base = np.arange(24, dtype="<i4")
    tensors = {
        "flat": base,
        "square": base.reshape(4, 6),
        "transposed": base.reshape(4, 6).T.reshape(4, 6, order="F"),
        "backwards": base[::-1],
        "half": base[:12],
        "bits": base.view("<f4"),
        "big": base.view(">i4"),
        "unsigned": base.view("<u4"),
    }
    found = dcz.load(dcz.save(tensors))
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_equal_values_are_not_tied() -> None:
    found = dcz.load(dcz.save({"a": np.ones(5), "b": np.ones(5)}))
    assert found["a"] is not found["b"] and not np.shares_memory(found["a"], found["b"])


def test_empty_arrays_and_scalars() -> None:
    empty = np.zeros((0, 3))
    found = dcz.load(dcz.save({"a": empty, "b": empty, "c": np.float32(1), "d": np.float32(2)}))
    assert found["a"].shape == found["b"].shape == (0, 3)
    assert found["c"] == 1 and found["d"] == 2


class Lazy(Mapping):
    """Makes each array when it is asked for, as readers of files do."""

    def __init__(self, number: int) -> None:
        self.names = [f"w{i:02}" for i in range(number)]

    def __getitem__(self, name: str) -> np.ndarray:
        return np.full(300_000, self.names.index(name), "<f4")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def test_a_mapping_that_makes_its_arrays_when_asked() -> None:
    """Each array may lie where the last but one lay: the same address is not the same array."""
    found = dcz.load(dcz.save(Lazy(8)))
    for name, array in Lazy(8).items():
        assert_same_bits(found[name], array)


def test_an_open_npz_and_an_open_reader(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **dict(Lazy(6)))
    with np.load(tmp_path / "w.npz") as archive:
        data = dcz.save(archive)
    with dcz.open(data) as reader:
        assert dcz.save(reader) == data
    for name, array in dcz.load(data).items():
        assert_same_bits(array, Lazy(6)[name])


def test_aliases_of_the_writer() -> None:
    file = io.BytesIO()
    with dcz.Writer(file) as writer:
        writer.add("a", np.arange(5))
        writer.alias("b", "a")
        writer.alias("c", "b")  # a second name of a second name is a second name of the tensor
        with pytest.raises(DczError, match="there is no tensor 'z' yet; add it first"):
            writer.alias("d", "z")
        with pytest.raises(DczError, match="duplicate tensor 'b': names are unique"):
            writer.alias("b", "a")
        with pytest.raises(DczError, match="duplicate tensor 'c'"):
            writer.add("c", np.arange(3))
    with dcz.open(file.getvalue()) as reader:
        assert dict(reader.aliases) == {"b": "a", "c": "a"}
        assert list(reader) == ["a", "b", "c"]
        assert reader.info("c").name == "a"
        assert_same_bits(reader["c"], np.arange(5))
        assert_same_bits(reader.get_slice("b")[2:], np.arange(2, 5))
