"""The directory and the codebooks' records (SPEC 4.2, 6.2): out of the index's columns, checked, as kernels read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dcz import limits
from dcz.errors import FormatError, LimitError
from dcz.format.integers import I64, unpack

if TYPE_CHECKING:
    from dcz.format.columns import Columns

ROW_HEAD = 3
ROW_KEYS = ("row_nonzeros", "row_fillers", "row_crcs", "row_codes", "row_lengths")
BOOK_KEYS = ("book_crcs", "book_codes", "book_lengths")
_CRC = (1 << 32) - 1
_MAX_LENGTH = 1 << 32

Refuse = Callable[..., None]


def starts(sizes: I64) -> I64:
    """Where each part begins of parts one after another."""
    return np.cumsum(sizes) - sizes


def check_size(numbers: float) -> None:
    """Refuses a directory of too many numbers."""
    if numbers > limits.MAX_DIRECTORY:
        raise LimitError(f"index: directory: more than {limits.MAX_DIRECTORY} numbers; split the model into shards")


def read_books(plain: Mapping[str, object], c: Columns, book: NDArray[np.bool_]) -> I64:
    """The codebooks' records: of each a CRC-32C, then code and length of each byte plane. Puts in what each tensor
    has of them."""
    of = np.flatnonzero(book)
    word = c.word[of]
    owner = np.repeat(of, word)
    crcs = unpack(plain["book_crcs"], len(of), 0, _CRC, "book_crcs")
    codes = unpack(plain["book_codes"], len(owner), 0, len(c.plain_codes) - 1, "book_codes")
    lengths = unpack(plain["book_lengths"], len(owner), 0, _MAX_LENGTH, "book_lengths")
    flat = np.empty(len(of) + 2 * len(owner), np.int64)
    if not len(of):
        return flat
    c.book_at = starts(np.where(book, 1 + 2 * c.word, 0))
    head = np.zeros(len(flat), np.bool_)
    head[c.book_at[of]] = True
    flat[head] = crcs
    flat[~head] = np.stack([codes, lengths], axis=1).reshape(-1)
    if "zstd" in c.plain_codes:
        wrong = codes == c.plain_codes.index("zstd")
        if np.count_nonzero(wrong):
            name = c.names[owner[np.argmax(wrong)]]
            raise FormatError(f"tensor {name!r}: a codebook is raw, packed or Huffman-coded, found zstd")
    # Sums in floating point are exact: no tensor stores 2^53 bytes.
    c.head = np.bincount(owner, weights=lengths, minlength=len(c.names)).astype(np.int64)
    return flat


def read_rows(plain: Mapping[str, object], c: Columns, sparse: NDArray[np.bool_], refuse: Refuse) -> I64:
    """The directory, with counts that fit their chunks and codes that are there. Puts in what each tensor stores and
    has."""
    t = len(c.names)
    check_size(float(c.chunks.astype(np.float64) @ c.width))
    rows, pairs = int(c.chunks.sum()), int(c.chunks @ c.streams)  # nothing is made of them before there are as many
    nonzeros, fillers = (unpack(plain[key], rows, 0, limits.MAX_WORDS, key) for key in ROW_KEYS[:2])
    crcs = unpack(plain["row_crcs"], rows, 0, _CRC, "row_crcs")
    codes = unpack(plain["row_codes"], pairs, 0, _CRC, "row_codes")
    lengths = unpack(plain["row_lengths"], pairs, 0, _MAX_LENGTH, "row_lengths")

    owner = np.repeat(np.arange(t), c.chunks)
    nth = np.arange(len(owner)) - starts(c.chunks)[owner]
    weights = np.minimum(c.chunk[owner], c.weights[owner] - nth * c.chunk[owner])
    per_row = c.streams[owner]
    row = np.repeat(np.arange(rows), per_row)
    stream = np.arange(pairs) - starts(per_row)[row]
    pair_owner = owner[row]

    def owners(wrong: NDArray[np.bool_], whose: I64) -> NDArray[np.bool_]:
        return np.bincount(whose[wrong], minlength=t) > 0

    wrong = nonzeros > np.where(sparse[owner], weights, 0)
    if np.count_nonzero(wrong):
        refuse(owners(wrong, owner), "a chunk has more nonzeros than weights")
    wrong = fillers > np.where(c.positions[owner] >= 4, weights, 0)
    if np.count_nonzero(wrong):
        refuse(owners(wrong, owner), "a chunk has more fillers than it can have")
    wrong = codes >= c.kernel.counts[c.stream_at[pair_owner] + stream]
    if np.count_nonzero(wrong):
        refuse(owners(wrong, pair_owner), "a chunk uses a code its stream lacks")

    c.row_at = starts(c.chunks * c.width)
    at = ROW_HEAD * np.arange(rows) + 2 * starts(per_row)  # rows are one after another, whosever they are
    flat = np.empty(ROW_HEAD * rows + 2 * pairs, np.int64)
    for i, column in enumerate((nonzeros, fillers, crcs)):
        flat[at + i] = column
    at = at[row] + ROW_HEAD + 2 * stream
    flat[at] = codes
    flat[at + 1] = lengths
    c.stored = c.head + np.bincount(pair_owner, weights=lengths, minlength=t).astype(np.int64)
    c.nonzeros = np.bincount(owner, weights=nonzeros, minlength=t).astype(np.int64)
    return flat
