"""Whatever is wrong: one line that says what to do, exit code 1 or 2, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from support.forging import with_trailer
from support.net import PROTOTXT, SHAPES, encode

WHOLE = dcz.save({"a": np.arange(900), "b": np.random.Generator(np.random.PCG64(1)).random(50)})
FLIPPED = WHOLE[:80] + bytes([WHOLE[80] ^ 1]) + WHOLE[81:]

FILES = {
    "good.dcz": WHOLE,
    "text.dcz": b"this is no model",
    "empty.dcz": b"",
    "short.dcz": WHOLE[:-10],
    "newer.dcz": with_trailer(WHOLE, version=7),
    "flipped.dcz": FLIPPED,
    "net.net": encode(SHAPES)[0],
    "net.prototxt": PROTOTXT.encode(),
    "other.json": b'{"conv1": [4, 3, 3, 3], "conv2": [6, 2, 3, 1], "fc": [5, 40]}',
    "nan.json": b'{"conv1": [NaN]}',
    "text.safetensors": b"this is no model either",
    "text.npz": b"nor is this",
    "text.npy": b"nor this",
    "old.dcz": WHOLE,
    "old.npz": b"what was there",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, data in FILES.items():
        Path(name).write_bytes(data)
    Path("lfs.dcz").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n" + bytes(90))
    Path("page.dcz").write_text("<!DOCTYPE html><html><body>not found</body></html>")
    header = b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,0]}}'
    Path("lie.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    os.mkdir("folder.dcz")
    np.savez("objects.npz", w=np.array([{}, None], object))
    np.savez("text-array.npz", w=np.array(["text"]))
    np.savez("good.npz", w=np.zeros(9))
    np.savez("escape.npz", **{"../escape": np.zeros(3)})
    dcz.save_file({"../escape": np.zeros(3)}, "escape.dcz")
    dcz.save_file({"w": np.zeros(3, dcz.dtypes.DTYPES["F8_E5M2"].numpy())}, "f8.dcz")
    return tmp_path


# Arguments, exit code, and what the line says.
ERRORS = {
    "not a dcz file": (("verify", "text.dcz"), 1, "this is not a dcz file, but a file that begins with"),
    "a pointer of Git LFS": (("verify", "lfs.dcz"), 1, "lfs.dcz: magic: this is not a dcz file, but a Git LFS pointer"),
    "a pointer's remedy": (("inspect", "lfs.dcz"), 1, "git lfs pull"),
    "a web page": (("verify", "page.dcz"), 1, "but a web page (HTML); fetch the file again"),
    "a lie in a safetensors header": (("pack", "lie.safetensors", "new.dcz"), 1,
        "lie.safetensors: tensor 'w': data_offsets: expected 36 bytes for F32 [9]"),
    "an empty file": (("inspect", "empty.dcz"), 1, "the file ends after 0 bytes"),
    "a truncated file": (("verify", "short.dcz"), 1, "finish the copy or download"),
    "a newer version": (("inspect", "newer.dcz"), 1, "format version 7, this dcz reads 1; update dcz"),
    "a flipped byte": (("verify", "flipped.dcz"), 1, "do not match their CRC-32C; fetch the file again"),
    "unpacking a flipped byte": (("unpack", "flipped.dcz", "-o", "new.npz"), 1, "fetch the file again"),
    "packing a flipped byte": (("pack", "flipped.dcz", "new.dcz"), 1, "fetch the file again"),
    "an object array": (
        ("pack", "objects.npz", "new.dcz"),
        1, "objects.npz: there is no tensor in it; w: holds Python objects as a pickle",
    ),
    "an array of text": (("pack", "text-array.npz", "new.dcz"), 1, "cannot be stored; expected one of"),
    "existing output": (("pack", "good.npz", "old.dcz"), 1, "old.dcz: already exists; use --force to replace it"),
    "existing output of unpack": (("unpack", "good.dcz", "-o", "old.npz"), 1, "already exists; use --force"),
    "a missing input": (("pack", "missing.npz", "new.dcz"), 1, "missing.npz: No such file or directory"),
    "a missing input to unpack": (("unpack", "missing.dcz", "-o", "new.npz"), 1, "No such file or directory"),
    "a missing input to inspect": (("inspect", "missing.dcz"), 1, "missing.dcz: No such file or directory"),
    "missing shapes": (("pack", "net.net", "new.dcz"), 1, "net files have no shapes; pass --shapes"),
    "shapes that are missing": (("pack", "net.net", "new.dcz", "--shapes", "x.json"), 1, "x.json: No such file"),
    "shapes that do not match": (
        ("pack", "net.net", "new.dcz", "--shapes", "other.json"),
        1, "the file does not belong to these shapes",
    ),
    "NaN for a shape": (("pack", "net.net", "new.dcz", "--shapes", "nan.json"), 1, "expected a shape such as"),
    "shapes for another format": (
        ("pack", "good.npz", "new.dcz", "--shapes", "net.prototxt"),
        2, "--shapes: is for .net files",
    ),
    "no safetensors file": (("pack", "text.safetensors", "new.dcz"), 1, "text.safetensors: not a safetensors file"),
    "no npz": (("pack", "text.npz", "new.dcz"), 1, "text.npz: not an npz archive"),
    "no npy": (("pack", "text.npy", "new.dcz"), 1, "text.npy: not an npy file"),
    "an extension that is not known": (("pack", "net.prototxt", "new.dcz"), 1, "expected one of "),
    "a target that is not known": (("unpack", "good.dcz", "-o", "new.xyz"), 2, "expected one of "),
    "a target without extension": (("pack", "good.npz", "new"), 2, "the name of a packed file ends in .dcz; to write"),
    "a folder for input": (("inspect", "folder.dcz"), 1,
        "folder.dcz: Is a folder with no .dcz.index.json and no .dcz file in it"),
    "a folder for output": (("pack", "good.npz", "folder.dcz", "--force"), 1, "folder.dcz: is a folder; name a file"),
    "a folder that is missing": (("pack", "good.npz", "no/new.dcz"), 1, "does not exist; create it first"),
    "a name that escapes": (("unpack", "escape.dcz", "-o", "new.npz"), 1, "could escape the folder it is unpacked in"),
    "a dtype that npz lacks": (
        ("unpack", "f8.dcz", "-o", "new.npz"),
        1, "cannot hold F8_E5M2; write safetensors instead",
    ),
    "two arrays for npy": (("unpack", "good.dcz", "-o", "new.npy"), 1, "an npy file holds one array, there are 2"),
    "an unknown profile": (
        ("pack", "good.npz", "new.dcz", "--profile", "x"),
        2, "'x' is unknown; expected one of auto, csr",
    ),
    "NaN for a number": (("pack", "good.npz", "new.dcz", "--threads", "nan"), 2, "Invalid value for '--threads'"),
    "no threads": (("verify", "good.dcz", "--threads", "0"), 2, "Invalid value for '--threads'"),
    "an unknown option": (("pack", "good.npz", "new.dcz", "--fast"), 2, "--fast"),
    "an unknown command": (("compress", "good.npz"), 2, "No such command 'compress'"),
    "an argument missing": (("pack", "good.npz"), 2, "Missing argument"),
    "a destination missing": (("unpack", "good.dcz"), 2, "Missing argument 'DST': name the file to write"),
    "two destinations": (("unpack", "good.dcz", "a.npz", "-o", "b.npz"), 2, "name the file to write twice"),
    "an argument too many": (("verify", "good.dcz", "x"), 2, "unexpected extra argument"),
    "an option without value": (("pack", "good.npz", "new.dcz", "--profile"), 2, "--profile"),
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(folder: Path, dcz_: Callable, name: str) -> None:
    arguments, code, message = ERRORS[name]
    before = contents(folder)
    run = dcz_(*arguments)
    assert run.code == code and run.out == ""
    assert run.err.startswith("dcz: ") and run.err.count("\n") == 1 and message in run.err
    assert contents(folder) == before


def test_force_that_fails_leaves_the_old_file(folder: Path, dcz_: Callable) -> None:
    before = contents(folder)
    for arguments in (
        ("pack", "objects.npz", "old.dcz", "--force"),
        ("unpack", "flipped.dcz", "-o", "old.npz", "--force"),
        ("unpack", "escape.dcz", "-o", "old.npz", "--force"),
    ):
        assert dcz_(*arguments).code == 1
        assert contents(folder) == before


def test_errors_keep_quiet_with_json(folder: Path, dcz_: Callable) -> None:
    run = dcz_("verify", "flipped.dcz", "--json")
    assert run.code == 1 and run.out == "" and run.err.count("\n") == 1


def test_control_characters_do_not_reach_the_terminal(folder: Path, dcz_: Callable) -> None:
    run = dcz_("verify", "missing\x1b[31m\nfile.dcz")
    assert run.code == 1 and run.err.count("\n") == 1 and "\x1b" not in run.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 1, "not enough memory"),
        (OSError(28, "No space left on device", "new.dcz"), 1, "new.dcz: No space left on device"),
        (OSError("odd"), 1, "odd"),
    ],
)
def test_errors_of_the_system(
    folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("dcz.container.writer.Writer.add", fail)
    before = contents(folder)
    run = dcz_("pack", "good.npz", "new.dcz")
    assert (run.code, run.err) == (code, f"dcz: {message}\n")
    assert contents(folder) == before


def test_an_interrupt(folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dcz.container.writer.Writer.add", interrupt)
    before = contents(folder)
    run = dcz_("pack", "good.npz", "new.dcz")
    assert run.code == 130 and run.err in ("", "dcz: interrupted\n")
    assert contents(folder) == before


def test_errors_of_our_own_are_not_hidden(folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in dcz itself shows its traceback: nobody could report it otherwise."""

    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dcz.container.writer.Writer.add", fail)
    with pytest.raises(ZeroDivisionError):
        dcz_("pack", "good.npz", "new.dcz")


@pytest.mark.parametrize("name", ["a flipped byte", "existing output", "NaN for a number", "an unknown command"])
def test_as_another_program_sees_it(folder: Path, name: str) -> None:
    arguments, code, message = ERRORS[name]
    run = subprocess.run([sys.executable, "-m", "dcz", *arguments], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (code, "")
    assert run.stderr.startswith("dcz: ") and run.stderr.count("\n") == 1 and message in run.stderr
