"""Every cap on what a file may ask for, with its reason, and whether raising it breaks the format.

Caps marked *format* are rules of SPEC: a file beyond them is invalid, and raising one makes files that older
readers refuse as damaged. All others are this library's: raising one lets older versions reject newer files with
`LimitError`, and breaks nothing else.
"""

from __future__ import annotations

import os

# The index is read and decompressed whole before anything else is known of a file, so both lengths are bounded. A byte
# of it can become about twenty of Python objects and arrays: 32 MiB are the chunks of a file of 75 GB.
MAX_INDEX_BYTES = 32 << 20

# Format. What opening costs is bounded by the file's size: an index decompresses to at most half a mebibyte and twice
# the file's length. Every file can keep to it, since an index may be stored uncompressed.
FREE_INDEX_BYTES = 1 << 19
INDEX_EXPANSION = 2

# Numbers of the directory: a byte of it can become forty while it is checked. Two million chunks, of half a terabyte.
MAX_DIRECTORY = 1 << 24

# Format. Lists and maps in the index: an empty one is a byte there and sixty-four here. A file may have 65,536, and
# one more for each 16 bytes of its index.
FREE_CONTAINERS = 1 << 16
BYTES_PER_CONTAINER = 16

# Entries of the index: each costs a Python object or two.
MAX_TENSORS = 1_000_000

# A name is a label, not a document; file systems and other formats stop here too.
MAX_NAME_BYTES = 4096

# numpy's own limit since 2.0 (it was 32).
MAX_DIMENSIONS = 64

# Words of one tensor: leaves room for byte counts and bit counts in 64-bit integers.
MAX_WORDS = 1 << 48

# Format. Symbols of a Huffman-coded row: six lanes of 43,680 symbols of 12 bits are 65,520 bytes each, and lane
# lengths have 16 bits. Codebook planes are cut into rows of so many symbols, whatever their code.
MAX_ROW_SYMBOLS = 262_080

# The index of a sharded model: a million tensors of names a hundred characters long.
MAX_SHARD_INDEX_BYTES = 128 << 20

# Nesting and size of metadata.
MAX_METADATA_DEPTH = 16
MAX_METADATA_BYTES = 16 << 20

# Without `max_bytes`, a file may expand to this multiple of its own size: a pruned and clustered layer of the paper
# expands ninety times, one of which a thousandth is left about a thousand times.
EXPANSION_RATIO = 1024
# Every file, however small, may expand to this: tensors of one value, such as masks, biases and fresh optimizer states,
# expand without bound. It is what a file of one MiB may take by the ratio, decoded in a fraction of a second, and fits
# a machine of two GiB.
FREE_EXPANSION_BYTES = 1 << 30
# Codebooks and kernel scratch that count against no bound. One codebook of 65,536 words of eight bytes with its scratch
# takes two MiB, chunks of a mebiword up to sixteen; only grouped codebooks take more.
WORKING_BYTES = 64 << 20


def max_expansion(file_bytes: int) -> int:
    """Bytes that a file of `file_bytes` may decode to when the caller sets no `max_bytes`."""
    return max(FREE_EXPANSION_BYTES, EXPANSION_RATIO * file_bytes)


def index_bytes_for(file_length: int) -> int:
    """Bytes that the index of a file of this length may have, decompressed."""
    return FREE_INDEX_BYTES + INDEX_EXPANSION * file_length


def containers_for(index_bytes: int) -> int:
    """Lists and maps that an index of this length may have."""
    return FREE_CONTAINERS + index_bytes // BYTES_PER_CONTAINER


def default_max_bytes(file_bytes: int, held: int = 0) -> int:
    """The same for bytes that are in memory at once, and `held` more: no more than the machine has."""
    allowed = max_expansion(file_bytes) + held
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return allowed
    return min(allowed, memory) if memory > 0 else allowed
