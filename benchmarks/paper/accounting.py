"""The paper's arithmetic (sections 2 to 4), layer by layer: what cluster and relative indices take, with and without
Huffman coding.

The conventions are those the published numbers and the public decoder agree on: positions run through the whole tensor
in C order; a gap beyond 2^b takes filler entries, each of them a relative index and a cluster index of zero; the
codebook has 2^bits words of 32 bits, entry zero being zero; biases and the Huffman codes' own tables are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from bitarray.util import huffman_code
from numpy.typing import NDArray

I64 = NDArray[np.int64]
WORD = 32  # bits of a dense weight, and of a codebook's word


@dataclass(frozen=True)
class Layer:
    """A pruned and clustered layer. Sizes are in bits; `weight_pqh` and `index_pqh` are bits an entry on average."""

    name: str
    weights: int
    nonzeros: int
    fillers: int
    weight_pq: int
    weight_pqh: float
    index_pq: int
    index_pqh: float

    @property
    def entries(self) -> int:
        """What is stored: nonzeros and fillers."""
        return self.nonzeros + self.fillers

    @property
    def kept(self) -> float:
        """Weights kept, in %."""
        return 100 * self.nonzeros / self.weights

    @property
    def codebook(self) -> int:
        return WORD << self.weight_pq

    @property
    def bits_pq(self) -> float:
        return self.entries * (self.weight_pq + self.index_pq) + self.codebook

    @property
    def bits_pqh(self) -> float:
        return self.entries * (self.weight_pqh + self.index_pqh) + self.codebook

    @property
    def rate_pq(self) -> float:
        """% of the dense layer, pruned and quantized."""
        return 100 * self.bits_pq / (WORD * self.weights)

    @property
    def rate_pqh(self) -> float:
        """% of the dense layer, Huffman-coded too."""
        return 100 * self.bits_pqh / (WORD * self.weights)

    @property
    def huffman_saving(self) -> float:
        """% of P+Q that Huffman coding saves."""
        return 100 * (1 - self.bits_pqh / self.bits_pq)


@dataclass(frozen=True)
class Network:
    """All layers of a network together: the last line of the paper's tables."""

    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def kept(self) -> float:
        return 100 * sum(layer.nonzeros for layer in self.layers) / self.weights

    @property
    def rate_pq(self) -> float:
        return 100 * sum(layer.bits_pq for layer in self.layers) / (WORD * self.weights)

    @property
    def rate_pqh(self) -> float:
        return 100 * sum(layer.bits_pqh for layer in self.layers) / (WORD * self.weights)

    @property
    def huffman_saving(self) -> float:
        return 100 * (1 - self.rate_pqh / self.rate_pq)

    def per_entry(self, field: str) -> float:
        """Mean of a layer's number over all entries: `weight_pq`, `weight_pqh`, `index_pq` or `index_pqh`."""
        entries = sum(layer.entries for layer in self.layers)
        return sum(getattr(layer, field) * layer.entries for layer in self.layers) / entries


def account(name: str, array: NDArray, index_bits: int = 5) -> Layer:
    """What the paper would need for an array of few distinct nonzeros."""
    flat = array.reshape(-1)
    gaps, stored = relative(np.flatnonzero(flat), index_bits)
    words, codes = np.unique(flat[flat != 0], return_inverse=True)
    entries = np.zeros(len(gaps), np.int64)
    entries[stored] = codes + 1
    return Layer(
        name=name,
        weights=flat.size,
        nonzeros=len(codes),
        fillers=len(gaps) - len(codes),
        weight_pq=max(len(words).bit_length(), 1),
        weight_pqh=mean_bits(entries),
        index_pq=index_bits,
        index_pqh=mean_bits(gaps),
    )


def network(tensors: Iterable[tuple[str, NDArray]], index_bits: int = 5) -> Network:
    """The layers of a network, given as names and weights."""
    return Network(tuple(account(name, array, index_bits) for name, array in tensors))


def relative(positions: I64, bits: int) -> tuple[I64, NDArray[np.bool_]]:
    """Relative indices (the gap less one) of ascending positions, and which of them have a weight: the others are
    fillers, each of which moves on by 2^bits."""
    skipped = np.diff(positions, prepend=-1) - 1
    fillers = skipped >> bits
    ends = np.cumsum(fillers + 1) - 1
    total = int(ends[-1]) + 1 if len(ends) else 0
    out = np.full(total, (1 << bits) - 1, np.int64)
    out[ends] = skipped & ((1 << bits) - 1)
    stored = np.zeros(total, bool)
    stored[ends] = True
    return out, stored


def mean_bits(symbols: I64) -> float:
    """Bits a symbol takes on average by Huffman's code; none where there is but one."""
    values, counts = np.unique(symbols, return_counts=True)
    if len(values) < 2:
        return 0.0
    code = huffman_code(dict(zip(values.tolist(), counts.tolist())))
    return sum(len(code[v]) * c for v, c in zip(values.tolist(), counts.tolist())) / len(symbols)
