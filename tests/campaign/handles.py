"""Readers and descriptors: many threads on one reader, processes that fork, copies, readers that nobody closes.

Eight threads load 200 times each from one reader, of a path, bytes and a file object; forked children load from their
parent's reader, which was reading when they were made; a pickled reader reads its file again, or refuses; 10,000
readers that nobody closes leave no descriptor open, nor do 1,000 files that are refused.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dcz
from campaign.isolated import Crashed, isolated
from campaign.results import Result

THREADS, LOADS, OPENS, FORKS = 8, 200, 10_000, 200


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign; the short form does a fiftieth."""
    part = scale if full else scale / 50
    result = Result({"free-threaded": not getattr(sys, "_is_gil_enabled", lambda: True)()})
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.dcz"
        tensors = _model(seed)
        dcz.save_file(tensors, path)
        _threads(result, path, tensors, max(2, int(LOADS * part)))
        _forks(result, path, tensors, max(2, int(FORKS * part)))
        _pickles(result, path, tensors)
        _descriptors(result, path, max(100, int(OPENS * part)))
    return result


def _model(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(seed))
    few = rng.standard_normal(20).astype("f4") * (rng.random(20) < 0.4)
    return {
        "sparse": few[rng.integers(0, 20, (200, 300))],
        "dense": rng.standard_normal((50, 60)),
        "bytes": rng.integers(0, 9, 5000, np.uint8),
    }


def _threads(result: Result, path: Path, tensors: dict[str, np.ndarray], loads: int) -> None:
    kinds: dict[str, Callable[[], object]] = {
        "path": lambda: path,
        "bytes": path.read_bytes,
        "file object": lambda: io.BytesIO(path.read_bytes()),
    }
    for kind, make in kinds.items():
        with dcz.open(make()) as reader:
            wrong: list[str] = []

            def work(first: int, reader: dcz.Reader = reader, wrong: list[str] = wrong) -> None:
                try:
                    for number in range(first, first + loads):
                        name = list(tensors)[number % 3]
                        whole = tensors[name]
                        if number % 2:
                            found, expected = reader[name], whole
                        else:
                            row = number % len(whole)
                            found, expected = reader.get_slice(name)[row : row + 2], whole[row : row + 2]
                        if found.tobytes() != expected.tobytes():
                            wrong.append(f"load {number} of {name} gives other bits")
                except BaseException as error:
                    wrong.append(f"{type(error).__name__}: {error}")

            threads = [threading.Thread(target=work, args=(first,)) for first in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        result.count(f"loads by {THREADS} threads", THREADS * loads)
        for each in wrong:
            result.fault(f"threads on a reader of a {kind}: {each}")


def _forks(result: Result, path: Path, tensors: dict[str, np.ndarray], forks: int) -> None:
    """Children of a process of which other threads are reading."""
    stop = threading.Event()
    with dcz.open(path) as reader:

        def read() -> None:
            while not stop.is_set():
                reader["sparse"]

        def child() -> bool:
            return all(reader[name].tobytes() == array.tobytes() for name, array in tensors.items())

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(forks):
                try:
                    if not isolated(child):
                        result.fault(f"fork {number}: the child reads other bits")
                except Crashed as error:
                    result.fault(f"fork {number}: {error}")
                result.count("forks")
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _pickles(result: Result, path: Path, tensors: dict[str, np.ndarray]) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        for source in (path, path.read_bytes()):
            with dcz.open(source) as reader, pickle.loads(pickle.dumps(reader, protocol)) as copy:
                if any(copy[name].tobytes() != array.tobytes() for name, array in tensors.items()):
                    result.fault("a pickled reader reads other bits")
            result.count("pickled readers")
        with dcz.open(io.BytesIO(path.read_bytes())) as reader:
            try:
                pickle.dumps(reader, protocol)
                result.fault("a reader of a file object is pickled")
            except dcz.DczError:
                result.count("pickled readers")


def _descriptors(result: Result, path: Path, opens: int) -> None:
    if platform.system() != "Linux":
        return
    broken = path.with_name("broken.dcz")
    broken.write_bytes(path.read_bytes()[:-1])
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    for number in range(opens):
        reader = dcz.open(path)
        if number % 10 == 0:
            reader["bytes"]
            try:
                dcz.open(broken)
            except dcz.DczError:
                result.count("files refused")
        result.count("readers opened and not closed")
    del reader
    gc.collect()
    after = sorted(os.listdir("/proc/self/fd"))
    if len(after) > len(before):
        result.fault(f"{len(after) - len(before)} descriptors more than before")
