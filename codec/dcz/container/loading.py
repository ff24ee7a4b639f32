"""Load many tensors of open files at once, on several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import TOGETHER, OpenFile
from dcz.container.memory import allocate, owned, target
from dcz.container.tasks import ReadTask, read_plan
from dcz.container.tasks import run as run_task
from dcz.container.threads import each
from dcz.errors import locating
from dcz.format.index import Entry

Progress = Callable[[int, int], None]

# Outputs smaller than this are decoded before a thread would have started.
_WORTH_THREADS = 1 << 20


class Load(NamedTuple):
    """What is to be loaded from one open file: memory is allocated, nothing is read."""

    store: OpenFile
    arrays: dict[str, NDArray[Any]]
    tasks: list[ReadTask]
    total: int
    everything: bool


def load(
    store: OpenFile,
    *,
    names: Iterable[str] | None,
    threads: int,
    out: Mapping[str, NDArray[Any]] | None,
    max_bytes: int | None,
    progress: Progress | None,
) -> dict[str, NDArray[Any]]:
    """Load tensors of an open file by name; arguments and errors as in `dcz.load_file`."""
    prepared = prepare(store, names=names, threads=threads, out=out, max_bytes=max_bytes)
    done = 0

    def report(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, prepared.total)

    run([prepared], threads, report)
    return prepared.arrays


def prepare(
    store: OpenFile,
    *,
    names: Iterable[str] | None,
    threads: int,
    out: Mapping[str, NDArray[Any]] | None,
    max_bytes: int | None,
) -> Load:
    """Check names, bounds and `out`, and allocate what the caller does not give."""
    everything = names is None
    entries = store.every() if everything else {}
    entries.update((name, store.entry(name)) for name in (store.index.aliases if names is None else names))
    owners = {entry.name: entry for entry in entries.values()}
    total = sum(entry.nbytes for entry in owners.values())
    with locating(store.source.name):
        store.check_bound(list(owners.values()), total, work=total, threads=threads, max_bytes=max_bytes)
    arrays, flat = _arrays(entries, out or {})
    with locating(store.source.name):
        tasks = read_plan(store, list(owners.values()), [flat[name] for name in owners])
    return Load(store, {name: arrays[entry.name] for name, entry in entries.items()}, tasks, total, everything)


def run(loads: Sequence[Load], threads: int, report: Callable[[int], None]) -> None:
    """Read and decode what is prepared, of several files at once; `report` gets the bytes of each
    piece, from one thread at a time."""
    threads = threads if sum(load.total for load in loads) >= _WORTH_THREADS else 1
    if any(load.store.source.remote for load in loads):
        threads = max(threads, TOGETHER)  # which mostly wait

    reporting = Lock()

    def work(item: tuple[OpenFile, ReadTask]) -> None:
        store, task = item
        with locating(store.source.name):
            run_task(store, task)
        with reporting:
            report(task.nbytes)

    each(work, [(load.store, task) for load in loads for task in load.tasks], threads)
    for load in loads:
        if load.everything:
            with locating(load.store.source.name):
                load.store.check_prelude()


def _arrays(
    entries: Mapping[str, Entry], out: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.uint8]]]:
    """Return each tensor's destination, as array and as bytes: the caller's array under any of its names, or a fresh
    one."""
    arrays = owned(entries, out)
    owners = {entry.name: entry for entry in entries.values()}
    flat = {name: target(array, owners[name]) for name, array in arrays.items()}
    missing = [entry for name, entry in owners.items() if name not in arrays]
    for entry, (array, memory) in zip(missing, allocate(missing)):
        arrays[entry.name], flat[entry.name] = array, memory
    return arrays, flat
