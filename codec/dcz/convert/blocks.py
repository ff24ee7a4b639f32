"""Tensors larger than memory: which ones are read in blocks, and how large a block may be.

A model that can read words of a tensor has `in_blocks(name, block)`, which returns them as `StoredWords`; a target that
takes those in place of arrays has `takes_blocks`. Jobs use the same function as `transfer`:

    values = values_of(model, tensor, takes_blocks=True, max_memory=2 * 10**9)
    writer.add(tensor.name, values)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcz.errors import DczError
from dcz.tensor.words import BLOCK_STEP, StoredWords

if TYPE_CHECKING:
    import numpy as np

    from dcz.convert.model import Model, Tensor

# By default, what packing and unpacking take beside what the process takes anyway.
MAX_MEMORY = 2 * 10**9
# An array in memory is read, analysed and encoded in at most so many times its bytes.
_WHOLE = 4
# Bytes that every tensor takes: a part of a segment, and buffers.
_FIXED = 32 << 20
# Bytes of statistics for each chunk of words: histograms of each stream that is looked at.
_CHUNK, _STATISTICS = 1 << 16, 1 << 13


def values_of(
    model: Model, tensor: Tensor, *, takes_blocks: bool = True, max_memory: int | None = None
) -> np.ndarray | StoredWords:
    """Return the values of a tensor: an array where `max_memory` bytes allow it, else `StoredWords`.

    Without `max_memory` the bound is `MAX_MEMORY`, and a tensor that cannot be read in blocks is read whole. With it
    that is a `DczError`, which says what is needed, as is a bound that is too small for a block."""
    bound = MAX_MEMORY if max_memory is None else max_memory
    if _WHOLE * tensor.nbytes <= bound:
        return model.read(tensor.name)
    read = getattr(model, "in_blocks", None)
    words = read(tensor.name, _block(tensor, bound)) if takes_blocks and read is not None else None
    if words is None and max_memory is not None:
        raise _too_small(tensor, bound, _WHOLE * tensor.nbytes, "read whole, as these formats and options need")
    return model.read(tensor.name) if words is None else words


def _block(tensor: Tensor, bound: int) -> int:
    """Return the words of a block. Each takes its own bytes, its planes twice, and a few for indices and bits."""
    word = tensor.dtype.word
    held = _FIXED + tensor.nbytes // max(word, 1) * _STATISTICS // _CHUNK
    each = 4 * word + 8
    if held + BLOCK_STEP * each > bound:
        raise _too_small(tensor, bound, held + BLOCK_STEP * each, "read in blocks")
    return (bound - held) // each


def _too_small(tensor: Tensor, bound: int, needed: int, how: str) -> DczError:
    return DczError(
        f"max memory: {bound} bytes are too few for tensor {tensor.name!r:.80} of {tensor.nbytes} bytes, {how}; "
        f"allow {-(-needed // 10**6)}MB or more"
    )
