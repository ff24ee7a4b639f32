"""Refusals of differences and of first bytes that no other test of safety comes to."""

from __future__ import annotations

import io
from types import MappingProxyType

import numpy as np
import pytest

import dcz
from dcz import limits
from dcz.container.file import OpenFile
from dcz.delta import checksums
from dcz.delta.base import Base
from dcz.delta.links import Links, check_base
from dcz.dtypes import DTYPES
from dcz.errors import BaseError, DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.format import index
from dcz.tensor.words import in_blocks
from support.pairs import copied, delta, same

OLD = {"a": np.arange(4000, dtype="f4"), "b": np.arange(30, dtype="i2")}
NEW = {"a": OLD["a"] + (np.arange(4000) % 50 == 0), "b": OLD["b"]}
NEW = {name: array.astype(OLD[name].dtype) for name, array in NEW.items()}


def test_the_first_bytes_alone() -> None:
    with pytest.raises(TruncatedError, match="the file ends after 5 bytes"):
        dcz.load(b"\x89DCZ\r")
    with pytest.raises(TruncatedError, match="the file ends after 0 bytes"):
        dcz.load(b"")
    with pytest.raises(FormatError, match="a file that begins with b'\\\\x88D'"):
        dcz.load(b"\x88D")


@pytest.mark.parametrize("tensors", [3, [OLD["a"]], None])
def test_a_base_that_is_no_mapping(tensors: object) -> None:
    with pytest.raises(DczError, match="base: expected a mapping of names to arrays, found"):
        Base(tensors)
    with pytest.raises(DczError, match="tensors: expected a mapping of names to arrays, found"):
        dcz.apply_delta(tensors, delta(NEW, OLD))


def test_a_base_that_lacks_a_tensor() -> None:
    base = Base(OLD)
    assert "a" in base and "c" not in base
    with pytest.raises(BaseError, match="base: has no tensor 'c'"):
        base.known("c")
    with pytest.raises(BaseError, match="has no tensor 'b'; is it the right one"):
        dcz.apply_delta({"a": OLD["a"].copy()}, delta({"a": NEW["a"], "b": OLD["b"] + 1}, OLD))


@pytest.mark.parametrize("shape", [(4000,), (1, 4000), (8, 500), (80, 50)])
def test_a_base_in_a_file_is_read_in_parts(shape: tuple[int, ...]) -> None:
    """By rows where there are several, else whole and kept for the next part."""
    old, new = ({"a": tensors["a"].reshape(shape)} for tensors in (OLD, NEW))
    data = delta(new, old, symbols=8)
    with dcz.open(dcz.save(old)) as base:
        kept = Base(base)
        whole = old["a"].tobytes()
        for first, last in ((0, 4000), (3, 700), (700, 4000), (512, 513), (0, 4000)):
            assert kept.words("a", first, last, 4).tobytes() == whole[4 * first : 4 * last]
        assert same(dcz.load_file(data, base=base), new)


def test_checksums_of_coarser_chunks() -> None:
    words = np.arange(4000, dtype="f4").view(np.uint8)
    fine = checksums.rows(words, 4000, 512, 4)
    assert checksums.coarser(fine, 4000, 512, 4, 512) is fine
    assert checksums.coarser(fine, 4000, 512, 4, 1024).tolist() == checksums.rows(words, 4000, 1024, 4).tolist()
    with pytest.raises(UnsupportedError, match="chunks of 700 words are not a multiple of chunks of 512"):
        checksums.coarser(fine, 4000, 512, 4, 700)


