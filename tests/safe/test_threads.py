"""Threads: any number gives the same arrays, one reader serves many, none is left behind, and forking is safe."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.container.tasks import read_plan
from dcz.container.threads import each
from dcz.errors import ChecksumError
from support.arrays import LARGE, large
from support.bits import assert_same_bits

NAMES = ("pruned and clustered float32", "dense bfloat16", "sparse bytes", "wide codebook float32")


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    return {name: large(name) for name in NAMES}


@pytest.fixture(scope="module")
def data(model: dict[str, np.ndarray]) -> bytes:
    return dcz.save(model)


@pytest.mark.parametrize("threads", [1, 2, 3, 8, None])
def test_any_number(model: dict[str, np.ndarray], data: bytes, threads: int | None) -> None:
    before = threading.active_count()
    found = dcz.load(data, threads=threads)
    for name, array in model.items():
        assert_same_bits(found[name], array)
    assert dcz.verify(data, threads=threads).tensors == len(NAMES)
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_one_reader_for_many(model: dict[str, np.ndarray], data: bytes, kind: type) -> None:
    reader = dcz.open(kind(data))

    def read(number: int) -> None:
        name = NAMES[number % len(NAMES)]
        array = model[name]
        if number % 3:
            row = number % len(array)
            assert_same_bits(reader.get_slice(name)[row : row + 3], array[row : row + 3])
        else:
            assert_same_bits(reader[name], array)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(64)))


def test_many_writers_at_once(model: dict[str, np.ndarray], data: bytes) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: dcz.save(model, threads=2), range(8))) == {data}


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_is_reported_from_any_thread(data: bytes, threads: int) -> None:
    broken = bytearray(data)
    with dcz.open(data) as reader:
        entry = reader._store.index.entries["sparse bytes"]
    broken[entry.offset + entry.size - 1] ^= 1
    before = threading.active_count()
    for read in (dcz.load, dcz.verify):
        with pytest.raises(ChecksumError, match="tensor 'sparse bytes'"):
            read(bytes(broken), threads=threads)
    assert threading.active_count() == before


def test_the_first_error_stops_the_rest() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        each(work, range(1000), 2)
    assert len(begun) < 1000
    with pytest.raises(KeyError, match="first"):
        each(work, range(3), 1)


def test_the_calling_thread_works_too() -> None:
    workers: set[int] = set()
    everyone = threading.Barrier(3, timeout=30)

    def work(number: int) -> None:
        workers.add(threading.get_ident())
        everyone.wait()  # only passed by three at once

    each(work, range(3), 3)
    assert len(workers) == 3 and threading.get_ident() in workers


def test_the_error_of_the_first_item_is_raised() -> None:
    both = threading.Barrier(2, timeout=30)

    def work(number: int) -> None:
        both.wait()  # two have begun
        raise KeyError(number)

    for _ in range(20):
        with pytest.raises(KeyError, match="^0$"):
            each(work, range(100), 2)


def test_a_progress_function_that_fails(data: bytes) -> None:
    def stop(done: int, total: int) -> None:
        raise RuntimeError("stop")

    for threads in (1, 4):
        with pytest.raises(RuntimeError, match="stop"):
            dcz.load(data, threads=threads, progress=stop)


def test_forking(data: bytes, tmp_path: Path) -> None:
    """A child forked after threads were used, and while a reader is open, reads as the parent does."""
    path = tmp_path / "model.dcz"
    path.write_bytes(data)
    program = """
import os, sys, warnings, dcz
warnings.simplefilter("ignore", DeprecationWarning)  # numpy's own threads make newer Pythons warn of any fork
path = sys.argv[1]
expected = {name: array.tobytes() for name, array in dcz.load_file(path, threads=4).items()}
reader = dcz.open(path)
first = reader[next(iter(reader))].tobytes()
child = os.fork()
if child == 0:
    found = {name: array.tobytes() for name, array in dcz.load_file(path, threads=4).items()}
    again = {name: reader[name].tobytes() for name in reader}
    saved = dcz.save(dcz.load_file(path), threads=4)
    os._exit(0 if found == again == expected and saved == open(path, "rb").read() else 1)
status = os.waitpid(child, 0)[1]
same = {name: reader[name].tobytes() for name in reader} == expected
sys.exit(os.waitstatus_to_exitcode(status) or not same)
"""
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_large_arrays_make_several_tasks() -> None:
    """Otherwise the tests above would use one thread."""
    with dcz.open(dcz.save({"w": np.random.Generator(np.random.PCG64(1)).random(10**6)}, profile="raw")) as reader:
        entry = reader._store.index.entries["w"]
        assert len(read_plan(reader._store, [entry], [np.empty(entry.nbytes, np.uint8)])) > 1
    assert set(NAMES) <= set(LARGE)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that send signals")
def test_a_signal_handler_may_load_while_threads_start(tmp_path: Path) -> None:
    """Python holds locks while it starts a thread; a handler that starts another then waited for them for ever."""
    dcz.save_file({"w": np.random.default_rng(0).standard_normal(300_000)}, tmp_path / "m.dcz", profile="raw")
    program = """
import signal, sys
import dcz
expected = dcz.load_file(sys.argv[1], threads=1)["w"].tobytes()
calls = 0
def handler(*_):
    global calls
    calls += 1
    assert dcz.load_file(sys.argv[1], threads=3)["w"].tobytes() == expected
signal.signal(signal.SIGALRM, handler)
for i in range(300):
    signal.setitimer(signal.ITIMER_REAL, 1e-4 + i % 50 * 4e-5)
    assert dcz.load_file(sys.argv[1], threads=3)["w"].tobytes() == expected
signal.setitimer(signal.ITIMER_REAL, 0)
print(calls)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "m.dcz"], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(run.stdout) > 50
