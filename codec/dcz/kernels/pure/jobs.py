"""Jobs: ranges of chunks of tensors, and the codebooks they need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import CODE_RECORD, JOB_FIELDS, MAX_ROW, ROW_HEAD, U8, Columns, KernelError, Status
from dcz.kernels.pure.checksum import crc32c
from dcz.kernels.pure.chunks import CODEBOOK, Chunk, Plan, decode_chunk, position_streams
from dcz.kernels.pure.streams import decode_row
from dcz.kernels.pure.words import merge, rotate_right


def _record(columns: Columns, number: int) -> U8:
    record = columns.records[number * CODE_RECORD : (number + 1) * CODE_RECORD]
    if number < 0 or len(record) != CODE_RECORD:
        raise KernelError(Status.ARGUMENT)
    return record


def _read_codebook(
    columns: Columns, book: int, word: int, rotate: bool, count: int, entries: int, data: U8
) -> tuple[NDArray[Any], int]:
    """Return the words, and how many bytes they took."""
    n = count * entries
    pieces = -(-n // MAX_ROW)
    crc, *rest = columns.books[book : book + 1 + 2 * word * pieces].tolist()
    size = sum(rest[1::2])
    if len(rest) != 2 * word * pieces or min(rest, default=0) < 0 or size > len(data):
        raise KernelError(Status.LENGTH)
    if crc32c(data[:size]) != crc:
        raise KernelError(Status.BOOK_CHECKSUM)
    planes, at = np.empty((word, n), np.uint8), 0
    for row, (number, length) in enumerate(zip(rest[0::2], rest[1::2])):
        out = planes[row // pieces, row % pieces * MAX_ROW :][:MAX_ROW]
        try:
            out[:] = decode_row(_record(columns, number), data[at : at + length], len(out))
        except KernelError:
            raise KernelError(Status.BOOK) from None
        at += length
    steps = merge(planes, False).view(f"<u{word}").reshape(count, entries)
    ordered = np.cumsum(steps, axis=1, dtype=steps.dtype)
    if (ordered[:, 1:] < ordered[:, :-1]).any():
        raise KernelError(Status.ORDER)
    ordered = ordered.reshape(-1)
    return (rotate_right(ordered) if rotate else ordered), size


def codebook(columns: Columns, book: int, word: int, rotate: bool, count: int, entries: int, data: U8) -> U8:
    words, size = _read_codebook(columns, book, word, rotate, count, entries, data)
    if size != len(data):
        raise KernelError(Status.BOOK)
    return words.view(np.uint8)


def run_jobs(jobs: NDArray[np.int64], columns: Columns, words: U8, data: U8, out: list[U8]) -> None:
    for number, row in enumerate(jobs.tolist()):
        try:
            job = dict(zip(JOB_FIELDS, row))
            _run(job, columns, words, data[job["data"] : job["data"] + job["size"]], out[number])
        except KernelError as error:
            raise KernelError(error.status, error.row, number) from None


def _run(job: dict[str, int], columns: Columns, words: U8, data: U8, out: U8) -> None:
    plan, rows, data = prepared(job, columns, words, data)
    decoded = out.view(f"<u{plan.word}")
    at = 0
    for chunk, start, n in chunks(plan, rows, job["first"], data):
        try:
            if at + n > len(decoded):
                raise KernelError(Status.ARGUMENT)
            decode_chunk(chunk, start, n, decoded[at : at + n])
            at += n
        except KernelError as error:
            raise KernelError(error.status, start // plan.chunk) from None


def prepared(job: dict[str, int], columns: Columns, words: U8, data: U8) -> tuple[Plan, NDArray[np.int64], U8]:
    """Return a job's plan, its rows of the directory, and the bytes of its chunks."""
    streams_ = job["planes"] + position_streams(job["positions"])
    width = ROW_HEAD + 2 * streams_
    rows = columns.rows[job["rows"] : job["rows"] + job["count"] * width].reshape(job["count"], width)
    streams, at = [], job["numbers"]
    for count in columns.counts[job["streams"] : job["streams"] + streams_].tolist():
        streams.append([_record(columns, n) for n in columns.numbers[at : at + count].tolist()])
        at += count
    book = np.zeros(0, np.uint8)
    if job["values"] == CODEBOOK:
        books = max(-(-job["weights"] // job["group"]), 1)
        if job["book"] >= 0:
            book, used = _read_codebook(
                columns, job["book"], job["word"], bool(job["rotate"]), books, job["entries"], data
            )
            data = data[used:]
        else:
            size = books * job["entries"] * job["word"]
            book = words[job["words"] : job["words"] + size].view(f"<u{job['word']}")
    plan = Plan(
        job["positions"], job["values"], job["word"], bool(job["rotate"]), job["planes"], job["weights"],
        job["chunk"], book, job["entries"], job["group"], streams,
    )  # fmt: skip
    return plan, rows, data


def chunks(plan: Plan, rows: NDArray[np.int64], first: int, data: U8) -> Iterator[tuple[Chunk, int, int]]:
    """Yield each chunk from number `first` on, its checksum verified, with its first word and how many words it has."""
    for number, row in enumerate(rows.tolist(), first):
        start = number * plan.chunk
        n = min(plan.chunk, plan.weights - start)
        if n <= 0:
            raise KernelError(Status.ARGUMENT, number)
        if not 0 <= row[0] <= n or not 0 <= row[1] <= n:
            raise KernelError(Status.COUNT, number)
        lengths = row[ROW_HEAD + 1 :: 2]
        size = sum(lengths)
        if min(lengths) < 0 or size > len(data):
            raise KernelError(Status.LENGTH, number)
        stored, data = data[:size], data[size:]
        if crc32c(stored) != row[2]:
            raise KernelError(Status.CHECKSUM, number)
        yield Chunk(plan, row, stored), start, n
