"""Jobs for the kernels, as decoding makes them of a file, to be changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.kernels import Kernels
from dcz.kernels.interface import JOB_FIELDS, Columns

ROW_HEAD = 3  # numbers of a row before those of its streams
GUARD = 0xA5


@dataclass(frozen=True)
class Job:
    """One row of JOB_FIELDS with what it points into, and how many bytes it decodes to."""

    fields: dict[str, int]
    columns: Columns
    words: np.ndarray
    data: bytes
    size: int

    @classmethod
    def whole(cls, file: bytes, name: str = "w") -> Job:
        """A whole tensor of a file, with its codebook in front."""
        store = OpenFile(file)
        entry = store.index.entries[name]
        fields = dict(zip(JOB_FIELDS, store.decoder._jobs[entry.number].tolist()))
        data = file[entry.offset : entry.offset + entry.size]
        return cls(fields, store.index.columns.kernel, np.zeros(0, np.uint8), data, entry.nbytes)

    @classmethod
    def chunk(cls, file: bytes, number: int, name: str = "w") -> Job:
        """Chunk `number` of a tensor, its codebook decoded; the directory is its row alone."""
        job, store = cls.whole(file, name), OpenFile(file)
        entry = store.index.entries[name]
        t, columns = entry.number, store.index.columns
        head = int(columns.head[t])
        if not store.decoder.prepared(t):
            store.decoder.prepare(t, np.frombuffer(job.data, np.uint8)[:head])
        words = store.decoder._words.get(t, np.zeros(0, np.uint8))
        bounds = columns.bounds(t).tolist()
        data = job.data[bounds[number] : bounds[number + 1]]
        weights = min(job["chunk"], job["weights"] - number * job["chunk"])
        rows = columns.rows(t)[number].copy()
        fields = {**job.fields, "first": number, "count": 1, "rows": 0, "book": -1, "size": len(data)}
        return cls(fields, replace(job.columns, rows=rows), words, data, weights * job["word"])

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    @property
    def width(self) -> int:
        """Numbers of a row of the directory."""
        return ROW_HEAD + 2 * (self["planes"] + (self["positions"] != 0) + (self["positions"] == 16))

    def rows(self) -> np.ndarray:
        """A copy of its rows of the directory, shape (chunks, width)."""
        at, size = self["rows"], self["count"] * self.width
        return self.columns.rows[at : at + size].reshape(self["count"], self.width).copy()

    def with_fields(self, **fields: int) -> Job:
        return replace(self, fields={**self.fields, **fields})

    def with_rows(self, rows: np.ndarray) -> Job:
        """With these rows for its directory, and no others."""
        changed = replace(self, columns=replace(self.columns, rows=np.ascontiguousarray(rows).reshape(-1)))
        return changed.with_fields(rows=0)

    def with_data(self, data: bytes) -> Job:
        return replace(self, data=data).with_fields(size=len(data))

    def with_columns(self, **columns: np.ndarray) -> Job:
        return replace(self, columns=replace(self.columns, **columns))

    def run(self, kernel_set: Kernels, shift: int = 0) -> bytes:
        """What it decodes to, `shift` bytes behind a line of the cache. The memory on both sides of the output stays
        as it was."""
        memory = np.full(self.size + 384, GUARD, np.uint8)
        first = 128 + (shift - memory.ctypes.data) % 64
        out = memory[first : first + self.size]
        jobs = np.array([[self[field] for field in JOB_FIELDS]], np.int64)
        try:
            kernel_set.run_jobs(jobs, self.columns, self.words, np.frombuffer(self.data, np.uint8), [out])
        finally:
            assert (memory[:first] == GUARD).all() and (memory[first + self.size :] == GUARD).all()
        return out.tobytes()


def crc(data: bytes) -> int:
    return kernels.active().crc32c(np.frombuffer(data, np.uint8))
