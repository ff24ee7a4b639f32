"""Where files are read from: paths, bytes, file objects of every kind; and what happens when bytes are missing."""

from __future__ import annotations

import gzip
import io
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, TruncatedError
from support.arrays import large
from support.bits import assert_same_bits
from support.files import Pipe, ShortReads

ARRAY = large("pruned and clustered float32")
DATA = dcz.save({"w": ARRAY, "v": np.arange(9)})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sources") / "model.dcz"
    path.write_bytes(DATA)
    return path


def check(file: object) -> None:
    assert_same_bits(dcz.load_file(file)["w"], ARRAY)
    with dcz.open(file) as reader:
        assert_same_bits(reader["v"], np.arange(9))
        assert_same_bits(reader.get_slice("w")[7], ARRAY[7])
    assert dcz.verify(file).stored == len(DATA)


def test_paths(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(path)
    check(str(path))
    monkeypatch.chdir(path.parent)
    check("model.dcz")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(kind: type) -> None:
    check(kind(DATA))


@pytest.mark.parametrize("kind", [io.BytesIO, ShortReads])
def test_file_objects(kind: type[io.BytesIO]) -> None:
    file = kind(DATA)
    file.seek(17)  # where it stands does not matter
    check(file)
    assert not file.closed


def test_open_files(path: Path) -> None:
    for buffering in (-1, 0):
        with open(path, "rb", buffering=buffering) as file:
            check(file)


def test_memory_maps(path: Path) -> None:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        check(mapped)


def test_spooled_files() -> None:
    with tempfile.SpooledTemporaryFile() as file:
        file.write(DATA)
        check(file)


def test_compressed_files(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "w.gz", "wb") as file:
        file.write(DATA)
    with gzip.open(tmp_path / "w.gz") as file:
        if file.seekable():
            file.seek(0, io.SEEK_SET)
        check(io.BytesIO(file.read()))


def test_what_was_read_stays_when_the_file_is_closed(path: Path) -> None:
    with dcz.open(path) as reader:
        array = reader["w"]
    assert_same_bits(array, ARRAY)


def test_a_missing_file(tmp_path: Path) -> None:
    for read in (dcz.load_file, dcz.open, dcz.verify):
        with pytest.raises(FileNotFoundError) as raised:
            read(tmp_path / "missing.dcz")
        assert Path(raised.value.filename) == tmp_path / "missing.dcz"


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        dcz.load_file(tmp_path)


@pytest.mark.parametrize("file", [None, 3, 1.5, ["x"], {"a": 1}, Pipe()])
def test_what_is_no_file(file: object) -> None:
    with pytest.raises(DczError, match="file: expected a path, bytes or a seekable binary file object, found"):
        dcz.load_file(file)


def test_text(path: Path) -> None:
    """The bytes of a file lie below its text, whatever the text would be."""
    with open(path, encoding="ascii") as file:
        assert dcz.load_file(file).keys() == dcz.load_file(path).keys()
    with pytest.raises(DczError, match="expected bytes, found text in memory"):
        dcz.load_file(io.StringIO("text"))


def test_a_pipe_cannot_be_sought() -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as file, pytest.raises(OSError):
        dcz.load_file(file)


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    path = tmp_path / "model.dcz"
    path.write_bytes(DATA)
    with dcz.open(path) as reader:
        os.truncate(path, 100)
        with pytest.raises(TruncatedError, match="wanted .* bytes at .*, got .*; the file became shorter"):
            reader["w"]


def test_a_file_object_that_becomes_shorter() -> None:
    file = io.BytesIO(DATA)
    reader = dcz.open(file)
    file.truncate(100)
    with pytest.raises(TruncatedError, match="the file became shorter"):
        reader["w"]


def test_a_file_object_that_gives_too_much() -> None:
    class Generous(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size + 1 if size else size)

    with pytest.raises(DczError, match=r"read\(\d+\) returned \d+ bytes"):
        dcz.load_file(Generous(DATA))


def test_closing_a_reader_of_bytes_frees_them() -> None:
    data = bytearray(DATA)
    reader = dcz.open(data)
    with pytest.raises(BufferError):
        data.append(0)
    reader.close()
    data.append(0)
