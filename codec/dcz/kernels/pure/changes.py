"""Jobs of files with a base: apply what chunks store to the base's words in place, or list it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import CHANGE_FIELDS, I64, JOB_FIELDS, U8, Columns, KernelError, Status
from dcz.kernels.pure.checksum import crc32c
from dcz.kernels.pure.chunks import stored_words
from dcz.kernels.pure.jobs import chunks, prepared
from dcz.kernels.pure.order import applied


def change_jobs(
    jobs: NDArray[np.int64],
    columns: Columns,
    words: U8,
    data: U8,
    changes: NDArray[np.int64],
    crcs: I64,
    out: list[U8],
) -> None:
    for number, (row, change) in enumerate(zip(jobs.tolist(), changes.tolist(), strict=True)):
        try:
            job = dict(zip(JOB_FIELDS, row))
            _change(job, dict(zip(CHANGE_FIELDS, change)), columns, words, data, crcs, out[number])
        except KernelError as error:
            raise KernelError(error.status, error.row, number) from None


def _change(
    job: dict[str, int], change: dict[str, int], columns: Columns, words: U8, data: U8, crcs: I64, out: U8
) -> None:
    plan, rows, data = prepared(job, columns, words, data[job["data"] : job["data"] + job["size"]])
    base = out.view(f"<u{plan.word}")
    pair, at = change["crcs"], 0
    if pair >= 0 and pair + 2 * len(rows) > len(crcs):
        raise KernelError(Status.ARGUMENT)
    for chunk, start, n in chunks(plan, rows, job["first"], data):
        try:
            if at + n > len(base):
                raise KernelError(Status.ARGUMENT)
            part = base[at : at + n]
            where, values = stored_words(chunk, start, n)
            places = slice(None) if where is None else where
            fresh = part.copy()
            fresh[places] = applied(
                part[places], values, change["transform"], bool(change["magnitude"]), bool(change["backward"])
            )
            if pair >= 0 and crc32c(fresh.view(np.uint8)) != crcs[pair + 1]:
                raise KernelError(Status.RESULT)
            part[:] = fresh
        except KernelError as error:
            raise KernelError(error.status, start // plan.chunk) from None
        at, pair = at + n, pair + 2 if pair >= 0 else pair


def list_job(job: I64, columns: Columns, words: U8, data: U8, count: int) -> tuple[I64, U8]:
    fields = dict(zip(JOB_FIELDS, job.tolist()))
    plan, rows, data = prepared(fields, columns, words, data[fields["data"] : fields["data"] + fields["size"]])
    places, found = [np.zeros(0, np.int64)], [np.zeros(0, f"<u{plan.word}")]
    for chunk, start, n in chunks(plan, rows, fields["first"], data):
        try:
            where, values = stored_words(chunk, start, n)
        except KernelError as error:
            raise KernelError(error.status, start // plan.chunk) from None
        places.append(start + (np.arange(n) if where is None else where))
        found.append(values)
    indices, out = np.concatenate(places), np.concatenate(found).view(np.uint8)
    if len(indices) != count:
        raise KernelError(Status.ARGUMENT)
    return indices, out