def test_what_a_mapping_that_cannot_change_refuses() -> None:
    def apply(tensors: dict[str, np.ndarray], data: bytes) -> None:
        before = copied(tensors)
        try:
            dcz.apply_delta(MappingProxyType(tensors), data)
        finally:
            assert same(tensors, before)

    with pytest.raises(
        DczError, match=r"the result has float32 \(40, 100\), what is to be changed in place is float32"
    ):
        apply(copied(OLD), delta({**NEW, "a": NEW["a"].reshape(40, 100)}, OLD))
    with pytest.raises(DczError, match="tensor 'c': the result has .*, what is to be changed in place is not there"):
        apply(copied(OLD), delta({**NEW, "c": np.ones(3)}, OLD))
    with pytest.raises(DczError, match="tensor 'b': the result lacks it, and it cannot be removed here"):
        apply(copied(OLD), delta({"a": NEW["a"]}, OLD))
    tensors = copied(OLD)
    dcz.apply_delta(MappingProxyType(tensors), delta(NEW, OLD))
    assert same(tensors, NEW)
    twins = {"a": OLD["a"], "b": OLD["a"] + 1}
    renamed = delta({"a": twins["b"], "b": twins["a"]}, twins, renames={"a": "b", "b": "a"})
    with pytest.raises(DczError, match="is made of the base's '.', which cannot be done in place here"):
        apply(copied(twins), renamed)


def test_a_base_that_is_already_the_result_or_neither() -> None:
    data = delta(NEW, OLD, symbols=8)
    done = copied(OLD)
    dcz.apply_delta(done, data)
    with pytest.raises(BaseError, match="already those of the result; the file was applied before"):
        dcz.apply_delta(done, data)
    half = copied(OLD)
    half["a"][:2000] = NEW["a"][:2000]
    for chunks in (half,):
        with pytest.raises(BaseError, match="applying was interrupted; take it back with dcz.undo_delta|another base"):
            dcz.apply_delta(chunks, data)
    other = copied(OLD)
    other["b"][3] += 1
    with pytest.raises(BaseError, match="tensor 'b': the base's words have the CRC-32C"):
        dcz.apply_delta(other, data)


def test_links_of_a_file_and_a_tensor_that_needs_no_base() -> None:
    data = delta({**NEW, "c": np.ones(3)}, OLD)
    found = Links(OpenFile(data))
    assert list(found) == ["a", "b", "c"] and len(found) == 3
    assert [found[name].based for name in found] == [True, True, False]
    check_base(OpenFile(data), Base(OLD), found)
    with pytest.raises(BaseError, match="has no tensor 'b'"):
        check_base(OpenFile(data), Base({"a": OLD["a"]}), found)
    assert same(dcz.load_file(data, base=OLD), {**NEW, "c": np.ones(3)})


def test_json_that_is_no_dcz_file() -> None:
    with pytest.raises(FormatError, match="a JSON file, perhaps the index of a sharded model"):
        dcz.load(b'{"weight_map": {}}')


def test_an_index_that_would_expand_too_far_is_stored_as_it_is() -> None:
    about = {"x": "a" * 700_000}
    assert len(dcz.save({}, metadata=about)) > 700_000 > 2_000 > len(dcz.save({}, metadata={"x": "a" * 70_000}))
    portable = io.BytesIO()
    with dcz.Writer(portable, portable=True, metadata={"x": "a" * 2_000}):
        pass
    for data in (dcz.save({}, metadata=about), portable.getvalue()):
        assert dcz.open(data).metadata["x"].startswith("aaa")


def test_metadata_of_a_large_index_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dcz.save({"w": OLD["b"]}, metadata={"x": "a" * 2_000})
    monkeypatch.setattr(limits, "MAX_METADATA_BYTES", 1_900)
    with pytest.raises(LimitError, match="metadata: 20.. bytes; the limit is 1900"):
        dcz.open(data)
    monkeypatch.setattr(limits, "MAX_METADATA_BYTES", 2_100)
    assert len(dcz.open(data).metadata["x"]) == 2_000


def test_what_a_writer_is_given() -> None:
    with pytest.raises(DczError, match="is not valid Unicode"):
        dcz.save({"\ud800": OLD["b"]})
    with pytest.raises(LimitError, match="65 dimensions; the limit is 64"):
        index.check_shape((1,) * 65, DTYPES["F32"], "w")


def test_checksums_of_words_read_in_blocks() -> None:
    """They are those of the whole tensor, also where the last chunk is short."""
    array = np.arange((1 << 20) + 777, dtype="<u2")
    words = in_blocks(lambda first, last: array[first:last].view("u1").copy(), "U16", array.shape, 1 << 20)
    whole = checksums.rows(array.view("u1"), array.size, 1 << 16, 2)
    assert np.array_equal(checksums.stored_rows(words, 1 << 16), whole)
