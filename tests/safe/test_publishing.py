"""A path has the whole new file or what it had before, and nothing else is left in its folder."""

from __future__ import annotations

import contextlib
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


PROGRAM = """
import os, signal, sys, numpy, dcz
path, how = sys.argv[1:]
writer = dcz.Writer(path)
writer.add("a", numpy.arange(100_000))
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "term":
    from dcz.io.temporary import remove_temporary_files
    signal.signal(signal.SIGTERM, lambda *_: (remove_temporary_files(), os._exit(143)))
    os.kill(os.getpid(), signal.SIGTERM)
print("ready", flush=True)
sys.stdin.read()
"""


def run_writer(path: Path, how: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_killed_process_leaves_nothing_for_long(tmp_path: Path) -> None:
    path, other = tmp_path / "model.dcz", tmp_path / "other.dcz"
    for target in (path, other):
        with run_writer(target, "kill") as process:
            process.communicate()
    assert len(os.listdir(tmp_path)) == 2
    dcz.save_file(GOOD, path)
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2 and left[1] == "model.dcz" and "other" in left[0]  # another target's is not ours to judge
    dcz.save_file(GOOD, other)
    assert sorted(os.listdir(tmp_path)) == ["model.dcz", "other.dcz"]


def test_the_temporary_file_of_a_living_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.dcz"
    with run_writer(path, "wait") as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        dcz.save_file(GOOD, path)
        assert len(os.listdir(tmp_path)) == 2
        process.communicate("")
    assert os.listdir(tmp_path) == ["model.dcz"]  # it ended without closing its writer


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    """The process of the name lives, and began at another time."""
    path = tmp_path / "model.dcz"
    writer = dcz.Writer(path)
    (name,) = os.listdir(tmp_path)
    parts = name.split(".")
    parts[-3] = str(int(parts[-3]) + 1)
    (tmp_path / ".".join(parts)).write_bytes(b"left by an earlier process of this number")
    dcz.save_file(GOOD, path)
    assert sorted(os.listdir(tmp_path)) == [name, "model.dcz"]
    writer.abandon()


def test_termination_removes_the_temporary_file(tmp_path: Path) -> None:
    with run_writer(tmp_path / "model.dcz", "term") as process:
        process.communicate()
    assert process.returncode == 143 and os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_leaves_the_file_of_its_parent(tmp_path: Path) -> None:
    program = (
        "import os, sys, numpy, dcz\n"
        "writer = dcz.Writer(sys.argv[1])\n"
        "writer.add('a', numpy.arange(100))\n"
        "child = os.fork()\n"
        "if child == 0:\n    del writer\n    sys.exit()\n"
        "os.waitpid(child, 0)\n"
        "writer.close()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "m.dcz")], check=True)
    assert list(dcz.load_file(tmp_path / "m.dcz")) == ["a"]


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


SHARDED = {name: np.arange(n, n + 40) for n, name in enumerate("abc")}
OTHER = {name: array + 1 for name, array in SHARDED.items()}


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """The index of a model in three files."""
    return dcz.save_sharded(SHARDED, tmp_path, shard_size=400)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("number", range(12))
def test_files_of_one_model_are_replaced_together(
    shards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, links: bool
) -> None:
    """The n-th move fails: all files are as before."""
    before, move, calls = contents(tmp_path), os.replace, 0

    def replace(*paths: str) -> None:
        nonlocal calls
        calls += 1
        if calls == number + 1:
            raise OSError(5, "Input/output error")
        move(*paths)

    def no_links(*arguments: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        if not links:
            patch.setattr(os, "link", no_links)
        try:
            dcz.save_sharded(OTHER, tmp_path, shard_size=400)
        except OSError as error:
            assert error.errno == 5 and contents(tmp_path) == before
            return
    assert calls <= number and len(before) == 4 == len(os.listdir(tmp_path))
    assert {name: array.tolist() for name, array in dcz.load_file(shards).items()} == {
        name: array.tolist() for name, array in OTHER.items()
    }


def test_a_move_that_fails_leaves_no_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = os.replace

    def replace(source: str, to: str) -> None:
        if to.endswith(".json"):
            raise OSError(5, "Input/output error")
        move(source, to)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="Input/output error"):
        dcz.save_sharded(OTHER, tmp_path, shard_size=400)
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys, numpy, dcz
move, left = os.replace, int(sys.argv[2])
def replace(*paths):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    move(*paths)
os.replace = replace
dcz.save_sharded({name: numpy.arange(n + 1, n + 41) for n, name in enumerate("abc")}, sys.argv[1], shard_size=400)
"""


@pytest.mark.parametrize("number", [1, 5, 6, 8])
def test_a_killed_process_never_mixes_two_models(shards: str, tmp_path: Path, number: int) -> None:
    """Whatever was moved: the index is that of the old files, or there is none; and the next call leaves no litter."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path), str(number)])
    assert done.returncode == -9
    if os.path.exists(shards):
        assert dcz.load_file(shards)["a"].tolist() == SHARDED["a"].tolist()
    with pytest.raises(FileNotFoundError) if not os.path.exists(shards) else contextlib.nullcontext():
        dcz.load_file(shards)
    assert len(os.listdir(tmp_path)) > 4 - (number > 1)
    dcz.save_sharded(OTHER, tmp_path, shard_size=400)
    assert len(os.listdir(tmp_path)) == 4
    assert dcz.load_file(shards)["a"].tolist() == OTHER["a"].tolist()


@pytest.mark.parametrize("save", ["file", "shards"])
def test_a_temporary_file_that_cannot_be_removed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str
) -> None:
    """The error is that of the save, and the next save removes both its own and what was left."""

    def act() -> None:
        if save == "file":
            dcz.save_file(GOOD, tmp_path / "model.dcz")
        else:
            dcz.save_sharded(GOOD, tmp_path)

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    def fail_to_remove(*arguments: object, **options: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr(os, "unlink", fail_to_remove)
        patch.setattr("shutil.rmtree", fail_to_remove)
        with pytest.raises(OSError, match="No space left on device"):
            act()
    assert len(os.listdir(tmp_path)) == 1
    act()
    assert len(os.listdir(tmp_path)) == (1 if save == "file" else 2)
