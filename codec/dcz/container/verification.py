"""Verify a file: read and check every byte of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import astuple, dataclass
from typing import BinaryIO

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.container.memory import fresh
from dcz.container.opening import in_folder
from dcz.container.segments import stored_segment
from dcz.container.sharded import ShardedReader
from dcz.container.shards import is_shard_index
from dcz.container.tasks import chunk_plan, read_plan, run, run_all, streams
from dcz.container.threads import each, thread_count
from dcz.errors import ChecksumError, FormatError, locating
from dcz.format.index import Entry
from dcz.kernels.checksums import combine


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read: `tensors` and `chunks`, `stored` bytes of the file, `decoded` bytes of tensors. `unsupported` are
    tensors whose stored bytes match their checksums but that this version cannot decode."""

    tensors: int
    chunks: int
    stored: int
    decoded: int
    unsupported: tuple[str, ...] = ()


def verify(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Check every byte of a file, or of all files of a shard index or a folder with one: structure, checksums,
    padding, that every stream decodes, and that it decodes to the words whose checksum the index has.

    Decodes chunk by chunk, so it needs memory for a few chunks only. What may be decoded in all is bounded: by 1,024
    times the file's size or 1 GiB, whichever is more, or by `max_bytes` if that is more. Returns what it read; raises
    `FormatError`, `ChecksumError`, `TruncatedError`, `UnsupportedError` or `LimitError`.

    >>> import numpy, dcz
    >>> dcz.verify(dcz.save({"w": numpy.zeros(1000)})).decoded
    8000
    """
    count = thread_count(threads)
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        file = in_folder(file)
    if is_shard_index(file):
        return _verify_shards(file, count, max_bytes, progress)  # type: ignore[arg-type]
    return _verify_file(file, count, max_bytes, progress)


def _verify_shards(
    path: str | os.PathLike[str], threads: int, max_bytes: int | None, progress: Callable[[int, int], None] | None
) -> Verified:
    """Check every file of a shard index, and that each has exactly the tensors that the index lists."""
    with ShardedReader(path) as model:
        shards = model.check_names()
    found = Verified(0, 0, 0, 0)
    sizes = {shard: sum(nbytes) for shard, nbytes in shards.items()}
    total, done = sum(sizes.values()), 0

    def report(here: int, _: int) -> None:
        if progress is not None:
            progress(done + here, total)

    for shard in shards:
        one = _verify_file(shard, threads, max_bytes, report)
        done += one.decoded
        found = Verified(*(a + b for a, b in zip(astuple(found), astuple(one))))
    return found


def _verify_file(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    count: int,
    max_bytes: int | None,
    progress: Callable[[int, int], None] | None,
) -> Verified:
    with closing(OpenFile(file, sequential=True, max_bytes=max_bytes)) as store:
        return verify_open(store, count, progress)


def verify_open(store: OpenFile, threads: int, progress: Callable[[int, int], None] | None = None) -> Verified:
    """Check an open file, and its result where it has a base."""
    chunks = decoded = 0
    with locating(store.source.name):
        store.check_prelude()
    entries = list(store.index.entries.all().values())
    total = sum(entry.nbytes for entry in entries)
    unsupported = []
    with locating(store.source.name):
        store.bound_for(entries).check_work(total)
    for number, entry in enumerate(entries):
        known = store.unsupported(entry.name) is None
        if not known:
            unsupported.append(entry.name)
        if entry.number == number:  # else it is the same as an earlier one
            with locating(store.source.name):
                store.check_bound([entry], 0, work=0, threads=1)
                store.check_padding(entry)
                chunks += _check(store, entry, threads) if known else _check_stored(store, entry)
                store.decoder.forget(entry.number)
        decoded += entry.nbytes
        if progress is not None:
            progress(decoded, total)
    return Verified(len(entries), chunks, store.source.size, decoded, tuple(unsupported))


def _check(store: OpenFile, entry: Entry, threads: int) -> int:
    """Decode every chunk of a tensor on its own; return their number."""
    c = store.index.columns
    size, chunks = int(c.chunk[entry.number]) * entry.dtype.word, int(c.chunks[entry.number])
    if not chunks and entry.words:  # a copy of the base's, which is compared on the way
        run_all(store, read_plan(store, [entry], [fresh(entry.nbytes)]), 1)
        return 0
    found = [(0, 0, 0)] * chunks
    # With sparse positions every stored word counts, and the index has been checked against the chunks.
    dense = not c.positions[entry.number]

    def check(chunk: int) -> None:
        buffer = fresh(min(size, entry.nbytes - chunk * size))
        for task in chunk_plan(store, entry, chunk, chunk + 1, buffer, streams(len(buffer))):
            run(store, task)
        kernel = kernels.active()
        count = store.decoder.stored_nonzeros(entry.number, chunk * int(c.chunk[entry.number]), buffer) if dense else 0
        found[chunk] = kernel.crc32c(buffer), len(buffer), count

    each(check, range(chunks), threads)
    crc = nonzeros = 0
    for own, length, count in found:
        crc, nonzeros = combine(crc, own, length), nonzeros + count
    if crc != c.content_crcs[entry.number]:
        raise ChecksumError(
            f"tensor {entry.name!r}: the decoded words do not match their CRC-32C, although the stored bytes match "
            "theirs; the file was not written by a correct encoder"
        )
    if dense and nonzeros != entry.nonzeros:
        raise FormatError(f"tensor {entry.name!r}: nonzeros: {entry.nonzeros}, its stored words have {nonzeros}")
    return chunks


def _check_stored(store: OpenFile, entry: Entry) -> int:
    """Check the stored bytes of a tensor that cannot be decoded; return the number of its chunks."""
    for _ in stored_segment(store, entry.name).parts():
        pass
    return int(store.index.columns.chunks[entry.number])
