"""Tasks: what it takes to fill arrays from an open file, in pieces that threads can share."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcz.container.file import READ_THROUGH, TASK_BYTES, TOGETHER, OpenFile
from dcz.container.threads import each
from dcz.format import prelude
from dcz.format.index import Entry
from dcz.io.sources import PAGE, placed
from dcz.kernels.interface import U8

# Outputs of this many bytes exceed the caches and are written past them.
_STREAM_BYTES = 16 << 20

_local = threading.local()


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Bytes [offset, offset + size) of the file, to be read and decoded: either `whole` tensors into `out`, or
    chunks [first, last) of a single one, after `skip` bytes. `stream` says to write past the cache."""

    offset: int
    size: int
    whole: tuple[Entry, ...]
    first: int
    last: int
    out: tuple[U8, ...]
    stream: bool = False
    skip: int = 0

    @property
    def nbytes(self) -> int:
        """Decoded bytes."""
        return sum(map(len, self.out))


def streams(nbytes: int) -> bool:
    """Return whether this much output is better written past the cache."""
    return nbytes >= _STREAM_BYTES


def read_plan(store: OpenFile, entries: list[Entry], out: list[U8]) -> list[ReadTask]:
    """Return the tasks that fill `out` with whole tensors: small neighbours in one task, large tensors in several."""
    stream = streams(sum(map(len, out)))
    store.prepare([entry for entry in entries if entry.size > store.task_bytes])
    tasks: list[ReadTask] = []
    group: list[tuple[Entry, U8]] = []

    def flush() -> None:
        if group:
            entries_, outs = zip(*group)
            first, last = entries_[0], entries_[-1]
            start = first.offset - store.lead(first)
            size = last.offset + last.size - start
            tasks.append(ReadTask(start, size, entries_, 0, 0, outs, stream))
            group.clear()

    # Those without bytes come before the one that begins where they do, so that a group ends where its last one does.
    for entry, flat in sorted(zip(entries, out), key=lambda item: (item[0].offset, item[0].size)):
        if entry.words == 0:
            continue
        if entry.size > store.task_bytes:
            flush()
            chunks = int(store.index.columns.chunks[entry.number])
            tasks += chunk_plan(store, entry, 0, chunks, flat, stream, store.lead(entry))
            continue
        if group:
            start, (last, _) = group[0][0], group[-1]
            whole = entry.offset + entry.size - start.offset
            apart = entry.offset - last.offset - last.size > READ_THROUGH
            if whole > store.task_bytes or apart:
                flush()
        group.append((entry, flat))
    flush()
    return tasks


def chunk_plan(
    store: OpenFile, entry: Entry, first: int, last: int, out: U8, stream: bool = False, lead: int = 0
) -> list[ReadTask]:
    """Return the tasks that fill `out` with chunks [first, last) of a tensor and check the `lead` bytes before them;
    `stream` writes past the cache."""
    t, c = entry.number, store.index.columns
    store.prepare([entry])
    bounds, chunk_bytes = c.bounds(t).tolist(), int(c.chunk[t]) * entry.dtype.word
    tasks = []
    at = first
    while at < last:
        to = bisect_right(bounds, bounds[at] + store.task_bytes) - 1
        to = min(max(to, at + 1), last)
        part = out[(at - first) * chunk_bytes : (to - first) * chunk_bytes]
        start, end = entry.offset + bounds[at], entry.offset + bounds[to]
        skip = lead + bounds[0] if lead and at == 0 else 0
        tasks.append(ReadTask(start - skip, end - start + skip, (entry,), at, to, (part,), stream, skip))
        at = to
    return tasks


def run_all(
    store: OpenFile, tasks: list[ReadTask], threads: int, done: Callable[[ReadTask], None] | None = None
) -> None:
    """Run tasks on `threads` threads, or on more where they mostly wait, and call `done` after each."""

    def work(task: ReadTask) -> None:
        run(store, task)
        if done is not None:
            done(task)

    each(work, tasks, max(threads, TOGETHER) if store.source.remote else threads)


def run(store: OpenFile, task: ReadTask) -> None:
    """Read, verify and decode one task."""
    # Only this thread uses the buffer. Reading may run other code of this thread that loads a
    # file (a signal handler, a finalizer, a file object's `read`), which then gets a buffer of its own.
    held: U8 | None = _local.__dict__.pop("buffer", None)
    if held is None or len(held) < task.size + 2 * PAGE:
        held = np.empty(max(task.size, TASK_BYTES) + 2 * PAGE, np.uint8)
    try:
        _run(store, task, placed(held, task.offset, task.size))
    finally:
        if len(held) <= 4 * TASK_BYTES:
            _local.buffer = held


def _run(store: OpenFile, task: ReadTask, data: U8) -> None:
    store.source.read_into(task.offset, data)
    if task.offset == 0:
        store.check_prelude(data[: prelude.SIZE])
    if task.last:
        entry = task.whole[0]
        if task.skip:
            store.check_padding(entry, data[: entry.offset - task.offset])
        store.decoder.decode_part(entry.number, task.first, task.last, data[task.skip :], task.out[0], task.stream)
    else:
        starts = [entry.offset - task.offset for entry in task.whole]
        for entry, start in zip(task.whole, starts):
            if entry.padding:
                store.check_padding(entry, data[:start])
        numbers = [entry.number for entry in task.whole]
        store.decoder.decode_whole(numbers, starts, data, list(task.out), task.stream)
