"""numpy's files and archives that are hostile, damaged or something else, and names that would escape a folder."""

from __future__ import annotations

import os
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.bits import assert_same_bits
from support.converting import convert
from support.memory import at_most
from support.npz import archive, npy, read


def test_an_array_that_breaks_after_its_header(tmp_path: Path) -> None:
    (tmp_path / "w.npy").write_bytes(npy(np.arange(50))[:-1])
    with (
        open_model(tmp_path / "w.npy") as model,
        pytest.raises(TruncatedError, match="w.npy: 1 byte short .399 of 400."),
    ):
        model.read("w")


HOSTILE = ["", "/etc/passwd", "../x", "a/../../x", "a/..", "..\\x", "\\x", "C:\\x", "C:x", "a\0b", "//host/share", ".."]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    dcz.save_file({"good": np.zeros(3), name: np.ones(3)}, tmp_path / "w.dcz")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DczError, match="could escape the folder it is unpacked in; write safetensors instead"):
        convert(tmp_path / "w.dcz", tmp_path / "w.npz")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.npy", npy(np.zeros(1))), ("a.npy", npy(np.ones(1)))], "array 'a': duplicate name"),
        ([("a.npy", b"")], "array 'a': cannot be read"),
        ([("a.npy", b"text")], "array 'a': cannot be read"),
        ([("a.npy", npy(np.zeros(9)).replace(b"(9,)", b"(-9,)").replace(b"}  ", b"} "))], "array 'a': shape .-9."),
        ([("a.npy", npy(np.zeros(9)).replace(b"(9,)", b"((9,"))], "array 'a': cannot be read"),
        ([("a.npy", npy(np.zeros(9)).replace(b"'<f8'", b"'<q9'"))], "array 'a': cannot be read"),
    ],
)
def test_archives_that_are_wrong(tmp_path: Path, members: list, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(archive(tmp_path / "w.npz", members))


@pytest.mark.parametrize("array", [np.array([print, 1], object), np.zeros(2, [("a", object)])])
def test_pickles_are_never_loaded(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "w.npy", array, allow_pickle=True)
    np.savez(tmp_path / "w.npz", allow_pickle=True, w=array)
    with pytest.raises(UnsupportedError, match="w.npy: holds Python objects as a pickle, which could run code"):
        read(tmp_path / "w.npy")
    with open_model(tmp_path / "w.npz") as model:
        assert list(model.left_out) == ["w"] and not model.tensors()


def test_several_arrays_in_one_file_are_refused(tmp_path: Path) -> None:
    """np.load gives the first and says nothing of the others."""
    (tmp_path / "w.npy").write_bytes(npy(np.arange(3)) + npy(np.ones(2)))
    archive(tmp_path / "w.npz", [("w.npy", npy(np.arange(3)) + b"\n")])
    for name in ("w.npy", "w.npz"):
        with (
            open_model(tmp_path / name) as model,
            pytest.raises(FormatError, match=f"{name}: .*goes on after its array"),
        ):
            model.read("w")


@pytest.mark.parametrize("rest", [b"more", b"\0"])
def test_archives_with_more_before_or_after_them_are_refused(tmp_path: Path, rest: bytes) -> None:
    data = archive(tmp_path / "a.npz", [("w.npy", npy(np.arange(3)))]).read_bytes()
    for at, content in enumerate((data + data, rest + data, data + rest)):
        (tmp_path / f"{at}.npz").write_bytes(content)
        with pytest.raises(FormatError, match=r"\d.npz: (has .*bytes? (before|after) its archive|is not|not an npz)"):
            open_model(tmp_path / f"{at}.npz")


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ("(" + "1, " * 65 + ")", LimitError), ("(2**62,)", FormatError), (f"({1 << 62},)", LimitError),
        (f"(0, {1 << 62})", LimitError), (f"(0, {1 << 40}, {1 << 40})", LimitError), ("(-1,)", FormatError),
        ("(True,)", DczError), (f"({1 << 40},)", LimitError), ("(" * 2000 + ")" * 2000, FormatError),
    ],
)  # fmt: skip
def test_shapes_that_no_array_has(tmp_path: Path, shape: str, error: type[Exception]) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "w.npy").write_bytes(data)
    archive(tmp_path / "w.npz", [("w.npy", data)])
    for name in ("w.npy", "w.npz"):
        with pytest.raises(error, match=f"{name}: "):
            read(tmp_path / name)


