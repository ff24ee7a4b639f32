"""The writer: what it takes and refuses, in which order, and to which kinds of file objects."""

from __future__ import annotations

import gc
import io
import warnings

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, UnsupportedError
from dcz.tensor import PROFILES
from support.arrays import large
from support.bits import assert_same_bits
from support.files import FullDisk, Pipe, ShortWrites

TENSORS = {"a": np.arange(50, dtype="<i2"), "b": np.linspace(0, 1, 2000), "c": np.zeros((3, 0))}


def test_streaming_tensor_by_tensor() -> None:
    file = io.BytesIO()
    with dcz.Writer(file, metadata={"k": 1}) as writer:
        for name, array in TENSORS.items():
            layout = writer.add(name, array)
            assert layout.stored <= array.nbytes
    assert file.getvalue() == dcz.save(TENSORS, metadata={"k": 1})
    assert not file.closed  # it is the caller's


def test_the_order_of_adding_is_the_order_of_the_file() -> None:
    file = io.BytesIO()
    with dcz.Writer(file) as writer:
        for name in ("z", "a", "m"):
            writer.add(name, TENSORS["a"])
    assert list(dcz.load(file.getvalue())) == ["z", "a", "m"]


@pytest.mark.parametrize("kind", [Pipe, ShortWrites])
def test_objects_that_can_only_write(kind: type[Pipe]) -> None:
    file = kind()
    dcz.save_file(TENSORS, file)
    assert bytes(file.data) == dcz.save(TENSORS)


def test_an_object_that_does_not_say_how_much_it_wrote() -> None:
    class Silent(Pipe):
        def write(self, data: bytes) -> None:
            super().write(data)

    file = Silent()
    dcz.save_file(TENSORS, file)
    assert bytes(file.data) == dcz.save(TENSORS)


@pytest.mark.parametrize("said", [0, -1])
def test_an_object_that_takes_nothing(said: int) -> None:
    class Stuck(Pipe):
        def write(self, data: bytes) -> int:
            return said

    with pytest.raises(OSError, match="took nothing"):
        dcz.save_file(TENSORS, Stuck())


@pytest.mark.parametrize("extra", [1, 1000])
def test_an_object_that_claims_more_than_it_was_given(extra: int) -> None:
    class Boaster(Pipe):
        def write(self, data: bytes) -> int:
            return super().write(data) + extra

    with pytest.raises(OSError, match=r"write\(\) of \d+ bytes returned .*; at most that many can be written"):
        dcz.save_file(TENSORS, Boaster())


@pytest.mark.parametrize("taken", [-1, 1])
def test_an_object_that_stands_elsewhere_than_its_writes_say(taken: int) -> None:
    """It claims to take all and takes less, or claims too little and gets bytes twice."""

    class Liar(io.BytesIO):
        def write(self, data: bytes) -> int:
            if taken < 0:
                return super().write(data[:taken]) - taken
            return super().write(data) if len(data) < 2 else super().write(data) - taken

    with pytest.raises(OSError, match=r"the file object took \d+ bytes, but its write\(\) accounted for \d+"):
        dcz.save_file(TENSORS, Liar())


def test_a_file_object_that_has_bytes_already() -> None:
    file = io.BytesIO()
    file.write(b"before")
    dcz.save_file(TENSORS, file)
    assert file.getvalue() == b"before" + dcz.save(TENSORS)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=">f4").reshape(4, 6),
        np.arange(24, dtype="<f8").reshape(4, 6)[::-1, ::2],
        np.asfortranarray(np.arange(24).reshape(4, 6)),
        np.float32(1.5),
        np.array(2.5, ">f8"),
        np.arange(4).reshape(2, 2).view(np.matrix),
        np.broadcast_to(np.float32([1, 2]), (3, 2)),
    ],
    ids=["big-endian", "strided", "fortran", "scalar", "0-d", "matrix", "read-only"],
)
def test_arrays_of_every_kind(array: np.ndarray) -> None:
    before = np.array(array)
    found = dcz.load(dcz.save({"w": array}))["w"]
    assert type(found) is np.ndarray and found.shape == np.shape(array)
    assert np.array_equal(found, np.asarray(array)) and np.array_equal(before, array)


@pytest.mark.parametrize("dtype", ["O", "f4,i4", [("a", "f4"), ("b", "f4", 2)]])
def test_dtypes_are_refused_by_name(dtype: object) -> None:
    with pytest.raises(UnsupportedError, match=r"tensor 'layer\.w': dtype .*(object|float32|f4)"):
        dcz.save({"layer.w": np.zeros(3, np.dtype(dtype))})


