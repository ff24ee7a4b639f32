"""A clustered tensor: which cluster each weight is in, and the codebooks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.flat import PIECE


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """One tensor's weights as indices into codebooks.

    Attributes:
        codebook: shape (groups, k), in the tensor's dtype, each ascending; shorter ones repeat their last entry.
        indices: the cluster of each nonzero weight in C order, shape (nonzeros,), uint8 or uint16.
        mask: true where a weight is not zero, shape of the tensor.
        group: weights that share a codebook, in C order.
        wcss: within-cluster sum of squares, weighted by the importance if there was one.
        max_error: the greatest difference of a weight to its codebook value.
        rel_error: root of the sum of squared errors over that of the squared weights.
        cosine: of the angle between the tensor before and after.
        bits: what an index takes on average by Huffman's code.
        iterations: rounds of Lloyd's algorithm, of the codebook that took the most.
        converged: whether all of them settled.
        zeroed: weights whose codebook value is zero: the value is closer to zero than to any other.
    """

    codebook: np.ndarray
    indices: NDArray[np.uint8] | NDArray[np.uint16]
    mask: NDArray[np.bool_]
    group: int
    wcss: float
    max_error: float
    rel_error: float
    cosine: float
    bits: float
    iterations: int
    converged: bool
    zeroed: int

    @property
    def k(self) -> int:
        """Entries of the largest codebook."""
        return self.codebook.shape[1]

    def array(self) -> np.ndarray:
        """The clustered tensor: each weight replaced by its codebook value, zeros as zeros."""
        out = np.zeros(self.mask.shape, self.codebook.dtype)
        flat, mask = out.reshape(-1), self.mask.reshape(-1)
        done = 0
        for start, size, book in runs(self.codebook, self.group, self.mask.size):
            part = slice(start, start + size)
            count = int(np.count_nonzero(mask[part]))
            flat[part][mask[part]] = book[self.indices[done : done + count]]
            done += count
        return out


def runs(codebook: np.ndarray, group: int, size: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """A tensor of `size` weights in short pieces, each with one codebook: where it starts, its length, the codebook.

    >>> import numpy
    >>> [(start, length) for start, length, _ in runs(numpy.zeros((2, 4)), 6, 12)]
    [(0, 6), (6, 6)]
    """
    for g, book in enumerate(codebook):
        end = min((g + 1) * group, size)
        for at in range(g * group, end, PIECE):
            yield at, min(PIECE, end - at), book
