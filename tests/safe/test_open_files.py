"""What an open file shares: the buffer of its thread, a descriptor of its process, a name in its errors."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import ChecksumError, DczError
from dcz.format.trailer import SIZE
from dcz.io.sources import FileSource
from support.arrays import make_array
from support.bits import assert_same_bits

FIRST = make_array(1, "F32", (700, 300), 1.0, 60000)
SECOND = make_array(2, "U8", (90_000,), 1.0, 250)


class Reentrant(io.BytesIO):
    """A file object whose read loads another file, as a signal handler or finalizer of this thread may."""

    def __init__(self, data: bytes, other: bytes) -> None:
        super().__init__(data)
        self.other = other
        self.loads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.loads += 1
        assert_same_bits(dcz.load(self.other)["t"], SECOND)
        return data

    def readinto(self, buffer: object, /) -> int:
        raise NotImplementedError


def test_a_load_within_a_load_of_the_same_thread(tmp_path: Path) -> None:
    """The inner load once got the outer one's buffer, and the outer one decoded the inner one's bytes."""
    file = Reentrant(dcz.save({"t": FIRST}, profile="raw"), dcz.save({"t": SECOND}, profile="raw"))
    assert_same_bits(dcz.load_file(file)["t"], FIRST)
    assert file.loads > 1


class Interrupted(io.BytesIO):
    """A file object during whose seek and read a signal handler reads from the same reader, once each."""

    reader: dcz.Reader | None = None
    busy = False
    count = 0

    def interrupt(self) -> None:
        if self.reader is not None and not self.busy and self.count < 8:
            self.busy = True
            self.count += 1
            assert_same_bits(self.reader.get_slice("t")[1:3], FIRST[1:3])
            self.busy = False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        position = super().seek(offset, whence)
        self.interrupt()
        return position

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.interrupt()
        return data


def test_a_read_within_a_read_of_the_same_file_object() -> None:
    """The lock of the file object was not for one thread twice, which waited for itself."""
    file = Interrupted(dcz.save({"t": FIRST}, profile="raw"))
    with dcz.open(file) as reader:
        file.reader = reader
        assert_same_bits(reader["t"], FIRST)
    assert file.count == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_reader_after_fork(tmp_path: Path) -> None:
    """The child reads with the parent's reader, while a thread of the parent was reading."""
    path = tmp_path / "m.dcz"
    dcz.save_file({"t": SECOND}, path)
    code = f"""
import os, threading, dcz, sys, warnings
warnings.simplefilter("ignore")
reader = dcz.open({str(path)!r})
expected = reader["t"].tobytes()
stop = threading.Event()
def work():
    while not stop.is_set():
        reader["t"]
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
for _ in range(20):
    child = os.fork()
    if child == 0:
        ok = reader["t"].tobytes() == expected
        reader.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
[thread.join() for thread in threads]
print(reader["t"].tobytes() == expected)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout == "True\n", run.stderr


def test_a_load_between_reading_and_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = tmp_path / "m.dcz", dcz.save({"t": SECOND}, profile="raw")
    dcz.save_file({"t": FIRST}, path, profile="raw")
    original = FileSource.read_into

    def read_into(self: FileSource, offset: int, out: np.ndarray) -> None:
        original(self, offset, out)
        assert_same_bits(dcz.load(other)["t"], SECOND)

    monkeypatch.setattr(FileSource, "read_into", read_into)
    assert_same_bits(dcz.load_file(path)["t"], FIRST)
    assert_same_bits(dcz.open(path).get_slice("t")[3:5], FIRST[3:5])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_readers_that_are_not_closed_leak_nothing(tmp_path: Path) -> None:
    dcz.save_file({"t": SECOND}, tmp_path / "m.dcz")
    before = descriptors()
    for _ in range(50):
        dcz.open(tmp_path / "m.dcz")["t"]
    assert descriptors() <= before + 1


def test_a_copied_reader_reads_its_own_file(tmp_path: Path) -> None:
    path = tmp_path / "m.dcz"
    dcz.save_file({"t": SECOND}, path)
    for again in (copy.deepcopy, copy.copy, lambda reader: pickle.loads(pickle.dumps(reader))):
        reader = dcz.open(path)
        other = again(reader)
        reader.close()
        (tmp_path / "stranger").write_bytes(b"x" * 200_000)
        with open(tmp_path / "stranger", "rb") as stranger:  # gets the descriptor's number
            assert_same_bits(other["t"], SECOND)
            other.close()
            assert stranger.read(1) == b"x"
    assert_same_bits(pickle.loads(pickle.dumps(dcz.open(dcz.save({"t": SECOND}))))["t"], SECOND)


def test_a_reader_of_a_file_object_is_not_copied() -> None:
    reader = dcz.open(io.BytesIO(dcz.save({"t": SECOND})))
    for again in (copy.deepcopy, pickle.dumps):
        with pytest.raises(DczError, match="BytesIO.*cannot be copied .*; open the file by its path or URL"):
            again(reader)


def test_closing_while_another_thread_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor stays open until the read is done: its number may not go to another file meanwhile."""
    path = tmp_path / "m.dcz"
    dcz.save_file({"t": FIRST}, path, profile="raw")
    (tmp_path / "stranger").write_bytes(b"x" * 2_000_000)
    reader = dcz.open(path)
    reading, closed = threading.Event(), threading.Event()
    original = os.preadv

    def preadv(fd: int, buffers: list, offset: int) -> int:
        reading.set()
        assert closed.wait(10)
        return original(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    found: list[object] = []

    def work() -> None:
        try:
            found.append(reader["t"])
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert reading.wait(10)
    reader.close()
    with open(tmp_path / "stranger", "rb"):
        closed.set()
        thread.join()
    assert isinstance(found[0], DczError) and "closed" in str(found[0]) or np.array_equal(found[0], FIRST, True)
    with pytest.raises(DczError, match="the reader is closed"):
        reader["t"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("read", [dcz.load_file, dcz.open, dcz.verify])
def test_a_fifo_does_not_block(tmp_path: Path, read: object) -> None:
    os.mkfifo(tmp_path / "pipe.dcz")
    with pytest.raises(DczError, match=r"pipe\.dcz: is not a regular file, but a FIFO; copy it to a file"):
        read(tmp_path / "pipe.dcz")


def test_a_device_is_refused() -> None:
    with pytest.raises(DczError, match="/dev/zero: is not a regular file, but a character device"):
        dcz.open("/dev/zero")


@pytest.mark.parametrize("where", ["path", "object", "bytes"])
def test_errors_name_the_file_first(tmp_path: Path, where: str) -> None:
    data = bytearray(dcz.save({"t": SECOND}, profile="raw"))
    data[5000] ^= 1
    path = tmp_path / "broken.dcz"
    path.write_bytes(data)
    broken = {"path": path, "bytes": bytes(data)}.get(where)
    name = {"path": str(path), "bytes": "<bytes>", "object": str(path)}[where]
    with open(path, "rb") as file:
        for work in (
            lambda: dcz.load_file(broken or file),
            lambda: dcz.open(broken or file)["t"],
            lambda: dcz.open(broken or file).get_slice("t")[:9000],
            lambda: dcz.open(broken or file).get_clusters("t"),
            lambda: dcz.verify(broken or file),
        ):
            with pytest.raises(ChecksumError) as error:
                work()
            assert str(error.value).startswith(f"{name}: tensor 't'") and error.value.file == name
    index = bytearray(data)
    index[-SIZE - 4] ^= 1
    path.write_bytes(index)
    with pytest.raises(ChecksumError) as error:
        dcz.open(path)
    assert str(error.value).startswith(f"{path}: index: ")


def test_a_reader_that_is_let_go_says_nothing(tmp_path: Path) -> None:
    dcz.save_file({"t": SECOND}, tmp_path / "m.dcz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dcz.open(tmp_path / "m.dcz")
