"""Inputs of the fuzz targets that are made of files of every layout, for libFuzzer to begin with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import fuzz as files_of_kernels
import numpy as np

from dcz.kernels.interface import CODE_RECORD, HUFFMAN, JOB_FIELDS, ROW_HEAD

_POSITIONS = (0, 1, 4, 5, 8, 16)
_MOST_WEIGHTS = 8191
_GIVEN_BOOK = 1


def _record(record: bytes) -> bytes:
    """A code record as targets take it: raw and packed by their kind, a Huffman code with its lengths."""
    if record[0] != HUFFMAN:
        return bytes([record[0]])
    lengths = record[1:].rstrip(b"\0")
    return bytes([9, max(2 * len(lengths) - 1, 0)]) + (lengths or b"\0")


def job(case: files_of_kernels.Case) -> bytes:
    """A job of a file as `fuzz/job_input.hpp` takes it apart."""
    fields = dict(zip(JOB_FIELDS, case.jobs[0].tolist()))
    c = case.columns
    records = [bytes(r) for r in c.records.reshape(-1, CODE_RECORD)][:8]
    word = fields["word"].bit_length() - 1
    has_book = fields["values"] == 2 and fields["book"] >= 0
    group = 0 if fields["group"] >= fields["weights"] else fields["group"] // 64
    out = bytearray([0 if has_book or fields["values"] != 2 else _GIVEN_BOOK, _POSITIONS.index(fields["positions"])])
    out += bytes([fields["values"], word, fields["rotate"]])
    out += struct.pack("<4H", fields["weights"], fields["chunk"] // 64, fields["entries"], group)
    out += bytes([fields["first"], fields["count"], len(records) - 1])
    for record in records:
        out += _record(record)
    at = fields["numbers"]
    streams = fields["planes"] + (fields["positions"] != 0) + (fields["positions"] == 16)
    for count in c.counts[fields["streams"] : fields["streams"] + streams].tolist():
        out += bytes([count - 1, *c.numbers[at : at + count].tolist()])
        at += count
    width = ROW_HEAD + 2 * streams
    rows = c.rows[fields["rows"] : fields["rows"] + fields["count"] * width].reshape(-1, width)
    for row in rows.tolist():
        out += struct.pack("<2H", row[0], row[1])
        for which, length in zip(row[ROW_HEAD::2], row[ROW_HEAD + 1 :: 2]):
            out += struct.pack("<BH", which, length)
    if has_book:
        for number, length in c.books[fields["book"] + 1 :].reshape(-1, 2).tolist():
            out += struct.pack("<BH", number, length)
    return bytes(out) + case.data.tobytes()


def seeds(target: str) -> Iterator[bytes]:
    """Inputs of a target; of those that take anything, a few bytes."""
    rng = np.random.Generator(np.random.PCG64(24))
    if target in ("jobs", "changes"):
        for data in files_of_kernels.corpus(24):
            case = files_of_kernels.Case(data)
            if case.out // int(case.jobs[0, JOB_FIELDS.index("word")]) <= _MOST_WEIGHTS and len(case.columns.records):
                plain = job(case)
                yield plain if target == "jobs" else bytes([int(rng.integers(256))]) + plain
        return
    for size in (1, 9, 200, 1500):
        yield rng.integers(0, 256, size, np.uint8).tobytes()
        yield (rng.integers(0, 256, size) * (rng.random(size) < 0.2)).astype(np.uint8).tobytes()


def write(folder: Path, target: str) -> int:
    """Writes the seeds of a target; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    made = set(seeds(target))
    for number, data in enumerate(sorted(made)):
        (folder / f"seed{number}").write_bytes(data)
    return len(made)
