"""The interface of the kernels. Two implementations give the same bytes: compiled and pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

SYMBOLS = 256
LANES = 6
LANE_THRESHOLD = 2048
MAX_CODE_LENGTH = 12
MAX_ROW = 262_080  # symbols of a Huffman row, and of a row of a codebook plane (SPEC 5.3)
MAX_CODES = 16  # of one stream
CODE_RECORD = 129
ROW_HEAD = 3  # numbers of a row of the directory before its streams: nonzeros, fillers, CRC-32C
# What a word's change against a base is stored as.
STEP, XOR, REPLACE = 2, 3, 4
RAW, HUFFMAN = 0, 8  # kinds of a code record; 1 to 7 is packed with that many bits


class Status(IntEnum):
    """The reason for a kernel's refusal. The numbers are those of `kernels.hpp`."""

    OK = 0
    ARGUMENT = 1
    CODE = 2
    LENGTH = 3
    PADDING = 4
    COUNT = 5
    INDEX = 6
    CHECKSUM = 7
    FULL = 8
    BOOK = 9
    ORDER = 10
    BOOK_CHECKSUM = 11
    RESULT = 12


class KernelError(Exception):
    """A kernel's refusal, which the decoder turns into an error: `status`, the row or chunk, and the job."""

    def __init__(self, status: Status, row: int = 0, job: int = 0) -> None:
        super().__init__(f"{status.name.lower()} at row {row} of job {job}")
        self.status = status
        self.row = row
        self.job = job


@dataclass(frozen=True, slots=True)
class Columns:
    """What decoding reads of a file's index. `records` are the file's code records. `counts` is how many codes
    each stream has, `numbers` which these are, stream after stream. `rows` is the directory: for each chunk its
    nonzeros, fillers and CRC-32C, then for each stream which of its codes it uses and its length. `books` holds
    for each tensor's codebooks their CRC-32C, then a code and a length for each row of each byte plane."""

    records: U8
    counts: I64
    numbers: I64
    rows: I64
    books: I64


# Columns of a job, a range of chunks of one tensor; where `book` is negative, the codebook is `words`.
# `rows`, `streams`, `numbers`, `book` and `words` are where its part begins, `data` and `size` its bytes.
JOB_FIELDS = (
    "positions", "values", "word", "rotate", "planes", "weights", "chunk", "entries", "group",
    "rows", "first", "count", "streams", "numbers", "book", "words", "data", "size", "stream",
)  # fmt: skip

# How a job's words change those of a base: by which transform, whether words are sign and magnitude, whether backward
# (which REPLACE cannot), and where the pairs of CRC-32C of its chunks begin, before and after; negative: unchecked.
CHANGE_FIELDS = ("transform", "magnitude", "backward", "crcs")


@dataclass(frozen=True, slots=True)
class Scan:
    """Distinct nonzero words in order of first appearance, each nonzero word's number among them,
    and the bitmap of where the nonzeros are."""

    keys: NDArray[np.uint64]
    ids: NDArray[np.uint8] | NDArray[np.uint16]
    bitmap: U8


class Kernels(Protocol):
    """The interface. Arrays are one-dimensional and contiguous; words are passed as bytes."""

    @property
    def name(self) -> str: ...

    def crc32c(self, data: U8, crc: int = 0) -> int:
        """Return the CRC-32C of bytes, continuing from `crc`."""

    def crc32c_rows(self, data: U8, bounds: I64) -> NDArray[np.uint32]:
        """Return the CRC-32C of each `data[bounds[r]:bounds[r + 1]]`."""

    def histograms(self, symbols: U8, bounds: I64) -> NDArray[np.uint32]:
        """Return the counts of the symbols of each row, shape (rows, 256)."""

    def code_lengths(self, histogram: NDArray[np.uint64], limit: int) -> U8:
        """Return optimal code lengths up to `limit`, shape (256,), by package-merge (Larmore and Hirschberg 1990)."""

    def check_codes(self, records: U8) -> int:
        """Return the number of the first invalid code record, or of all records if they are valid."""

    def lane_sizes(self, symbols: U8, bounds: I64, use: U8, codes: U8) -> I64:
        """Return the bytes of each lane of each row under the code it uses, shape (rows, 6)."""

    def encode(self, symbols: U8, bounds: I64, use: U8, codes: U8, lanes: I64, out: U8, offsets: I64) -> None:
        """Encode each row at its offset in `out`."""

    def decode(self, record: U8, data: U8, out: U8) -> None:
        """Fill `out` with the symbols of one coded row."""

    def scan(self, words: U8, word: int, limit: int) -> Scan | None:
        """Return the distinct words, or None where there are more than `limit`."""

    def bitmap(self, words: U8, word: int) -> tuple[U8, int]:
        """Return one bit per word, lowest first, set where the word is not zero; and how many are set."""

    def nonzeros(self, words: U8, word: int, count: int) -> U8:
        """Return the `count` nonzero words in order."""

    def split(self, words: U8, word: int, rotate: bool) -> NDArray[np.uint8]:
        """Return byte planes, shape (word, words), lowest byte first."""

    def merge(self, planes: NDArray[np.uint8], rotate: bool) -> U8:
        """Return words from byte planes."""

    def gaps(self, bitmap: U8, weights: int, chunk: int, bits: int, count: int) -> tuple[U8, I64]:
        """Return the relative indices of the `count` set bits, chunk by chunk, and how many each chunk has. Those of 16
        bits take two bytes each, the lower one first."""

    def codebook(self, columns: Columns, book: int, word: int, rotate: bool, count: int, entries: int, data: U8) -> U8:
        """Return the words of `count` codebooks from their stored bytes; `book` is their offset in `columns.books`."""

    def run_jobs(self, jobs: NDArray[np.int64], columns: Columns, words: U8, data: U8, out: list[U8]) -> None:
        """Decode each job, a row of JOB_FIELDS, to its array of `out`. Positions are 0 (all), 1 (bitmap) or the
        bits of a relative index, of which 16 bits are two streams; values are 0 (bytes), 1 (planes) or 2 (codebook);
        `group` words share one codebook of `entries` words; `stream` asks for writes past the cache."""

    def compare(self, now: U8, base: U8, word: int, transform: int, magnitude: bool) -> tuple[U8, U8]:
        """Return one bit per word, set where it differs from the base's, and what the transform stores of these
        words."""

    def change_jobs(
        self,
        jobs: NDArray[np.int64],
        columns: Columns,
        words: U8,
        data: U8,
        changes: NDArray[np.int64],
        crcs: I64,
        out: list[U8],
    ) -> None:
        """Apply what each job stores to the words of the base in its array of `out`: `changes` has a row of
        CHANGE_FIELDS for each. A chunk is changed as a whole or, if anything about it is refused, not at all; the
        chunks before a refused one are changed."""

    def list_job(self, job: I64, columns: Columns, words: U8, data: U8, count: int) -> tuple[I64, U8]:
        """Return the places, ascending, and the words of all `count` that one job stores."""
