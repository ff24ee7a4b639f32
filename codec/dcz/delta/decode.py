"""Decode chunks of a file with a base: the base's words, checked, then changed by what the chunk stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.container.decode import Decoder
from dcz.container.file import OpenFile
from dcz.delta.base import Base
from dcz.delta.links import Link, Links, check_base, check_chunks, check_copy, check_has_base
from dcz.delta.transforms import COPY, STEP, XOR, magnitude
from dcz.errors import ChecksumError, DczError
from dcz.kernels.interface import I64, JOB_FIELDS, U8, Columns, KernelError, Status

if TYPE_CHECKING:
    from dcz.delta.targets import Piece

_FIELD = {name: i for i, name in enumerate(JOB_FIELDS)}
_NO_PAIRS = np.zeros(0, np.int64)


class BasedDecoder(Decoder):
    """A decoder to the result's words, as `Decoder` is for files without a base; as safe for threads."""

    def __init__(self, store: OpenFile, base: Base | None) -> None:
        super().__init__(store.index.columns)
        self._store = store
        self._links = Links(store)
        self._base = base

    def link(self, t: int) -> Link:
        """Return the link of tensor `t` to the base."""
        return self._links.numbered(t)

    def held(self, tensors: list[int]) -> int:
        """Return how many bytes of the base these tensors are made of, each tensor of the base counted once. Raises
        `BaseError` where the base lacks one, or has another number of words or dtype."""
        if self._base is None:
            return 0
        c, sizes = self.columns, dict[str, int]()
        for t in tensors:
            if c.transforms[t] and t not in c.unknown:
                link = self.link(t)
                check_base(self._store, self._base, {link.entry.name: link})
                sizes[link.base_name] = link.entry.nbytes
        return sum(sizes.values())

    def _run(self, jobs: NDArray[np.int64], tensors: list[int], words: U8, data: U8, out: list[U8]) -> None:
        whole = [i for i, t in enumerate(tensors) if not self.columns.transforms[t]]
        if whole:
            super()._run(jobs[whole], [tensors[i] for i in whole], words, data, [out[i] for i in whole])
        if len(whole) < len(tensors):
            data = data.copy()  # may be a buffer of this thread that reading the base reuses
        for i, t in enumerate(tensors):
            if not self.columns.transforms[t]:
                continue
            link = self.link(t)
            self._take_base(link, jobs[i], out[i])
            if link.changed:
                self.change(link, jobs[i], words, data, out[i])

    def _take_base(self, link: Link, job: I64, out: U8) -> None:
        """Copy the base's words of a job to `out`."""
        entry, word = link.entry, link.entry.dtype.word
        first = 0 if link.transform == COPY else int(job[_FIELD["first"]])
        begin = first * link.chunk
        if self._base is None:
            raise DczError(f"tensor {entry.name!r}: is the difference to a base, which was not given")
        check_base(self._store, self._base, {entry.name: link})
        out[:] = self._base.words(link.base_name, begin, begin + len(out) // word, word)
        if link.transform == COPY:
            check_copy(link, out)
        else:
            check_chunks(link, out, first)

    def change(
        self, link: Link, job: I64, words: U8, data: U8, out: U8, *, backward: bool = False, checked: bool = True
    ) -> None:
        """Apply a job to its words at `out`; `checked` compares with the result's CRC-32C before a chunk is written. An
        error names the refused chunk: the chunks before it are changed."""
        first, count = int(job[_FIELD["first"]]), int(job[_FIELD["count"]])
        pairs = _NO_PAIRS
        if checked:
            both = (link.base_crcs, link.result_crcs)
            pairs = np.stack(both[::-1] if backward else both, axis=1)[first : first + count].reshape(-1)
        change = [link.transform, magnitude(link.entry.dtype), backward, 0 if checked else -1]
        try:
            jobs, columns, data = self._ready(job, link.number, data)
            kernels.active().change_jobs(jobs, columns, words, data, np.array([change], np.int64), pairs, [out])
        except KernelError as error:
            raise self.explained(error, link) from None
        if not backward:
            self._check_bits(link.number, out)

    def stored_nonzeros(self, t: int, first: int, out: U8) -> int:
        """Return how many words differ from the base's: steps and exclusive ors are zero elsewhere."""
        link = self.link(t)
        if link.transform not in (STEP, XOR) or self._base is None:
            return super().stored_nonzeros(t, first, out)
        word = link.entry.dtype.word
        old = self._base.words(link.base_name, first, first + len(out) // word, word)
        return int(np.count_nonzero(old.view(f"<u{word}") != out.view(f"<u{word}")))

    def stored(self, link: Link, data: U8) -> tuple[I64, NDArray[Any]]:
        """Return places, ascending, and words that a changed tensor's segment stores."""
        return self._listed(link, self._jobs[link.number], np.zeros(0, np.uint8), data)

    def covered(self, piece: Piece, data: U8) -> tuple[I64, NDArray[Any]]:
        """Return the places in a piece that its chunks store, and the present words there."""
        link = piece.target.link
        job, words = self.part(link.number, piece.first, piece.last, len(data))
        places, stored = self._listed(link, job, words, data)
        places -= piece.first * link.chunk
        return places, piece.out.view(stored.dtype)[places]

    def _listed(self, link: Link, job: I64, words: U8, data: U8) -> tuple[I64, NDArray[Any]]:
        t, first, count = link.number, int(job[_FIELD["first"]]), int(job[_FIELD["count"]])
        sparse = bool(self.columns.positions[t])
        last = min((first + count) * link.chunk, link.entry.words)
        size = int(self.columns.rows(t)[first : first + count, 0].sum()) if sparse else last - first * link.chunk
        self._store.bound_for([link.entry]).check_memory(size * (8 + link.entry.dtype.word))
        try:
            jobs, columns, data = self._ready(job, t, data)
            places, stored = kernels.active().list_job(jobs[0], columns, words, data, size)
        except KernelError as error:
            raise self.explained(error, link) from None
        return places, stored.view(f"<u{link.entry.dtype.word}")

    def part(self, t: int, first: int, last: int, size: int) -> tuple[I64, U8]:
        """Return the job of chunks [first, last) of a tensor, of `size` bytes, and its codebooks' words."""
        job = self._jobs[t].copy()
        for name, value in (("first", first), ("count", last - first), ("book", -1), ("size", size), ("data", 0)):
            job[_FIELD[name]] = value
        job[_FIELD["rows"]] += first * self.columns.width[t]
        return job, self._words.get(t, np.zeros(0, np.uint8))

    def _ready(self, job: I64, t: int, data: U8) -> tuple[NDArray[np.int64], Columns, U8]:
        """Return a job as kernels take it: without zstd."""
        jobs = job.reshape(1, -1)
        if t in self.columns.inflated:
            return self._inflate(jobs, [t], data)
        return jobs, self.columns.kernel, data

    def explained(self, error: KernelError, link: Link) -> DczError:
        """Return the error for a kernel's refusal."""
        if error.status is Status.RESULT:
            return Changed(
                f"tensor {link.entry.name!r}, chunk {error.row}: what it makes of the base does not match its CRC-32C; "
                "the file was not written by a correct encoder",
                error.row,
            )
        return self._explain(error, link.number)


class Changed(ChecksumError):
    """A refused chunk; the earlier chunks of the same job are changed."""

    def __init__(self, message: str, chunk: int) -> None:
        super().__init__(message)
        self.chunk = chunk


def attach(store: OpenFile, base: Base | None) -> BasedDecoder:
    """Make an open file decode with a base, which is checked when it is read."""
    if base is not None:
        check_has_base(store)
    store.decoder = decoder = BasedDecoder(store, base)
    store.based = base is not None
    return decoder
