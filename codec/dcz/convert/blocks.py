"""Tensors larger than memory: which ones are read in blocks, and how large a block may be.

A model that can read words of a tensor has `in_blocks(name, block)`, which returns them as `StoredWords`; a target that
takes those in place of arrays has `takes_blocks`. Jobs use the same function as `transfer`:

    values = values_of(model, tensor, takes_blocks=True, max_memory=2 * 10**9)
    writer.add(tensor.name, values)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dcz.errors import DczError
from dcz.tensor.words import BLOCK_STEP, StoredWords

if TYPE_CHECKING:
    import numpy as np

    from dcz.convert.model import Tensor

# By default, what packing and unpacking take beside what the process takes anyway.
MAX_MEMORY = 2 * 10**9
# The words that one statistic is about, about: those of a chunk.
_CHUNK = 1 << 16


class Reads(Protocol):
    """Anything that reads tensors by name: a model, or an open dcz file."""

    def read(self, name: str) -> np.ndarray:
        """Return the values of one tensor."""


class Use(NamedTuple):
    """What it takes to use a tensor: `whole` times its bytes where it is read whole; in blocks `fixed` bytes,
    `statistics` bytes for each chunk of words, and for each word of a block `times` its bytes and `more`. A block has
    `least` words or more. `tensors` are used at once, and share the memory."""

    whole: int
    fixed: int
    statistics: int
    times: int
    more: int
    least: int = BLOCK_STEP
    tensors: int = 1


# Encoding holds a part of the segment, histograms of each stream, the words with their planes twice, and a few bytes
# for indices and bits.
ENCODING = Use(whole=4, fixed=32 << 20, statistics=1 << 13, times=4, more=8)


def values_of(
    model: Reads,
    tensor: Tensor,
    *,
    takes_blocks: bool | Callable[[Tensor], bool] = True,
    max_memory: int | None = None,
    use: Use = ENCODING,
) -> np.ndarray | StoredWords:
    """Return the values of a tensor: an array where `max_memory` bytes allow it, else `StoredWords`.

    Without `max_memory` the bound is `MAX_MEMORY`, and a tensor that cannot be read in blocks is read whole. With it
    that is a `DczError`, which says what is needed, as is a bound that is too small for a block."""
    bound = MAX_MEMORY if max_memory is None else max_memory
    whole = use.whole * tensor.nbytes * use.tensors
    if whole <= bound:
        return model.read(tensor.name)
    read = getattr(model, "in_blocks", None)
    takes = takes_blocks(tensor) if callable(takes_blocks) else takes_blocks
    words = read(tensor.name, _block(tensor, bound, use)) if takes and read is not None else None
    if words is None and max_memory is not None:
        raise too_small(tensor, bound, whole, "read whole, as these formats and options need")
    return model.read(tensor.name) if words is None else words


def values_for(target: object, model: Reads, tensor: Tensor, max_memory: int | None) -> np.ndarray | StoredWords:
    """Return the values of a tensor as a target takes them. Its `takes_blocks` may be a function of the tensor; its
    `use`, or that of the model, says what the two take beside the values."""
    takes_blocks = getattr(target, "takes_blocks", False)
    use: Use | None = getattr(target, "use", None)
    use = getattr(model, "use", ENCODING) if use is None else use
    return values_of(model, tensor, takes_blocks=takes_blocks, max_memory=max_memory, use=use or ENCODING)


def _block(tensor: Tensor, bound: int, use: Use) -> int:
    """Return the words of a block."""
    word = tensor.dtype.word
    held = use.fixed + tensor.nbytes // max(word, 1) * use.statistics // _CHUNK
    each = use.times * word + use.more
    needed = use.tensors * (held + use.least * each)
    if needed > bound:
        raise too_small(tensor, bound, needed, "read in blocks")
    return (bound // use.tensors - held) // each


def too_small(tensor: Tensor, bound: int, needed: int, how: str) -> DczError:
    """Return the error of a bound that is too small; `how` the tensor is used."""
    return DczError(
        f"max memory: {bound} bytes are too few for tensor {tensor.name!r:.80} of {tensor.nbytes} bytes, {how}; "
        f"allow {-(-needed // 10**6)}MB or more"
    )
