"""The reader: a mapping, options, outputs to fill, and what it says when they do not fit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.errors import ChecksumError, DczError
from dcz.kernels import Kernels
from support.arrays import large, make_array
from support.bits import assert_same_bits
from support.files import CountingFile

TENSORS = {
    "a": make_array(1, "F32", (30, 40), 0.2, 9),
    "b": make_array(2, "BF16", (7,), 1.0, 5),
    "c": make_array(3, "I64", (), 1.0, 5),
}
DATA = dcz.save({**TENSORS, "tied": TENSORS["a"]}, metadata={"step": 3})


def test_a_reader_is_a_mapping() -> None:
    with dcz.open(DATA) as reader:
        assert isinstance(reader, Mapping)
        assert list(reader) == list(reader.keys()) == ["a", "b", "c", "tied"] and len(reader) == 4
        assert "a" in reader and "tied" in reader and "x" not in reader and 3 not in reader
        assert reader.get("x") is None
        for name, array in reader.items():
            assert_same_bits(array, TENSORS["a" if name == "tied" else name])
        assert dict(reader.metadata) == {"step": 3} and reader.size == len(DATA)
        assert repr(reader) == f"<dcz.Reader <bytes>: 4 tensors, {len(DATA)} bytes>"


def test_info() -> None:
    info = dcz.open(DATA).info("a")
    assert (info.name, info.dtype, info.shape, info.words, info.nbytes) == ("a", "F32", (30, 40), 1200, 4800)
    assert info.nonzeros == np.count_nonzero(TENSORS["a"].view("<u4"))
    assert info.stored == info.layout.stored < 4800
    assert dcz.open(DATA).info("tied") == info


def test_each_read_is_a_new_array() -> None:
    reader = dcz.open(DATA)
    first, second = reader["a"], reader["a"]
    first[:] = 0
    assert_same_bits(second, TENSORS["a"])
    assert second.flags.c_contiguous and second.flags.writeable and second.flags.aligned


@pytest.mark.parametrize("name", ["x", "", None, 3])
def test_names_that_are_not_there(name: object) -> None:
    reader = dcz.open(DATA)
    for read in (reader.__getitem__, reader.get_tensor, reader.info, reader.get_slice):
        with pytest.raises(KeyError, match="no tensor .* among the 4 of the file: a, b, c, tied"):
            read(name)
    with pytest.raises(KeyError):
        dcz.load(DATA, names=["a", name])


def test_some_names() -> None:
    assert list(dcz.load(DATA, names=["b", "a"])) == ["b", "a"]
    assert dcz.load(DATA, names=[]) == {}
    found = dcz.load(DATA, names=iter(["tied"]))
    assert list(found) == ["tied"]
    assert_same_bits(found["tied"], TENSORS["a"])


def test_only_the_names_that_are_asked_for_are_read() -> None:
    file = CountingFile(dcz.save({"large": large("dense bfloat16"), "small": TENSORS["b"]}))
    dcz.load_file(file, names=["small"])
    assert file.bytes_read < 70_000 < len(file.getvalue())


def test_use_after_closing() -> None:
    with dcz.open(DATA) as reader:
        view = reader.get_slice("a")
    for read in (lambda: reader["a"], lambda: reader.info("a"), lambda: reader.get_slice("a"), lambda: view[:]):
        with pytest.raises((DczError, OSError)):
            read()
    reader.close()


def test_use_after_closing_a_path(tmp_path: object) -> None:
    path = tmp_path / "model.dcz"
    path.write_bytes(DATA)
    with dcz.open(path) as reader:
        view = reader.get_slice("a")
        assert repr(reader).startswith(f"<dcz.Reader {path}")
    with pytest.raises(DczError, match="the reader is closed; open the file again"):
        reader["a"]
    with pytest.raises((DczError, OSError)):
        view[:]


# -- outputs


def test_out_of_load_file() -> None:
    out = {name: np.empty_like(TENSORS[name]) for name in ("a", "c")}
    found = dcz.load(DATA, out=out)
    assert found["a"] is out["a"] is found["tied"] and found["c"] is out["c"]
    for name, array in TENSORS.items():
        assert_same_bits(found[name], array)


def test_out_under_a_second_name() -> None:
    out = np.empty((30, 40), "<f4")
    found = dcz.load(DATA, out={"tied": out})
    assert found["a"] is found["tied"] is out
    assert_same_bits(out, TENSORS["a"])


def test_out_of_get_tensor(kernel_set: Kernels) -> None:
    array = large("wide codebook float32")
    out = np.full(array.shape, 7, array.dtype)
    with kernels.use(kernel_set):
        assert dcz.open(dcz.save({"w": array})).get_tensor("w", out=out) is out
    assert_same_bits(out, array)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([0.0] * 1200, "out for tensor 'a': expected a numpy array, found list"),
        (np.empty((40, 30), "<f4"), r"expected float32 \(30, 40\), found float32 \(40, 30\)"),
        (np.empty(1200, "<f4"), r"expected float32 \(30, 40\), found float32 \(1200,\)"),
        (np.empty((30, 40), "<f8"), "expected float32 .*, found float64"),
        (np.empty((30, 40), "<i4"), "expected float32 .*, found int32"),
        (np.empty((30, 40), ">f4"), "expected float32 .*, found >f4"),
        (np.empty((40, 30), "<f4").T, "must be C-contiguous and writeable"),
        (np.empty((30, 80), "<f4")[:, ::2], "must be C-contiguous and writeable"),
        (np.broadcast_to(np.float32(0), (30, 40)), "must be C-contiguous and writeable"),
        (np.frombuffer(bytes(4800), "<f4").reshape(30, 40), "must be C-contiguous and writeable"),
    ],
)
def test_outputs_that_do_not_fit(out: object, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.load(DATA, out={"a": out})
    with pytest.raises(DczError, match=message):
        dcz.open(DATA).get_tensor("a", out=out)


def test_an_output_for_nothing() -> None:
    with pytest.raises(DczError, match="out: 'x' is not among the tensors to load"):
        dcz.load(DATA, out={"x": np.empty(3)})
    with pytest.raises(DczError, match="out: 'a' is not among the tensors to load"):
        dcz.load(DATA, names=["b"], out={"a": np.empty((30, 40), "<f4")})


def test_an_output_that_is_not_aligned() -> None:
    out = np.zeros(4801, np.uint8)[1:].view("<f4").reshape(30, 40)
    assert_same_bits(dcz.load(DATA, out={"a": out})["a"], TENSORS["a"])


def test_progress_adds_up() -> None:
    array = large("pruned and clustered float32")
    for threads in (1, 3):
        calls: list[tuple[int, int]] = []
        dcz.load(dcz.save({"w": array}), threads=threads, progress=lambda *call: calls.append(call))
        assert max(calls) == (array.nbytes, array.nbytes)
    calls.clear()
    dcz.verify(DATA, progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1] == sum(array.nbytes for array in TENSORS.values())


def test_what_verify_found() -> None:
    found = dcz.verify(DATA)
    assert (found.tensors, found.stored) == (3, len(DATA))
    assert found.decoded == sum(array.nbytes for array in TENSORS.values())
    assert found.chunks == sum(len(dcz.open(DATA).info(name).layout.crc32c) for name in TENSORS)


def test_only_what_is_read_is_verified() -> None:
    data = bytearray(DATA)
    data[8 + dcz.open(DATA).info("a").stored - 1] ^= 1
    reader = dcz.open(bytes(data))
    assert_same_bits(reader["b"], TENSORS["b"])
    with pytest.raises(ChecksumError, match="tensor 'a', chunk 0: .*fetch the file again"):
        reader["tied"]
