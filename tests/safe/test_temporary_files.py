"""Temporary files: those of processes that ended are removed, those of living ones stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz

GOOD = {"a": np.arange(100), "b": np.ones(3)}

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
