"""System calls and allocations that fail, each by its number: files are old or new, arrays right or refused.

A shim (`faults.cpp`, preloaded) lets one system call fail with ENOSPC, EIO or EINTR, or take half of what it was given,
among those that saving and loading make; or one allocation of the binding in C++. Python's own allocations are
failed by `_testcapi`, for each kernel. The short form takes one kind of failure for each call, of two tasks.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import dcz
from campaign import ROOT
from campaign.isolated import Crashed, isolated
from campaign.results import Result
from dcz import kernels

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EINTR": errno.EINTR, "half": 0}
MOST_CALLS = 400
NO_COMPILER = "calls, as there is no C++ compiler or no Linux"
Tensors = dict[str, np.ndarray]


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign, in a process with the shim."""
    result = Result()
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")
    if compiler is None or not sys.platform.startswith("linux"):
        result.figures[NO_COMPILER] = 0
        return result
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "faults.so"
        source = Path(__file__).with_name("faults.cpp")
        subprocess.run([compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-o", shim, source], check=True)
        program = f"import sys; sys.path.insert(0, 'tests'); import campaign.faults; campaign.faults.work({full})"
        environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        result.fault(f"exit code {done.returncode}: {done.stderr[-1500:]}")
    else:
        found = json.loads(done.stdout)
        result.figures.update(found["figures"])
        result.faults += found["faults"]
    return result


def work(full: bool) -> None:
    """All of it, in a process that has the shim; prints figures and faults."""
    result = Result()
    with tempfile.TemporaryDirectory() as name:
        for task in (Save, Shards, Delta, Load, LoadSharded) if full else (Save, Load):
            _calls(result, task, Path(name), full)
        if set(kernels.available()) == {"pure"}:
            result.figures["allocations in C++, as there are no compiled kernels"] = 0
        else:
            for task in (Load, LoadSharded):
                _allocations(result, task, Path(name))
            _python_allocations(result)
    print(json.dumps({"figures": result.figures, "faults": result.faults}))


def _model(seed: int) -> Tensors:
    rng = np.random.Generator(np.random.PCG64(seed))
    values = np.array([0, 0, 0, 1, 2, 3], "f4")
    return {"a": values[rng.integers(0, 6, (90, 100))], "b": rng.random(40), "c": np.zeros(0, "f2")}


OLD, NEW = _model(1), _model(2)


def _same(found: Any, expected: Tensors) -> bool:
    return list(found) == list(expected) and all(found[n].tobytes() == expected[n].tobytes() for n in expected)


class Save:
    """Replaces a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "model.dcz"
        self.save(OLD)

    def save(self, tensors: Tensors) -> None:
        dcz.save_file(tensors, self.file, threads=1)

    def act(self) -> None:
        self.save(NEW)

    def check(self, acted: bool) -> str:
        """What is wrong afterwards; `acted` where nothing was raised. A further save leaves no litter."""
        dcz.verify(self.file)
        found = dcz.load_file(self.file)
        if not _same(found, NEW) and (acted or not _same(found, OLD)):
            return "the file is neither old nor new, or not new though nothing was raised"
        before = len(self.names())
        self.save(OLD)
        names = self.names()
        return f"litter: {names} ({before} before the next save)" if len(names) != self.count() else ""

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def count(self) -> int:
        return 1


class Shards(Save):
    """Replaces the two files and the index of a sharded model."""

    def save(self, tensors: Tensors) -> None:
        self.file = Path(dcz.save_sharded(tensors, self.folder, shard_size=20_000, threads=1))

    def count(self) -> int:
        return 3


class Delta(Save):
    """Replaces a file of differences."""

    def save(self, tensors: Tensors) -> None:
        dcz.save_delta(tensors, self.file, base=OLD, threads=1)

    def check(self, acted: bool) -> str:
        dcz.verify(self.file, base=OLD)
        found = dcz.load_file(self.file, base=OLD)
        if not _same(found, NEW) and (acted or not _same(found, OLD)):
            return "the file is neither old nor new, or not new though nothing was raised"
        self.save(OLD)
        return "" if len(self.names()) == 1 else f"litter: {self.names()}"


class Load(Save):
    """Loads a file."""

    def act(self) -> None:
        found = dcz.load_file(self.file, threads=1)
        if not _same(found, OLD):
            raise AssertionError("other arrays are loaded")

    def check(self, acted: bool) -> str:
        return "" if _same(dcz.load_file(self.file), OLD) else "the file is another one"


class LoadSharded(Load, Shards):
    """Loads a sharded model."""

    save = Shards.save


def _shim() -> Any:
    shim = ctypes.CDLL(None)
    shim.dcz_fault_arm.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_long]
    shim.dcz_fault_disarm.restype = ctypes.c_long
    return shim


def _attempt(task: type[Save], folder: Path, call: int, number: int, allocation: int) -> tuple[int, int, str]:
    """How many calls and allocations there were, and what went wrong."""
    place = Path(tempfile.mkdtemp(dir=folder))
    made = task(place)
    shim, news, raised = _shim(), ctypes.c_long(), ""
    shim.dcz_fault_arm(call, number, allocation)
    try:
        made.act()
    except BaseException as error:
        calls = shim.dcz_fault_disarm(ctypes.byref(news))
        raised = f"{type(error).__name__}: {error}"
        expected = MemoryError if allocation else (OSError, dcz.DczError)
        if not isinstance(error, expected):
            return calls, news.value, raised
        if isinstance(error, OSError) and error.filename is not None and str(error.filename).endswith(".tmp"):
            return calls, news.value, f"the error names the temporary file: {raised}"
    else:
        calls = shim.dcz_fault_disarm(ctypes.byref(news))
    wrong = made.check(acted=not raised)
    shutil.rmtree(place)
    return calls, news.value, f"{wrong} ({raised or 'nothing was raised'})" if wrong else ""


def _calls(result: Result, task: type[Save], folder: Path, full: bool) -> None:
    _attempt(task, folder, 0, 0, 0)  # imports what it needs
    calls, _, wrong = isolated(_attempt, task, folder, 0, 0, 0)
    assert not wrong and 3 < calls < MOST_CALLS, (task.__name__, calls, wrong)
    for start, (name, number) in enumerate(ERRORS.items()):
        for call in range(1, calls + 1) if full else range(1 + start, calls + 1, len(ERRORS)):
            _one(result, f"{task.__name__}, {name} at call {call} of {calls}", task, folder, call, number, 0)
            result.count("system calls that fail")


def _allocations(result: Result, task: type[Save], folder: Path) -> None:
    _, news, wrong = isolated(_attempt, task, folder, 0, 0, 0)
    assert not wrong and news > 0, (task.__name__, news, wrong)
    for number in range(1, news + 1):
        _one(result, f"{task.__name__}, allocation {number} of {news} fails", task, folder, 0, 0, number)
        result.count("allocations in C++ that fail")


def _one(result: Result, what: str, *arguments: Any) -> None:
    try:
        _, _, wrong = isolated(_attempt, *arguments)
    except Crashed as error:
        wrong = str(error)
    if wrong:
        result.fault(f"{what}: {wrong}")


def _python_allocations(result: Result) -> None:
    """Each allocation of Python fails in turn in a call of each kernel, which then raises `MemoryError` or works."""
    try:
        import _testcapi
    except ImportError:
        return
    words = np.arange(4000, dtype="<u4").view(np.uint8)
    native = list(kernels.available().values())[-1]
    codes = np.zeros(kernels.interface.CODE_RECORD, np.uint8)
    bounds, symbols = np.array([0, 100], np.int64), np.arange(100, dtype=np.uint8)
    out = np.zeros(100, np.uint8)
    actions: dict[str, Callable[[], object]] = {
        "crc32c": lambda: native.crc32c(words),
        "crc32c_rows": lambda: native.crc32c_rows(words, bounds),
        "histograms": lambda: native.histograms(symbols, bounds),
        "code_lengths": lambda: native.code_lengths(np.ones(256, np.uint64), 12),
        "check_codes": lambda: native.check_codes(codes),
        "decode": lambda: native.decode(codes, symbols, out),
        "scan": lambda: native.scan(words, 4, 4096),
        "bitmap": lambda: native.bitmap(words, 4),
        "nonzeros": lambda: native.nonzeros(words, 4, 3999),
        "split": lambda: native.split(words, 4, True),
        "merge": lambda: native.merge(words.reshape(4, -1), True),
        "compare": lambda: native.compare(words, words, 4, 2, False),
    }
    for name, action in actions.items():
        for number in range(200):
            try:
                state = isolated(_without_memory, action, number, _testcapi)
            except Crashed as error:
                result.fault(f"{name}, allocation {number} of Python fails: {error}")
                break
            result.count("allocations of Python that fail")
            if state == "done":
                break
        else:
            result.fault(f"{name}: makes more than 200 allocations")


def _without_memory(action: Callable[[], object], number: int, testcapi: Any) -> str:
    action()
    testcapi.set_nomemory(number, number + 1)
    try:
        action()
        state = "done"
    except MemoryError:
        state = "refused"
    finally:
        testcapi.remove_mem_hooks()
    return state