def test_a_raw_file_that_would_block() -> None:
    class Busy(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> None:
            return None

    with pytest.raises(OSError, match="took nothing"):
        dcz.save_file(TENSORS, Busy())


def test_a_file_that_is_full_at_any_byte() -> None:
    whole = dcz.save(TENSORS)
    for room in [*range(0, len(whole), 211), len(whole) - 1]:
        file = FullDisk(room)
        with pytest.raises(OSError, match="No space left on device"):
            dcz.save_file(TENSORS, file)
        assert whole.startswith(bytes(file.data))
    dcz.save_file(TENSORS, FullDisk(len(whole)))


def test_a_writer_whose_file_failed_is_closed() -> None:
    writer = dcz.Writer(FullDisk(100))
    with pytest.raises(OSError):
        writer.add("b", TENSORS["b"])
    with pytest.raises(DczError, match="the writer is closed; open another"):
        writer.add("a", TENSORS["a"])
    writer.close()


def test_a_refused_tensor_leaves_the_writer_open() -> None:
    file = io.BytesIO()
    with dcz.Writer(file) as writer:
        with pytest.raises(UnsupportedError):
            writer.add("a", np.array(["text"]))
        writer.add("a", TENSORS["a"])
    assert_same_bits(dcz.load(file.getvalue())["a"], TENSORS["a"])


def test_closing_twice_and_use_after_closing() -> None:
    file = io.BytesIO()
    writer = dcz.Writer(file)
    writer.add("a", TENSORS["a"])
    writer.close()
    size = len(file.getvalue())
    writer.close()
    writer.abandon()
    assert len(file.getvalue()) == size
    with pytest.raises(DczError, match="the writer is closed"):
        writer.add("b", TENSORS["b"])
    with pytest.raises(DczError, match="the writer is closed"):
        writer.alias("b", "a")


@pytest.mark.parametrize("code", ["O", "S5", "U5", "M8[s]", "m8[s]", "V4", "f4,i4"])
def test_dtypes_that_cannot_be_stored(code: str) -> None:
    with pytest.raises(UnsupportedError, match="tensor 'w': dtype .* cannot be stored; expected one of BOOL.*Convert"):
        dcz.save({"w": np.zeros(3, np.dtype(code))})


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is double here")
def test_long_double_cannot_be_stored() -> None:
    with pytest.raises(UnsupportedError, match="cannot be stored"):
        dcz.save({"w": np.zeros(3, np.longdouble)})


@pytest.mark.parametrize("thing", [[1, 2], 1.5, None, "text", b"bytes", memoryview(b"abc")])
def test_what_is_no_array(thing: object) -> None:
    with pytest.raises(UnsupportedError, match=r"tensor 'w': expected a numpy array, found builtins\..*numpy.asarray"):
        dcz.save({"w": thing})


def test_masked_arrays() -> None:
    with pytest.raises(UnsupportedError, match="a masked array would lose its mask; store .filled"):
        dcz.save({"w": np.ma.masked_array([1, 2], [True, False])})


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([("w", np.zeros(1))], "tensors: expected a mapping of names to tensors, found list"),
        ({1: np.zeros(1)}, "tensors: names are strings, found 1"),
        ({"x" * 4097: np.zeros(1)}, "name: 4097 bytes; the limit is 4096"),
        ({"é" * 2049: np.zeros(1)}, "name: 4098 bytes; the limit is 4096"),
        ({"\ud800": np.zeros(1)}, "is not valid Unicode"),
    ],
)
def test_names_that_cannot_be_stored(tensors: object, message: str) -> None:
    with pytest.raises(DczError, match=message) as raised:
        dcz.save(tensors)
    assert type(raised.value) is DczError


@pytest.mark.parametrize("name", ["", "x" * 4096, "../../etc/passwd", "a\0b", "ü.weight", "\n", "__metadata__"])
def test_names_that_can_be_stored(name: str) -> None:
    assert list(dcz.load(dcz.save({name: np.zeros(1)}))) == [name]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "best"}, "profile: 'best' is unknown; expected one of auto, csr, bitmap, dense, paper, raw"),
        ({"threads": 0}, "threads: expected a positive integer or None, found 0"),
        ({"threads": -1}, "threads: expected a positive integer"),
        ({"threads": 1.5}, "threads: expected a positive integer"),
        ({"threads": float("nan")}, "threads: expected a positive integer or None, found nan"),
        ({"threads": True}, "threads: expected a positive integer"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.save(TENSORS, **options)
    if "threads" in options:
        for read in (dcz.load, dcz.verify):
            with pytest.raises(DczError, match=message):
                read(dcz.save(TENSORS), **options)


@pytest.mark.parametrize("file", [None, 7, b"path", ["x"]])
def test_targets_that_are_no_file(file: object) -> None:
    with pytest.raises(DczError, match="file: expected a path or a writable binary file object, found"):
        dcz.save_file(TENSORS, file)


def test_a_target_that_cannot_be_opened_leaves_nothing_behind() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FileNotFoundError):
            dcz.Writer("/nonexistent/folder/x.dcz")
        gc.collect()


def test_progress_adds_up() -> None:
    calls: list[tuple[int, int]] = []
    dcz.save_file(TENSORS, io.BytesIO(), progress=lambda done, total: calls.append((done, total)))
    total = sum(array.nbytes for array in TENSORS.values())
    assert [done for done, _ in calls] == sorted(done for done, _ in calls) and len(calls) == len(TENSORS)
    assert calls[-1] == (total, total)


@pytest.mark.parametrize("profile", PROFILES)
def test_layouts_are_reported(profile: str) -> None:
    array = large("pruned and clustered float32")
    layout = dcz.Writer(io.BytesIO(), profile=profile).add("w", array)
    allowed = {"csr": {"relative8"}, "paper": {"relative4", "relative5"}, "bitmap": {"bitmap"}, "dense": {"all"}}
    assert layout.positions in allowed.get(profile, {layout.positions})
    assert (layout.values == "bytes") == (profile == "raw")
