"""The directory and the codebooks' records, checked, in the form that kernels read (SPEC 7.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcz import limits
from dcz.errors import LimitError
from dcz.format.codes import Codes
from dcz.format.integers import I64, Integers
from dcz.format.tensors import CRC, Bools, Refusals, Tensors, starts
from dcz.kernels.interface import ROW_HEAD

ROW_KEYS = ("row_nonzeros", "row_fillers", "row_crcs", "row_codes", "row_lengths")
BOOK_KEYS = ("book_crcs", "book_codes", "book_lengths")
BASE_KEYS = ("row_base_crcs", "row_result_crcs")
_MAX_LENGTH = 1 << 32
_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Books:
    """The codebooks' records, one after another, each a CRC-32C and then code and length of each coded row; for each
    tensor, where its record begins, and the stored bytes of its codebooks."""

    flat: I64
    book_at: I64
    head: I64


@dataclass(frozen=True)
class Directory:
    """Rows of all chunks, one after another: nonzeros, fillers, CRC-32C, then code and length of each stream. Of each
    tensor how many numbers one of its rows has, and where its first begins. With a base, the CRC-32C of the base's
    and of the result's words of each chunk of a tensor that has a transform, and where each tensor's begin."""

    flat: I64
    width: I64
    row_at: I64
    base_crcs: I64
    result_crcs: I64
    base_at: I64


def check_size(numbers: float) -> None:
    """Refuse a directory of too many numbers."""
    if numbers > limits.MAX_DIRECTORY:
        raise LimitError(f"index: directory: more than {limits.MAX_DIRECTORY} numbers; split the model into shards")


def read_books(integers: Integers, c: Tensors, codes: Codes, refuse: Refusals) -> Books:
    """Read the codebooks' records; a tensor with coded rows of codebooks has one."""
    of = c.book_rows.nonzero()[0]
    of_rows = c.book_rows[of]
    ends = of_rows.cumsum()
    n = int(ends[-1]) if len(of) else 0
    crcs = integers.take("book_crcs", len(of), 0, CRC)
    numbers = integers.take("book_codes", n, 0, len(codes.plain) - 1)
    lengths = integers.take("book_lengths", n, 0, _MAX_LENGTH)
    flat = np.empty(len(of) + 2 * n, np.int64)
    book_at, head = np.zeros((2, len(c.names)), np.int64)
    if not len(of):
        return Books(flat, book_at, head)
    nth = np.arange(len(of))
    at = nth + 2 * (ends - of_rows)
    flat[at] = crcs
    at_pairs = 2 * np.arange(n) + 1 + nth.repeat(of_rows)
    flat[at_pairs] = numbers
    flat[at_pairs + 1] = lengths
    if "zstd" in codes.plain:
        owner = of.repeat(of_rows)
        wrong = np.bincount(owner[numbers == codes.plain.index("zstd")], minlength=len(c.names)) > 0
        refuse(wrong & c.understood, "a codebook is raw, packed or Huffman-coded, found zstd")
    book_at[of], head[of] = at, sums(lengths, ends, of_rows)
    return Books(flat, book_at, head)


def sums(numbers: I64, ends: I64, counts: I64) -> I64:
    """The sums of parts one after another, which end at `ends`. All together they are below 2^63."""
    total = np.zeros(len(numbers) + 1, np.int64)
    numbers.cumsum(out=total[1:])
    return total[ends] - total[ends - counts]


def read_rows(integers: Integers, c: Tensors, codes: Codes, head: I64, refuse: Refusals) -> Directory:
    """Read the directory. Counts fit their chunks, codes exist, and lengths add up to the segments."""
    t, width = len(c.names), ROW_HEAD + 2 * c.streams
    # Nothing is allocated from these numbers before the index is known to have as many.
    check_size(float(c.chunks.astype(np.float64) @ width.astype(np.float64)))
    of_pairs = c.chunks * c.streams
    ends, pair_ends = c.chunks.cumsum(), of_pairs.cumsum()
    rows, pairs = (int(ends[-1]), int(pair_ends[-1])) if t else (0, 0)
    nonzeros = integers.take("row_nonzeros", rows, 0, limits.MAX_WORDS)
    fillers = integers.take("row_fillers", rows, 0, limits.MAX_WORDS)
    crcs = integers.take("row_crcs", rows, 0, CRC)
    used = integers.take("row_codes", pairs, 0, CRC)
    lengths = integers.take("row_lengths", pairs, 0, _MAX_LENGTH)

    owner = np.arange(t).repeat(c.chunks)

    def check(wrong: Bools, whose: I64, among: Bools, reason: str) -> None:
        if np.count_nonzero(wrong):
            refuse((np.bincount(whose[wrong], minlength=t) > 0) & among, reason)

    if integers.top("row_nonzeros") or integers.top("row_fillers"):
        # A chunk has as many weights as the others, the last of a tensor what is left.
        weights = c.chunk.repeat(c.chunks)
        there = c.chunks > 0
        weights[ends[there] - 1] = (c.weights - (c.chunks - 1) * c.chunk)[there]
        positions = c.positions[owner]
        wrong = nonzeros > np.where(positions != 0, weights, 0)
        check(wrong, owner, c.understood, "a chunk has more nonzeros than weights")
        wrong = fillers > np.where(positions >= 4, weights, 0)
        check(wrong, owner, c.understood, "a chunk has more fillers than it can have")
    per_row = c.streams.repeat(c.chunks)
    row = np.arange(rows).repeat(per_row)
    if integers.top("row_codes"):  # each stream has a first code
        stream = np.arange(pairs) + (starts(c.streams)[owner] - starts(per_row)).repeat(per_row)
        check(used >= codes.counts[stream], owner[row], np.ones(t, np.bool_), "a chunk uses a code its stream lacks")
    refuse(
        head + sums(lengths, pair_ends, of_pairs) != c.stored, "segments: {} bytes are not what its rows take", c.stored
    )
    wrong = c.understood & (c.positions > 0) & (c.nonzeros != sums(nonzeros, ends, c.chunks))
    refuse(wrong, "nonzeros: {} are not those of its chunks", c.nonzeros)

    # Rows are one after another, whosever they are; so are their pairs of a code and a length.
    flat = np.empty(ROW_HEAD * rows + 2 * pairs, np.int64)
    at = ROW_HEAD * np.arange(rows) + 2 * starts(per_row)
    for i, column in enumerate((nonzeros, fillers, crcs)):
        flat[at + i] = column
    at = 2 * np.arange(pairs) + ROW_HEAD * (row + 1)
    flat[at] = used
    flat[at + 1] = lengths
    return Directory(flat, width, starts(c.chunks * width), *_base_crcs(integers, c))


def _base_crcs(integers: Integers, c: Tensors) -> tuple[I64, I64, I64]:
    if not c.base_names:
        return _NOTHING, _NOTHING, np.zeros(len(c.names), np.int64)
    chunks = np.where(c.transforms > 0, c.chunks, 0)
    base, result = (integers.take(key, int(chunks.sum()), 0, CRC) for key in BASE_KEYS)
    return base, result, starts(chunks)
