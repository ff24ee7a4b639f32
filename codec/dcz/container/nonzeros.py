"""The nonzeros of a chunk: where they are, and which words or clusters they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.decode import Decoder
from dcz.kernels.interface import I64, U8
from dcz.tensor.layout import VALUES


class ChunkNonzeros(NamedTuple):
    """Nonzero words of a chunk: their `positions` in the tensor, ascending, the `words`, and where they are asked for,
    the `clusters` they are in, which number the entries of the tensor's codebook."""

    positions: I64
    words: NDArray[Any]
    clusters: NDArray[np.uint16] | None


def chunk_nonzeros(decoder: Decoder, t: int, number: int, data: U8, *, clusters: bool = False) -> ChunkNonzeros:
    """The nonzeros of chunk `number` of tensor `t` from its stored bytes; `decoder.prepare` has been called for `t`.

    The chunk is made dense as for an array, so everything that decoding refuses is refused here. `clusters` are given
    for a tensor with codebooks alone."""
    c = decoder.columns
    first = number * int(c.chunk[t])
    count = min(int(c.chunk[t]), int(c.weights[t]) - first)
    dense = np.empty(count, f"<u{c.word[t]}")
    if not clusters or c.values[t] != VALUES["codebook"]:
        decoder.decode_part(t, number, number + 1, data, dense.view(np.uint8))
        positions = np.flatnonzero(dense != 0)
        return ChunkNonzeros(first + positions, dense[positions], None)
    decoder.decode_clusters(t, number, number + 1, data, dense.view(np.uint8))
    positions = np.flatnonzero(dense != 0)
    found = (dense[positions] - 1).astype(np.uint16)
    positions += first
    group = positions // c.group[t] if c.group[t] else 0
    words = decoder.codebook(t)[group, found]
    kept = words != 0  # a codebook may have an entry that is zero
    if kept.all():
        return ChunkNonzeros(positions, words, found)
    return ChunkNonzeros(positions[kept], words[kept], found[kept])
