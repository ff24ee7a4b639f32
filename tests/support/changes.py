"""What the kernels for files with a base are given, out of ordinary files of differences."""

from __future__ import annotations

import numpy as np

from dcz import kernels
from dcz.kernels import Kernels
from dcz.kernels.interface import CHANGE_FIELDS, JOB_FIELDS
from support.jobs import GUARD, Job


def compare(now: np.ndarray, base: np.ndarray, transform: int, magnitude: bool) -> np.ndarray:
    """What is stored of every word, zero where there is no change."""
    pure = kernels.available()["pure"]
    _, found = pure.compare(now.view(np.uint8), base.view(np.uint8), base.itemsize, transform, magnitude)
    out = np.zeros_like(base)
    out[now != base] = found.view(base.dtype)
    return out


def crc_pairs(base: np.ndarray, now: np.ndarray, chunk: int) -> np.ndarray:
    """CRC-32C of each chunk before and after, shape (chunks, 2)."""
    kernel = kernels.active()
    bounds = np.append(np.arange(0, base.nbytes, chunk * base.itemsize), base.nbytes).astype(np.int64)
    return np.stack([kernel.crc32c_rows(words.view(np.uint8), bounds) for words in (base, now)], axis=1).astype(
        np.int64
    )


def change(
    kernel_set: Kernels,
    job: Job,
    base: np.ndarray,
    transform: int,
    magnitude: bool,
    *,
    backward: bool = False,
    crcs: np.ndarray | None = None,
    shift: int = 0,
    into: np.ndarray | None = None,
) -> np.ndarray:
    """The words that a job makes of the base, `shift` bytes behind a line of the cache; also put `into` an array if the
    job fails. The memory on both sides stays as it was."""
    memory = np.full(base.nbytes + 384, GUARD, np.uint8)
    first = 128 + (shift - memory.ctypes.data) % 64
    out = memory[first : first + base.nbytes]
    out[:] = base.view(np.uint8)
    values = {"transform": transform, "magnitude": magnitude, "backward": backward, "crcs": -1 if crcs is None else 0}
    changes = np.array([[int(values[field]) for field in CHANGE_FIELDS]], np.int64)
    jobs = np.array([[job[field] for field in JOB_FIELDS]], np.int64)
    pairs = np.zeros(0, np.int64) if crcs is None else np.ascontiguousarray(crcs).reshape(-1)
    data = np.frombuffer(job.data, np.uint8)
    try:
        kernel_set.change_jobs(jobs, job.columns, job.words, data, changes, pairs, [out])
    finally:
        assert (memory[:first] == GUARD).all() and (memory[first + base.nbytes :] == GUARD).all()
        if into is not None:
            into.view(np.uint8)[:] = out
    return np.frombuffer(out.tobytes(), base.dtype)


def listed(kernel_set: Kernels, job: Job, weights: int) -> tuple[np.ndarray, np.ndarray]:
    """The places and words of all that a job stores."""
    count = int(job.rows()[:, 0].sum()) if job["positions"] else weights
    row = np.array([job[field] for field in JOB_FIELDS], np.int64)
    places, words = kernel_set.list_job(row, job.columns, job.words, np.frombuffer(job.data, np.uint8), count)
    return places, words.view(f"<u{job['word']}")
