"""The directory and the codebooks' records: out of the index's columns, checked, as kernels read them (SPEC 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dcz import limits
from dcz.errors import LimitError
from dcz.format.codes import Codes
from dcz.format.integers import I64, unpack
from dcz.format.tensors import CRC, Bools, Refusals, Tensors, starts
from dcz.kernels.interface import ROW_HEAD

ROW_KEYS = ("row_nonzeros", "row_fillers", "row_crcs", "row_codes", "row_lengths")
BOOK_KEYS = ("book_crcs", "book_codes", "book_lengths")
BASE_KEYS = ("row_base_crcs", "row_result_crcs")
_MAX_LENGTH = 1 << 32


@dataclass(frozen=True)
class Books:
    """The codebooks' records, one after another: of each a CRC-32C, then code and length of each coded row. Of each
    tensor where its record begins, and the stored bytes."""

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
    """Refuses a directory of too many numbers."""
    if numbers > limits.MAX_DIRECTORY:
        raise LimitError(f"index: directory: more than {limits.MAX_DIRECTORY} numbers; split the model into shards")


def read_books(plain: Mapping[str, object], c: Tensors, codes: Codes, refuse: Refusals) -> Books:
    """The codebooks' records; a tensor has one where it has any rows of codebooks."""
    of = np.flatnonzero(c.book_rows)
    owner = np.repeat(of, c.book_rows[of])
    crcs = unpack(plain["book_crcs"], len(of), 0, CRC, "book_crcs")
    numbers = unpack(plain["book_codes"], len(owner), 0, len(codes.plain) - 1, "book_codes")
    lengths = unpack(plain["book_lengths"], len(owner), 0, _MAX_LENGTH, "book_lengths")
    flat = np.empty(len(of) + 2 * len(owner), np.int64)
    book_at = starts(np.where(c.book_rows > 0, 1 + 2 * c.book_rows, 0))
    if not len(of):
        return Books(flat, book_at, np.zeros(len(c.names), np.int64))
    is_crc = np.zeros(len(flat), np.bool_)
    is_crc[book_at[of]] = True
    flat[is_crc] = crcs
    flat[~is_crc] = np.stack([numbers, lengths], axis=1).reshape(-1)
    if "zstd" in codes.plain:
        wrong = np.bincount(owner[numbers == codes.plain.index("zstd")], minlength=len(c.names)) > 0
        wrong[list(c.unknown)] = False
        refuse(wrong, "a codebook is raw, packed or Huffman-coded, found zstd")
    # Sums in floating point are exact: no tensor stores 2^53 bytes.
    head = np.bincount(owner, weights=lengths, minlength=len(c.names)).astype(np.int64)
    return Books(flat, book_at, head)


def read_rows(plain: Mapping[str, object], c: Tensors, codes: Codes, head: I64, refuse: Refusals) -> Directory:
    """The directory: counts that fit their chunks, codes that are there, lengths that make the segments."""
    t = len(c.names)
    width = ROW_HEAD + 2 * c.streams
    # Nothing is made of these numbers before there are as many in the index.
    check_size(float(c.chunks.astype(np.float64) @ width.astype(np.float64)))
    rows, pairs = int(c.chunks.sum()), int(c.chunks @ c.streams)
    nonzeros = unpack(plain["row_nonzeros"], rows, 0, limits.MAX_WORDS, "row_nonzeros")
    fillers = unpack(plain["row_fillers"], rows, 0, limits.MAX_WORDS, "row_fillers")
    crcs = unpack(plain["row_crcs"], rows, 0, CRC, "row_crcs")
    used = unpack(plain["row_codes"], pairs, 0, CRC, "row_codes")
    lengths = unpack(plain["row_lengths"], pairs, 0, _MAX_LENGTH, "row_lengths")

    owner = np.repeat(np.arange(t), c.chunks)
    nth = np.arange(len(owner)) - starts(c.chunks)[owner]
    per_row = c.streams[owner]
    row = np.repeat(np.arange(rows), per_row)
    stream = np.arange(pairs) - starts(per_row)[row]
    pair_owner = owner[row]
    known = np.ones(t, np.bool_)
    known[list(c.unknown)] = False

    def owners(wrong: Bools, whose: I64) -> Bools:
        return np.bincount(whose[wrong], minlength=t) > 0

    weights = np.minimum(c.chunk[owner], c.weights[owner] - nth * c.chunk[owner])
    wrong = nonzeros > np.where(c.positions[owner] != 0, weights, 0)
    if np.count_nonzero(wrong):
        refuse(owners(wrong, owner) & known, "a chunk has more nonzeros than weights")
    wrong = fillers > np.where(c.positions[owner] >= 4, weights, 0)
    if np.count_nonzero(wrong):
        refuse(owners(wrong, owner) & known, "a chunk has more fillers than it can have")
    first_stream = starts(c.streams)
    wrong = used >= codes.counts[first_stream[pair_owner] + stream]
    if np.count_nonzero(wrong):
        refuse(owners(wrong, pair_owner), "a chunk uses a code its stream lacks")
    stored = head + np.bincount(pair_owner, weights=lengths, minlength=t).astype(np.int64)
    refuse(stored != c.stored, "segments: {} bytes are not what its rows take", c.stored)
    total = np.bincount(owner, weights=nonzeros, minlength=t)
    wrong = known & (c.positions > 0) & (c.nonzeros != total)
    refuse(wrong, "nonzeros: {} are not those of its chunks", c.nonzeros)

    row_at = starts(c.chunks * width)
    at = ROW_HEAD * np.arange(rows) + 2 * starts(per_row)  # rows are one after another, whosever they are
    flat = np.empty(ROW_HEAD * rows + 2 * pairs, np.int64)
    for i, column in enumerate((nonzeros, fillers, crcs)):
        flat[at + i] = column
    at = at[row] + ROW_HEAD + 2 * stream
    flat[at] = used
    flat[at + 1] = lengths
    return Directory(flat, width, row_at, *_base_crcs(plain, c))


def _base_crcs(plain: Mapping[str, object], c: Tensors) -> tuple[I64, I64, I64]:
    chunks = np.where(c.transforms > 0, c.chunks, 0)
    if "row_base_crcs" not in plain:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(len(c.names), np.int64)
    n = int(chunks.sum())
    base, result = (unpack(plain[key], n, 0, CRC, key) for key in BASE_KEYS)
    return base, result, starts(chunks)
