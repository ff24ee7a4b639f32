"""Decode stored bytes to words: the kernels' jobs, and errors for what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels, limits
from dcz.entropy import zstd
from dcz.errors import ChecksumError, DczError, FormatError
from dcz.format.columns import Columns
from dcz.kernels import Columns as KernelColumns
from dcz.kernels.interface import JOB_FIELDS, ROW_HEAD, U8, KernelError, Status
from dcz.tensor.layout import POSITIONS, VALUES
from dcz.tensor.words import fits

REASONS = {
    Status.CODE: "a stream's code lengths form no complete prefix code",
    Status.LENGTH: "a stream does not end where the directory says",
    Status.PADDING: "bits are set behind a stream's last symbol",
    Status.COUNT: "the positions do not add up to the directory's nonzeros",
    Status.INDEX: "a cluster index lies beyond the codebook",
    Status.BOOK: "the codebook does not decode",
    Status.ORDER: "the codebook does not ascend",
}
_NO_WORDS = np.zeros(0, np.uint8)
_FIELD = {name: i for i, name in enumerate(JOB_FIELDS)}
Job = tuple[int, int, int]  # a tensor, and its chunks [first, last)


class Decoder:
    """A decoder of chunks of a file's tensors; safe for threads once `prepare` has been called where it is needed."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        c = columns
        self._jobs = np.zeros((len(c.names), len(JOB_FIELDS)), np.int64)
        for name, column in (
            ("positions", c.positions), ("values", c.values), ("word", c.word), ("rotate", c.rotate),
            ("planes", c.planes), ("weights", c.weights), ("chunk", c.chunk), ("entries", c.entries),
            ("group", np.where(c.group > 0, c.group, np.maximum(c.weights, 1))), ("rows", c.row_at),
            ("count", c.chunks), ("streams", c.stream_at), ("numbers", c.number_at),
            ("book", np.where(c.book_rows > 0, c.book_at, -1)), ("size", c.stored),
        ):  # fmt: skip
            self._jobs[:, _FIELD[name]] = column
        # Whether there are types narrower than a byte, of which the bits above an element are checked.
        self._narrow = any(dtype.bits < 8 for dtype in set(c.dtypes))
        self._words: dict[int, U8] = {}
        self._codebook_bytes = c.books * c.entries * c.word  # of each tensor, decoded
        # Numbers of tensors that are unknown may have overflowed, and those of others together would.
        self._all_codebooks = float(np.maximum(self._codebook_bytes, 0).sum(dtype=np.float64))

    def codebook_memory(self, tensors: list[int], threads: int = 1) -> int:
        """Return the most bytes that the codebooks of these tensors take during decoding: those that are kept, and on
        every thread planes, steps and words of the largest one."""
        if (1 + 3 * threads) * self._all_codebooks <= limits.WORKING_BYTES and not self._words:
            return 0  # which is free anyway
        sizes = self._codebook_bytes[tensors]
        held = sum(len(words) for t, words in list(self._words.items()) if t not in tensors)
        return held + int(sizes.sum()) + 3 * threads * int(sizes.max(initial=0))

    def held(self, tensors: list[int]) -> int:
        """Return how many bytes of a base these tensors are made of: none."""
        return 0

    def forget(self, t: int) -> None:
        """Free a tensor's codebooks."""
        self._words.pop(t, None)

    def decode_whole(
        self, tensors: list[int], starts: list[int], data: U8, out: list[U8], stream: bool = False
    ) -> None:
        """Decode whole tensors, whose segments begin at `starts` in `data`."""
        jobs = self._jobs[tensors]
        jobs[:, _FIELD["data"]] = starts
        jobs[:, _FIELD["stream"]] = stream
        self._run(jobs, tensors, _NO_WORDS, data, out)

    def prepared(self, t: int) -> bool:
        """Return whether a tensor's codebooks are decoded, or it has none."""
        return t in self._words or not self.columns.book_rows[t]

    def prepare(self, t: int, head: U8) -> None:
        """Decode a tensor's codebooks from the first `columns.head[t]` bytes of its segment, once for all of
        its `decode_part`."""
        self._words[t] = self._decoded_codebook(t, head)

    def _decoded_codebook(self, t: int, head: U8) -> U8:
        c = self.columns
        try:
            return kernels.active().codebook(
                c.kernel, int(c.book_at[t]), int(c.word[t]), bool(c.rotate[t]), int(c.books[t]), int(c.entries[t]), head
            )
        except KernelError as error:
            raise self._explain(error, t) from None

    def codebook(self, t: int) -> NDArray[Any]:
        """Return the words of a tensor's codebooks, shape (codebooks, entries). Call `prepare` first."""
        c = self.columns
        if not c.book_rows[t]:  # no word is stored
            return np.zeros((int(c.books[t]), 0), f"<u{c.word[t]}")
        return self._words[t].view(f"<u{c.word[t]}").reshape(int(c.books[t]), int(c.entries[t]))

    def decode_part(self, t: int, first: int, last: int, data: U8, out: U8, stream: bool = False) -> None:
        """Decode chunks [first, last) of a tensor from their bytes alone."""
        job = self._chunks_job(t, first, last, len(data))
        job[0, _FIELD["stream"]] = stream
        self._run(job, [t], self._words.get(t, _NO_WORDS), data, [out])

    def decode_clusters(self, t: int, first: int, last: int, data: U8, out: U8) -> None:
        """Decode the same chunks to cluster indices plus one, with zeros where no word is stored. This is decoding with
        a codebook of the numbers 1, 2, ..., the same for every group."""
        c = self.columns
        job = self._chunks_job(t, first, last, len(data))
        job[0, _FIELD["group"]] = max(int(c.weights[t]), 1)
        numbers = np.arange(1, int(c.entries[t]) + 1, dtype=f"<u{c.word[t]}")
        self._run(job, [t], numbers.view(np.uint8), data, [out])

    def _chunks_job(self, t: int, first: int, last: int, size: int) -> NDArray[np.int64]:
        """Return the job for chunks [first, last) of a tensor from `size` bytes, its codebook decoded already."""
        job = self._jobs[t : t + 1].copy()
        for name, value in (("first", first), ("count", last - first), ("book", -1), ("size", size)):
            job[0, _FIELD[name]] = value
        job[0, _FIELD["rows"]] += first * self.columns.width[t]
        return job

    def _run(self, jobs: NDArray[np.int64], tensors: list[int], words: U8, data: U8, out: list[U8]) -> None:
        if not self.columns.inflated.isdisjoint(tensors):
            for number, t in enumerate(tensors):
                self._run_inflated(jobs[number], t, words, data, out[number])
        else:
            try:
                kernels.active().run_jobs(jobs, self.columns.kernel, words, data, out)
            except KernelError as error:
                raise self._explain(error, tensors[error.job]) from None
        for t, decoded in zip(tensors, out):
            self._check_bits(t, decoded)

    def _check_bits(self, t: int, decoded: U8) -> None:
        """Check decoded words by R-ELEM-1."""
        if self._narrow and not fits(decoded, self.columns.dtypes[t]):
            dtype = self.columns.dtypes[t]
            raise FormatError(
                f"tensor {self.columns.names[t]!r}: {dtype.code} has {dtype.bits} bits an element, but bits above "
                "them are set; the file was not written by a correct encoder"
            )

    def stored_nonzeros(self, t: int, first: int, out: U8) -> int:
        """Return how many stored words of a dense layout are not zero: those of the weights from `first` on, which
        decode to `out`."""
        return int(kernels.active().bitmap(out, int(self.columns.word[t]))[1])

    def _run_inflated(self, job: NDArray[np.int64], t: int, words: U8, data: U8, out: U8) -> None:
        """Run a job of a tensor with zstd streams chunk by chunk: no more than one chunk is decompressed at a time."""
        c, kernel = self.columns, kernels.active()
        first, count, start, size = (int(job[_FIELD[f]]) for f in ("first", "count", "data", "size"))
        data = data[start : start + size]
        job = job.copy()
        job[_FIELD["count"]], job[_FIELD["data"]] = 1, 0
        bounds = c.bounds(t)
        begin = int(bounds[first])
        if job[_FIELD["book"]] >= 0:
            words = self._decoded_codebook(t, data[:begin])
            begin, job[_FIELD["book"]], job[_FIELD["words"]] = 0, -1, 0
        chunk_bytes = int(c.chunk[t] * c.word[t])
        try:
            for number in range(first, first + count):
                stored = data[bounds[number] - begin : bounds[number + 1] - begin]
                job[_FIELD["first"]], job[_FIELD["size"]] = number, len(stored)
                jobs, columns, inflated = self._inflate(job[np.newaxis], [t], stored)
                at = (number - first) * chunk_bytes
                kernel.run_jobs(jobs, columns, words, inflated, [out[at : at + chunk_bytes]])
        except KernelError as error:
            raise self._explain(error, t) from None

    def _explain(self, error: KernelError, t: int) -> DczError:
        where = f"tensor {self.columns.names[t]!r}"
        if error.status is Status.BOOK_CHECKSUM:
            return ChecksumError(f"{where}: the codebook does not match its CRC-32C; fetch the file again")
        if error.status not in (Status.BOOK, Status.ORDER):
            where = f"{where}, chunk {error.row}"
        if error.status is Status.CHECKSUM:
            return ChecksumError(f"{where}: the stored bytes do not match their CRC-32C; fetch the file again")
        reason = REASONS.get(error.status, f"the kernel refused it ({error.status.name.lower()})")
        return FormatError(f"{where}: {reason}; the file was not written by a correct encoder")

    def _inflate(
        self, jobs: NDArray[np.int64], tensors: list[int], data: U8
    ) -> tuple[NDArray[np.int64], KernelColumns, U8]:
        """Return the same jobs with their zstd frames decompressed. The kernels lack zstd: they get the decompressed
        bytes as raw streams, and rows that say so."""
        c = self.columns
        jobs = jobs.copy()
        parts, rows, at, row_at = [], [], 0, 0
        for number, (job, t) in enumerate(zip(jobs, tensors)):
            first, count, start, size = (int(job[_FIELD[f]]) for f in ("first", "count", "data", "size"))
            head = int(c.head[t]) if job[_FIELD["book"]] >= 0 else 0
            own = c.rows(t)[first : first + count].copy()
            pieces = [data[start : start + head]]
            pieces += self._inflate_rows(t, first, own, data[start + head : start + size], number)
            job[_FIELD["data"]], job[_FIELD["rows"]] = at, row_at
            job[_FIELD["size"]] = sum(map(len, pieces))
            at += int(job[_FIELD["size"]])
            row_at += own.size
            parts += pieces
            rows.append(own.reshape(-1))
        return jobs, replace(c.kernel, rows=np.concatenate(rows)), np.concatenate(parts)

    def _inflate_rows(self, t: int, first: int, rows: NDArray[np.int64], data: U8, job: int) -> list[U8]:
        """Return the chunks' bytes decompressed, and change `rows` to describe them."""
        kernel, streams = kernels.active(), self.columns.stream_codes(t)
        out, at = [], 0
        for r, row in enumerate(rows):
            size = int(row[ROW_HEAD + 1 :: 2].sum())
            stored = data[at : at + size]
            at += size
            if kernel.crc32c(stored) != row[2]:
                raise KernelError(Status.CHECKSUM, first + r, job)
            pieces, offset = [], 0
            for s, codes in enumerate(streams):
                length = int(row[ROW_HEAD + 1 + 2 * s])
                piece = stored[offset : offset + length]
                offset += length
                if codes[row[ROW_HEAD + 2 * s]].kind == "zstd":
                    field = f"tensor {self.columns.names[t]!r}, chunk {first + r}"
                    plain = zstd.decompress(piece.data, self.symbols(t, first + r, row, s), field)
                    piece = np.frombuffer(plain, np.uint8)
                    row[ROW_HEAD + 1 + 2 * s] = len(piece)
                pieces.append(piece)
            joined = np.concatenate(pieces)
            row[2] = kernel.crc32c(joined)
            out.append(joined)
        return out

    def symbols(self, t: int, number: int, row: NDArray[np.int64], stream: int) -> int:
        """Return the symbols of a chunk's stream."""
        c = self.columns
        chunk = int(c.chunk[t])
        weights = min(chunk, int(c.weights[t]) - number * chunk)
        if c.values[t] == VALUES["bytes"]:
            return weights * int(c.word[t])
        if stream < c.streams[t] - c.planes[t]:
            return -(-weights // 8) if c.positions[t] == POSITIONS["bitmap"] else int(row[0] + row[1])
        return int(row[0]) if c.positions[t] else weights
