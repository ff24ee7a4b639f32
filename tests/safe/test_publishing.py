"""A path has the whole new file or what it had before, and nothing else is left in its folder."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
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
    with pytest.raises(DczError, match="not a regular file; open it and pass the file object"):
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


def test_a_private_file_is_private_while_it_is_written(old: Path) -> None:
    os.chmod(old, 0o600)
    writer = dcz.Writer(old)
    (name,) = set(os.listdir(old.parent)) - {old.name}
    assert stat.S_IMODE(os.stat(old.parent / name).st_mode) == 0o600
    writer.close()
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_are_kept(old: Path) -> None:
    os.chown(old, 12345, 23456)
    dcz.save_file(GOOD, old)
    assert (old.stat().st_uid, old.stat().st_gid) == (12345, 23456)


def test_a_group_that_cannot_be_kept_gains_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was for one group; the group of this process is another."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root makes a file of another group")
    os.chown(old, -1, 23456)
    os.chmod(old, 0o664)

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    dcz.save_file(GOOD, old)
    assert stat.S_IMODE(old.stat().st_mode) == 0o644


@pytest.mark.parametrize("there", [True, False])
def test_the_target_of_a_link_is_replaced(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if there:
        (folder / "real.dcz").write_bytes(b"old")
    link = tmp_path / "link.dcz"
    link.symlink_to(folder / "real.dcz")
    dcz.save_file(GOOD, link)
    assert link.is_symlink() and len(dcz.load_file(folder / "real.dcz")) == 2
    assert os.listdir(folder) == ["real.dcz"]
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "link.dcz"]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_errors_name_the_target(old: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    real = os.open

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", *(arguments[:1] if call == "replace" else ()))

    def fail_to_open(name: str, flags: int, *rest: object, **options: object) -> int:
        if str(name).endswith(".tmp"):
            raise OSError(28, "No space left on device", name)
        return real(name, flags, *rest, **options)

    if call == "write":
        writer = dcz.Writer(old)
        writer._sink.file = _Full(writer._sink.file)
        with pytest.raises(OSError) as raised:
            writer.add("a", np.arange(10))
    else:
        monkeypatch.setattr(os, call, fail_to_open if call == "open" else fail)
        with pytest.raises(OSError) as raised:
            dcz.save_file(GOOD, old)
        monkeypatch.undo()
    assert raised.value.errno == 28 and raised.value.filename == str(old) and ".tmp" not in str(raised.value)
    assert_untouched(old)


class _Full:
    """A file on a full disk."""

    def __init__(self, file: object) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize("moment", ["made", "opened"])
def test_an_interrupt_while_the_temporary_file_is_opened(
    old: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    real = os.open

    def interrupted(name: str, flags: int, *rest: object, **options: object) -> int:
        fd = real(name, flags, *rest, **options)
        if str(name).endswith(".tmp"):
            os.close(fd)
            raise KeyboardInterrupt
        return fd

    def interrupted_later(file: object) -> None:
        sinks.PathSink(old)
        raise KeyboardInterrupt

    if moment == "made":
        monkeypatch.setattr(os, "open", interrupted)
    else:
        monkeypatch.setattr("dcz.container.writer.open_sink", interrupted_later)
    with pytest.raises(KeyboardInterrupt):
        dcz.save_file(GOOD, old)
    monkeypatch.undo()
    assert_untouched(old)


def test_more_tensors_than_a_reader_opens(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.limits.MAX_TENSORS", 5)
    with pytest.raises(dcz.LimitError, match="'5': more than 5 tensors; split the model into shards"):
        dcz.save_file({str(n): np.arange(n + 3) for n in range(6)}, old)
    assert_untouched(old)
    array = np.arange(9)
    with pytest.raises(dcz.LimitError, match="'6': more than 5 aliases; split the model into shards"):
        dcz.save_file({str(n): array for n in range(7)}, old)
    assert_untouched(old)


@pytest.mark.parametrize("limit", ["MAX_INDEX_BYTES", "MAX_DIRECTORY", "MAX_METADATA_BYTES"])
def test_what_the_reader_refuses_is_not_published(old: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(f"dcz.limits.{limit}", 1)
    with pytest.raises(dcz.LimitError):
        dcz.save_file({f"layer.{n}": np.arange(n + 1000) for n in range(20)}, old, metadata={"about": "x" * 50})
    assert_untouched(old)


def test_an_interrupt_does_not_wait_for_what_has_not_begun(old: Path) -> None:
    writer = dcz.Writer(old, threads=2)
    assert writer._pool is not None
    done: list[int] = []
    for number in range(500):
        writer._pool.submit(lambda number: (time.sleep(0.002), done.append(number)), number)
    writer.abandon()
    assert len(done) < 500
    assert_untouched(old)
