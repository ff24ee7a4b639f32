"""SIGKILL and SIGTERM at random moments of saving, of applying in place, and of packing a sharded model.

Afterwards the target is old or new as a whole, and verified; the next save leaves no litter. Words that were being
changed in place, in memory that outlives the process, are brought back by `undo_delta`, and applying again works. Of a
sharded model, whose files no file system replaces at once, there may be no index: never one with files of two models.
A chunk that is half written, in memory that outlives the process, is refused by its checksums: the base is loaded anew.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dcz
from campaign.results import Result
from dcz.cli import main as command_line

FULL, SHORT = 1_000, 6  # moments of each
NO_INDEX = "between the first file and the index: refused, as there is no index"
TORN = "within a chunk: refused, as its words are neither the base's nor the result's"
KNOWN = (NO_INDEX, TORN)
Tensors = dict[str, np.ndarray]


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result, rng = Result({"seed": seed}), random.Random(seed)
    count = max(1, int((FULL if full else SHORT) * scale))
    for task in (Save, Apply, Pack):
        with tempfile.TemporaryDirectory() as name:
            made = task(Path(name))
            for number in range(count):
                how = signal.SIGKILL if number % 2 else signal.SIGTERM
                ended = _interrupted(made.act, how, rng.random() * made.seconds)
                result.count(f"moments of {task.__name__.lower()}" + (", it had ended" if ended else ""))
                try:
                    wrong = made.check()
                    if wrong in KNOWN:
                        result.count(f"of these {wrong}")
                        made.reset()
                        wrong = ""
                except Exception as error:
                    wrong = f"{type(error).__name__}: {error}"
                if wrong:
                    result.fault(f"{task.__name__}, {how.name}, moment {number} of seed {seed}: {wrong}")
                    made.reset()
    return result


def _started(act: Callable[[], object]) -> int:
    """A process that acts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            act()
        os._exit(7)
    return child


def _interrupted(act: Callable[[], object], how: signal.Signals, seconds: float) -> bool:
    """Ends a process that acts after so long; whether it had ended."""
    child = _started(act)
    time.sleep(seconds)
    os.kill(child, how)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) == 7


def _model(seed: int) -> Tensors:
    rng = np.random.Generator(np.random.PCG64(seed))
    values = rng.standard_normal(30).astype("f4") * (rng.random(30) < 0.4)
    sizes = {"a": 300, "b": 200, "c": 100, "d": 7}
    return {name: values[rng.integers(0, 30, (n, 200))] for name, n in sizes.items()}


OLD, NEW = _model(1), _model(2)


def _is(found: Tensors, expected: Tensors) -> bool:
    return list(found) == list(expected) and all(found[n].tobytes() == expected[n].tobytes() for n in expected)


class Save:
    """`save_file` over an older file."""

    files = 1

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds = folder, 0.0
        self.file = folder / "model.dcz"
        self.prepare()
        taken = []
        for _ in range(5):
            self.reset()
            began = time.monotonic()
            os.waitpid(_started(self.act), 0)
            taken.append(time.monotonic() - began)
        self.seconds = sorted(taken)[2]
        self.reset()

    def prepare(self) -> None: ...

    def save(self, tensors: Tensors) -> None:
        dcz.save_file(tensors, self.file, threads=1)

    def act(self) -> None:
        self.save(NEW)

    def reset(self) -> None:
        self.save(OLD)

    def check(self) -> str:
        """What is wrong; then everything is as before."""
        dcz.verify(self.file)
        found = dcz.load_file(self.file)
        if not _is(found, OLD) and not _is(found, NEW):
            return "neither old nor new"
        self.reset()
        left = sorted(os.listdir(self.folder))
        return "" if len(left) == self.files else f"litter: {left}"


class Apply(Save):
    """`apply_delta` to arrays in a file that is mapped: what is changed there stays changed."""

    def prepare(self) -> None:
        self.arrays: Tensors = {}
        for name, array in OLD.items():
            np.save(self.folder / f"{name}.npy", array)
            self.arrays[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r+")
        new = {n: np.where(np.arange(a.size).reshape(a.shape) % 3, a, NEW[n]) for n, a in OLD.items()}
        self.new = {name: array.astype("f4") for name, array in new.items()}
        self.delta = self.folder / "delta.dcz"
        dcz.save_delta(self.new, self.delta, base=OLD)

    def act(self) -> None:
        dcz.apply_delta({n: a.view(np.ndarray) for n, a in self.arrays.items()}, self.delta, threads=1)

    def reset(self) -> None:
        for name, array in OLD.items():
            self.arrays[name][...] = array

    def check(self) -> str:
        plain = {name: array.view(np.ndarray) for name, array in self.arrays.items()}
        try:
            dcz.undo_delta(plain, self.delta)
        except dcz.DczError as error:
            if "neither the words of the base nor those of the result" in str(error):
                return TORN
            raise
        if not _is(plain, OLD):
            return "undo_delta does not bring the base back"
        dcz.apply_delta(plain, self.delta)
        if not _is(plain, self.new):
            return "applying again does not make the result"
        self.reset()
        return ""


class Pack(Save):
    """`dcz pack` of a sharded model over an older one, by its command line."""

    def prepare(self) -> None:
        self.sources = {}
        for name, tensors in (("old", OLD), ("new", NEW)):
            (self.folder / name).mkdir()
            self.sources[name] = dcz.save_sharded(tensors, self.folder / name, shard_size=100_000)
        self.out = self.folder / "out"
        self.out.mkdir()
        self.file = self.out / "model.dcz.index.json"

    def save(self, tensors: Tensors) -> None:
        source = self.sources["old" if tensors is OLD else "new"]
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
        sys.argv = ["dcz", "pack", "--force", "--shard-size", "100000", source, str(self.file)]
        with contextlib.suppress(SystemExit):
            command_line()

    def act(self) -> None:
        self.save(NEW)

    def reset(self) -> None:
        os.waitpid(_started(lambda: self.save(OLD)), 0)

    def check(self) -> str:
        without = not self.file.exists()
        if not without:
            dcz.verify(self.file)
            found = dcz.load_file(self.file)
            if not _is(found, OLD) and not _is(found, NEW):
                return "neither old nor new"
        self.reset()
        left = sorted(os.listdir(self.out))
        found = dcz.load_file(self.file)
        if not _is(found, OLD):
            return "the next save does not work"
        expected = {"model.dcz.index.json", *(f"model-0000{i}-of-00003.dcz" for i in range(1, 4))}
        if set(left) != expected:
            return f"litter: {left}"
        return NO_INDEX if without else ""
