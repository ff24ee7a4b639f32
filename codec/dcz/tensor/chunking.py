"""How many weights make a chunk (SPEC 4): a choice of the writer, stored with each tensor."""

from __future__ import annotations

# Symbols a chunk's longest stream should have: lanes and directory cost 0.05 %, a table's statistics
# are settled, and the symbols stay in the second-level cache between decoding and expanding.
TARGET_SYMBOLS = 65_536
# A stored-as-it-is chunk: large enough to copy at full speed, small enough to checksum in the cache.
TARGET_BYTES = 1 << 20
MAX_CHUNK = 1 << 20
STEP = 512


def chunk_for(weights: int, symbols: int) -> int:
    """Return the weights per chunk where all `weights` have `symbols` symbols: equal chunks, multiples of STEP."""
    target = min(MAX_CHUNK, max(STEP, TARGET_SYMBOLS * weights // max(symbols, 1)))
    return even_chunk(weights, target)


def chunk_for_bytes(weights: int, word: int) -> int:
    """Return the weights per chunk of a tensor that is stored as it is."""
    return even_chunk(weights, TARGET_BYTES // word)


def even_chunk(weights: int, target: int) -> int:
    """Return the weights per chunk of equal chunks near `target` weights."""
    chunks = max(1, (weights + target // 2) // target, -(-weights // MAX_CHUNK))
    chunk = -(-weights // chunks)
    return max(STEP, -(-chunk // STEP) * STEP)


def chunk_count(weights: int, chunk: int) -> int:
    """Return the number of chunks."""
    return -(-weights // chunk)
