"""Where the time of a load goes: the functions of the stages are timed, each without those it calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import getattr_static
from pathlib import Path
from statistics import median

from dcz import kernels

_KERNELS = "the class of the kernels in use"

# What users wait for, and where it is in the code. A stage that is no longer there is an error: see the test.
STAGES = (
    ("open, read and parse the index", "dcz.container.file", "OpenFile.__init__"),
    ("allocate", "dcz.container.loading", "_arrays"),
    ("plan the tasks, decode codebooks", "dcz.container.loading", "read_plan"),
    ("read the file", "dcz.io.sources", "FileSource.read_into"),
    ("checksums, Huffman and expansion (kernels)", _KERNELS, "run_jobs"),
    ("inflate zstd", "dcz.container.decode", "Decoder._inflate"),
    ("around each task", "dcz.container.tasks", "run"),
)
_REST = "everything else"


@dataclass
class _Clock:
    """Time of the functions that run now, innermost last; what a call takes is not its caller's."""

    spent: dict[str, float]
    running: list[list]

    def wrap(self, label: str, function: Callable) -> Callable:
        def timed(*arguments: object, **options: object) -> object:
            inner = [0.0]
            self.running.append(inner)
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                whole = time.perf_counter() - start
                self.running.pop()
                self.spent[label] = self.spent.get(label, 0.0) + whole - inner[0]
                if self.running:
                    self.running[-1][0] += whole

        return timed


@contextmanager
def _timed() -> Iterator[_Clock]:
    clock = _Clock({}, [])
    undo = []
    try:
        for label, module, path in STAGES:
            owner = type(kernels.active()) if module == _KERNELS else import_module(module)
            *classes, name = path.split(".")
            for part in classes:
                owner = getattr(owner, part)
            original = getattr_static(owner, name)
            undo.append((owner, name, original))
            static = isinstance(original, staticmethod)  # kernels in Python are functions
            timed = clock.wrap(label, original.__func__ if static else original)
            setattr(owner, name, staticmethod(timed) if static else timed)
        yield clock
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def measure(path: Path, rounds: int = 7) -> dict[str, dict[str, float]]:
    """Seconds by stage of `load_file` on one thread, medians: into fresh memory, and into arrays of an earlier load."""
    import dcz

    held = dcz.load_file(path, threads=1)
    result = {}
    for memory, out in (("fresh", None), ("warm", held)):
        runs = []
        for _ in range(rounds):
            with _timed() as clock:
                start = time.perf_counter()
                tensors = dcz.load_file(path, threads=1, out=out)
                whole = time.perf_counter() - start
            del tensors
            runs.append({**clock.spent, _REST: whole - sum(clock.spent.values())})
        labels = [label for label, _, _ in STAGES] + [_REST]
        result[memory] = {label: median(run.get(label, 0.0) for run in runs) for label in labels}
    return result
