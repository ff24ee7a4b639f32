"""The guard in front of every converter: what no weights file is, and what one may ask for."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import dcz
from dcz.convert import READABLE, open_model
from dcz.convert.guard import Guard
from dcz.convert.kinds import stranger
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4932102123\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"
GZIP = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\x03" + b"rest of it"


def put(tmp_path: Path, extension: str, data: bytes) -> Path:
    path = tmp_path / f"m{extension}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("extension", READABLE)
def test_what_no_weights_file_is(tmp_path: Path, extension: str) -> None:
    """Every reader says the same of a pointer, a page and nothing, in one line with the remedy."""
    cases = [(POINTER, FormatError, "is a Git LFS pointer; fetch the file itself: git lfs pull")]
    cases += [(PAGE, FormatError, r"is a web page \(HTML\); fetch the file again")]
    cases += [(b"", TruncatedError, "the file is empty; finish the download")]
    for data, error, message in cases:
        path = put(tmp_path, extension, data)
        with pytest.raises(error, match=message) as raised:
            open_model(path)
        assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("extension", [e for e in READABLE if not e.endswith(".json")])
def test_compressed_files(tmp_path: Path, extension: str) -> None:
    with pytest.raises(UnsupportedError, match="is compressed by gzip; decompress it first: gunzip"):
        open_model(put(tmp_path, extension, GZIP))


def test_files_of_other_formats(tmp_path: Path) -> None:
    for extension, data, message in (
        (
            ".safetensors",
            b"GGUF\x03\0\0\0",
            "is a GGUF file, not what .safetensors files hold; rename it to end in .gg",
        ),
        (".safetensors", b"PK\x03\x04" + bytes(60), "is a zip archive, .*a PyTorch checkpoint is one"),
        (".gguf", dcz.save({"a": np.ones(3)}), "is a dcz file, not what .gguf files hold; rename it to end in .dcz"),
        (".bin", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            open_model(put(tmp_path, extension, data))


@pytest.mark.parametrize("length", [559_903, 0x04034B50])
def test_a_header_whose_length_looks_like_another_format(length: int) -> None:
    """559,903 bytes of JSON begin as gzip does, 67,324,752 as a zip archive."""
    head = struct.pack("<Q", length) + b'{"w": {"dtype"'
    assert stranger("m.safetensors", head, 10**9, ".safetensors") is None


@pytest.mark.parametrize("extension", [*READABLE, ".mlpackage"])
def test_pipes_do_not_block(tmp_path: Path, extension: str) -> None:
    os.mkfifo(tmp_path / f"m{extension}")
    with pytest.raises(DczError, match="is not a regular file but a pipe"):
        open_model(tmp_path / f"m{extension}")


def test_sockets_and_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("m.gguf")
        with pytest.raises(DczError, match="but a socket"):
            open_model("m.gguf")
    os.symlink("/dev/zero", "m.npy")
    with pytest.raises(DczError, match="but a device"):
        open_model("m.npy")


def test_pipes_as_shards_and_in_packages(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.safetensors")
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors"}}))
    with pytest.raises(DczError, match="1.safetensors"):
        open_model(index)
    (tmp_path / "m.mlpackage").mkdir()
    os.mkfifo(tmp_path / "m.mlpackage" / "weights.bin")
    with pytest.raises(DczError, match="weights.bin: is not a regular file"):
        open_model(tmp_path / "m.mlpackage")


def test_a_pointer_among_shards(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "1.safetensors")
    (tmp_path / "2.safetensors").write_bytes(POINTER)
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}))
    with pytest.raises(FormatError, match="2.safetensors: is a Git LFS pointer"):
        open_model(index)


def test_an_index_among_its_own_files(tmp_path: Path) -> None:
    index = tmp_path / "m.dcz.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "m.dcz.index.json"}}))
    with pytest.raises(FormatError, match="'m.dcz.index.json' is an index itself"):
        open_model(index)


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ([1] * 65, LimitError, "65 dimensions; the limit is 64"),
        ([1 << 62], LimitError, "takes more than"),
        ([0, 1 << 62], LimitError, "takes more than"),
        ([1 << 30, 0, 1 << 30], LimitError, "takes more than"),
        ([-1], FormatError, "not integers of at least zero"),
        ([True], FormatError, "not integers of at least zero"),
        ([2.0], FormatError, "not integers of at least zero"),
        (["2"], FormatError, "not integers of at least zero"),
    ],
)
def test_shapes(tmp_path: Path, shape: list, error: type, message: str) -> None:
    guard = Guard(put(tmp_path, ".npy", b"x"))
    with pytest.raises(error, match=f"m.npy: tensor 'w': .*{message}"):
        guard.shape(shape, 4, "tensor 'w'")
    assert guard.shape([0, 7], 4, "tensor 'w'") == (0, 7)


def test_names(tmp_path: Path) -> None:
    guard = Guard(put(tmp_path, ".npy", b"x"))
    assert guard.name("ä" * 2048) == "ä" * 2048
    for name, message in (
        (7, "expected text"),
        ("\ud800", "not valid Unicode"),
        ("ä" * 2049, "4098 bytes; the limit is 4096"),
    ):
        with pytest.raises(DczError, match=message):
            guard.name(name)


def test_bytes_to_be_made(tmp_path: Path) -> None:
    path = put(tmp_path, ".npy", bytes(100))
    guard = Guard(path, max_bytes=1000)
    guard.take(600, "one")
    with pytest.raises(
        LimitError, match=r"two: decoding needs 1100 bytes; the limit is 1000; .*pass max_bytes=1100 \(--"
    ):
        guard.take(500, "two")
    for wrong in (-1, True, "1GB"):
        with pytest.raises(DczError, match="max_bytes: expected a number of bytes"):
            Guard(path, max_bytes=wrong)  # type: ignore[arg-type]


def test_what_a_file_has_itself_is_always_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model larger than memory is read one tensor at a time."""
    monkeypatch.setattr("dcz.limits.default_max_bytes", lambda size: 1000)
    tensors = {f"w{i}": np.zeros(100) for i in range(20)}
    save_file(tensors, tmp_path / "m.safetensors")
    with open_model(tmp_path / "m.safetensors") as model:
        assert len(model.tensors()) == 20


def test_a_model_as_a_whole(tmp_path: Path) -> None:
    dcz.save_file({"a": np.zeros(1 << 20, np.uint8), "b": np.ones(1 << 20, np.uint8)}, tmp_path / "m.dcz")
    open_model(tmp_path / "m.dcz", max_bytes=2 << 20).__exit__()
    with pytest.raises(
        LimitError, match="tensor 'b' and those before: decoding needs 2097152 bytes; the limit is 2097151"
    ):
        open_model(tmp_path / "m.dcz", max_bytes=(2 << 20) - 1)
    with pytest.raises(LimitError, match="tensor 'a': decoding needs 1048576 bytes"):
        open_model(tmp_path / "m.dcz", max_bytes=1 << 19)


def test_visits(tmp_path: Path) -> None:
    guard = Guard(put(tmp_path, ".npy", bytes(100)))
    for _ in range(100 + (1 << 16)):
        guard.visit()
    with pytest.raises(LimitError, match="layers: its containers have more entries than the file has bytes"):
        guard.visit("layers")


def test_more_tensors_than_a_file_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.limits.MAX_TENSORS", 3)
    save_file({name: np.zeros(1) for name in "abcd"}, tmp_path / "m.safetensors")
    with pytest.raises(LimitError, match="more than 3 tensors"):
        open_model(tmp_path / "m.safetensors")
