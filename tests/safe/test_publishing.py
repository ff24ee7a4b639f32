"""A path has the whole new file or what it had before, and nothing else is left in its folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from dcz.io import sinks

GOOD = {"a": np.arange(100), "b": np.ones(3)}
BAD = {**GOOD, "z": np.array(["text"])}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that is there already."""
    path = tmp_path / "model.dcz"
    path.write_bytes(b"what was there before")
    return path


def assert_untouched(path: Path) -> None:
    assert path.read_bytes() == b"what was there before"
    assert os.listdir(path.parent) == [path.name]


def test_an_old_file_is_replaced_whole(old: Path) -> None:
    dcz.save_file(GOOD, old)
    assert list(dcz.load_file(old)) == ["a", "b"]
    assert os.listdir(old.parent) == [old.name]


def test_paths_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dcz.save_file(GOOD, "relative.dcz")
    dcz.save_file(GOOD, tmp_path / "path.dcz")
    dcz.save_file(GOOD, str(tmp_path / ("x" * 251 + ".dcz")))
    dcz.save_file(GOOD, tmp_path / ("\U0001f642" * 61 + ".dcz"))
    assert all(len(dcz.load_file(path)) == 2 for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 4


def test_a_refused_tensor(old: Path) -> None:
    with pytest.raises(DczError):
        dcz.save_file(BAD, old)
    assert_untouched(old)


def test_an_exception_within_the_writer(old: Path) -> None:
    with pytest.raises(RuntimeError), dcz.Writer(old) as writer:
        writer.add("a", np.arange(10**5))
        raise RuntimeError("the caller's own")
    assert_untouched(old)


def test_a_writer_that_is_given_up(old: Path) -> None:
    writer = dcz.Writer(old)
    writer.add("a", np.arange(10**5))
    writer.abandon()
    assert_untouched(old)


def test_a_writer_that_is_forgotten(old: Path) -> None:
    writer = dcz.Writer(old)
    writer.add("a", np.arange(10**5))
    del writer
    assert_untouched(old)


def test_nothing_is_there_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new.dcz"
    with dcz.Writer(path) as writer:
        writer.add("a", np.arange(10**5))
        assert not path.exists()
    assert path.exists()


def test_an_interrupt(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dcz.save_file(GOOD, old, progress=interrupt)
    assert_untouched(old)


@pytest.mark.parametrize("number", range(8))
def test_a_write_that_fails(old: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The n-th write finds the disk full: prelude, segments, padding, index, trailer."""
    whole = sinks.PathSink.write
    calls = 0

    def write(self: sinks.PathSink, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > number:
            raise OSError(28, "No space left on device")
        whole(self, data)

    monkeypatch.setattr(sinks.PathSink, "write", write)
    try:
        dcz.save_file(GOOD, old)
    except OSError as error:
        assert error.errno == 28
        assert_untouched(old)
    else:
        assert calls <= number
        assert len(dcz.load_file(old)) == 2


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end(old: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        dcz.save_file(GOOD, old)
    monkeypatch.undo()
    assert_untouched(old)


def test_a_file_size_limit(old: Path) -> None:
    """The operating system refuses, in a process that may write 20,000 bytes to a file."""
    program = (
        "import resource, sys, numpy, dcz\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "array = numpy.random.Generator(numpy.random.PCG64(1)).integers(0, 256, 4_000_000, 'u1')\n"
        "try:\n    dcz.save_file({'w': array}, sys.argv[1])\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(old)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "File too large" and run.stderr == ""
    assert_untouched(old)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_file_object_on_a_full_device() -> None:
    with pytest.raises(OSError, match="No space left on device"), open("/dev/full", "wb", buffering=0) as file:
        dcz.save_file(GOOD, file)


def test_permissions(tmp_path: Path, old: Path) -> None:
    os.chmod(old, 0o640)
    dcz.save_file(GOOD, old)
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        dcz.save_file(GOOD, tmp_path / "new.dcz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.dcz").stat().st_mode) == 0o640


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        dcz.save_file(GOOD, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dcz.save_file(GOOD, tmp_path / "nowhere" / "model.dcz")


def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DczError, match="is no regular file; open it and pass the file object"):
        dcz.save_file(GOOD, path)
    assert stat.S_ISFIFO(path.stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_two_writers_of_one_path(tmp_path: Path) -> None:
    """The last to finish wins, and both files were whole."""
    path = tmp_path / "model.dcz"
    first, second = dcz.Writer(path), dcz.Writer(path)
    first.add("first", np.arange(3))
    second.add("second", np.arange(3))
    second.close()
    assert list(dcz.load_file(path)) == ["second"]
    first.close()
    assert list(dcz.load_file(path)) == ["first"]
    assert os.listdir(tmp_path) == ["model.dcz"]