def test_a_header_that_claims_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "w.npy").write_bytes(b"\x93NUMPY\x02\x00\xf0\xff\xff\xff")
    with pytest.raises(LimitError, match="w.npy: a header of 4294967280 bytes; the limit is 10000"):
        open_model(tmp_path / "w.npy")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_archives_that_would_fill_the_memory(tmp_path: Path, compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    header = npy(np.zeros(1 << 20, np.uint8))[:128].replace(b"(1048576,)", b"(67108864,)")
    with zipfile.ZipFile(tmp_path / "w.npz", "w", compression) as file:
        file.writestr("w.npy", header.replace(b"}  ", b"} ", 1)[:128] + bytes(1 << 26))
    assert (tmp_path / "w.npz").stat().st_size < 100_000
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 10)
    with pytest.raises(LimitError, match="w.npz: tensor 'w'.*: decoding needs 67108864 bytes"):
        open_model(tmp_path / "w.npz")


def test_bzip2_is_decompressed_a_piece_at_a_time(tmp_path: Path) -> None:
    """Four kilobytes of it may be gigabytes, all of which zipfile makes at once."""
    array = np.zeros(1 << 26, np.uint8)
    array[5] = 1
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("w.npy", npy(array))
    assert (tmp_path / "w.npz").stat().st_size < 1000
    with at_most(72 << 20), open_model(tmp_path / "w.npz") as model:
        found = model.read("w")
    assert_same_bits(found, array)
    data = (tmp_path / "w.npz").read_bytes()
    crc = zlib.crc32(npy(array)).to_bytes(4, "little")
    assert crc in data
    (tmp_path / "w.npz").write_bytes(data.replace(crc, bytes(4)))
    with pytest.raises(FormatError, match="w.npz: array 'w': cannot be read .Bad CRC-32"):
        read(tmp_path / "w.npz")


@pytest.mark.parametrize("name", ["w.npy", "w.npz"])
def test_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnsupportedError, match=f"{name}: is not a regular file"):
        open_model(tmp_path / name)


@pytest.mark.parametrize("data", [b"text", b"PK\x03\x04", b"\x93NUMPY", b"\x93NUMPY\x09\x00" + bytes(99)])
def test_files_that_are_something_else(tmp_path: Path, data: bytes) -> None:
    for name, message in (
        ("w.npz", "not an npz archive|is a numpy array"),
        ("w.npy", "not an npy file|is a zip archive"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises((FormatError, UnsupportedError), match=message):
            read(tmp_path / name)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_garbled_archives(tmp_path: Path, compression: int) -> None:
    """A byte changed anywhere: the right arrays, or an error of dcz."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as file:
        file.writestr("a.npy", npy(np.arange(40)))
        file.writestr("b.npy", npy(np.ones(3)))
    data = (tmp_path / "a.npz").read_bytes()
    chance = random.Random(1)
    whole = damaged = 0
    for at in range(0, len(data), 2):
        changed = bytearray(data)
        changed[at] = chance.randrange(256)
        (tmp_path / "b.npz").write_bytes(changed)
        try:
            read(tmp_path / "b.npz")
            whole += 1
        except DczError:
            damaged += 1
    assert whole and damaged


def test_garbled_arrays(tmp_path: Path) -> None:
    data = npy(np.arange(40))
    for at in range(0, 128, 3):
        for byte in b"(),'<{0-9\xff\x00":
            changed = bytearray(data)
            changed[at] = byte
            (tmp_path / "b.npy").write_bytes(changed)
            try:
                read(tmp_path / "b.npy")
            except DczError:
                pass


def test_missing_files(tmp_path: Path) -> None:
    for name in ("w.npz", "w.npy", "w.safetensors", "w.dcz", "w.net"):
        with pytest.raises(FileNotFoundError):
            open_model(tmp_path / name)
