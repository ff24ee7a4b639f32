"""Load many tensors of an open file at once, on several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.container.memory import allocate, target
from dcz.container.tasks import ReadTask, read_plan, run_all
from dcz.errors import DczError, locating
from dcz.format.index import Entry

Progress = Callable[[int, int], None]

# Outputs smaller than this are decoded before a thread would have started.
_WORTH_THREADS = 1 << 20


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
    everything = names is None
    entries = store.every() if everything else {}
    entries.update((name, store.entry(name)) for name in (store.index.aliases if names is None else names))
    owners = {entry.name: entry for entry in entries.values()}
    total = sum(entry.nbytes for entry in owners.values())
    threads = threads if total >= _WORTH_THREADS else 1
    with locating(store.source.name):
        store.check_bound(list(owners.values()), total, work=total, threads=threads, max_bytes=max_bytes)
    arrays, flat = _arrays(entries, out or {})
    done = 0

    def report(task: ReadTask) -> None:
        nonlocal done
        done += task.nbytes
        if progress is not None:
            progress(done, total)

    with locating(store.source.name):
        tasks = read_plan(store, list(owners.values()), [flat[name] for name in owners])
        run_all(store, tasks, threads, report)
        if everything:
            store.check_prelude()
    return {name: arrays[entry.name] for name, entry in entries.items()}


def _arrays(
    entries: Mapping[str, Entry], out: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.uint8]]]:
    """Return each tensor's destination, as array and as bytes: the caller's array under any of its names, or a fresh
    one."""
    arrays: dict[str, NDArray[Any]] = {}
    flat: dict[str, NDArray[np.uint8]] = {}
    for name, array in out.items():
        if name not in entries:
            raise DczError(f"out: {name!r} is not among the tensors to load")
        entry = entries[name]
        if arrays.setdefault(entry.name, array) is not array:
            raise DczError(f"out: {name!r} is another name of {entry.name!r}; give one array for both")
        flat[entry.name] = target(array, entry)
    missing = list({entry.name: entry for entry in entries.values() if entry.name not in arrays}.values())
    for entry, (array, memory) in zip(missing, allocate(missing)):
        arrays[entry.name], flat[entry.name] = array, memory
    return arrays, flat
