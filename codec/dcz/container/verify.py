"""Reading a whole file to find out whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.container.memory import fresh
from dcz.container.tasks import parts, run, streams
from dcz.container.threads import each, thread_count
from dcz.errors import FormatError
from dcz.format.index import Entry


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read: `tensors` and `chunks`, `stored` bytes of the file, `decoded` bytes of tensors."""

    tensors: int
    chunks: int
    stored: int
    decoded: int


def verify(
    file: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Checks every byte of a file: structure, checksums, padding, and that every stream decodes.

    Decodes chunk by chunk, so it needs memory for a few chunks only and has no size limit. Returns what
    it read; raises `FormatError`, `ChecksumError`, `TruncatedError`, `UnsupportedError` or `LimitError`.

    >>> import numpy, dcz
    >>> dcz.verify(dcz.save({"w": numpy.zeros(1000)})).decoded
    8000
    """
    count = thread_count(threads)
    chunks = decoded = 0
    store = OpenFile(file, sequential=True)
    try:
        store.check_prelude()
        entries = list(store.index.entries.values())
        total = sum(entry.nbytes for entry in entries)
        for entry in entries:
            store.check_padding(entry)
            chunks += _check(store, entry, count)
            decoded += entry.nbytes
            if progress is not None:
                progress(decoded, total)
        return Verified(len(entries), chunks, store.source.size, decoded)
    finally:
        store.close()


def _check(store: OpenFile, entry: Entry, threads: int) -> int:
    """Decodes every chunk of a tensor on its own; returns how many there are."""
    c = store.index.columns
    size, chunks = int(c.chunk[entry.number]) * entry.dtype.word, int(c.chunks[entry.number])
    nonzeros = [0] * chunks

    def check(chunk: int) -> None:
        buffer = fresh(min(size, entry.nbytes - chunk * size))
        for task in parts(store, entry, chunk, chunk + 1, buffer, streams(len(buffer))):
            run(store, task)
        nonzeros[chunk] = kernels.active().bitmap(buffer, entry.dtype.word)[1]

    each(check, range(chunks), threads)
    if chunks == 0 and entry.size:  # nothing but an empty tensor's codebook
        store.prepare([entry])
    if sum(nonzeros) != entry.nonzeros:
        raise FormatError(f"tensor {entry.name!r}: nonzeros: {entry.nonzeros}, its values have {sum(nonzeros)}")
    return chunks
