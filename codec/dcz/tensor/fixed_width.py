"""Sizes of layouts without an entropy coder."""

from __future__ import annotations

from dataclasses import dataclass

from dcz.tensor.layout import RELATIVE_BITS


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of one layout: `positions`, `values` (cluster indices or the words themselves) and `codebook`. `fillers`
    counts the relative indices that stand for zeros alone."""

    positions: int
    values: int
    codebook: int = 0
    fillers: int = 0

    @property
    def total(self) -> int:
        """All bytes."""
        return self.positions + self.values + self.codebook


def fixed_width(
    positions: str, words: int, nonzeros: int, fillers: int, word: int, entries: int | None = None, books: int = 1
) -> Size:
    """Return the size of a layout with codes of fixed width.

    A relative index takes b bits, a bitmap a bit a weight, a cluster index ceil(log2 `entries`) bits. Without a
    codebook a value takes all its bits. Codebooks are stored as they are."""
    stored = words if positions == "all" else nonzeros
    bits = {"all": 0, "bitmap": words}.get(positions)
    if bits is None:
        bits = RELATIVE_BITS[positions] * (nonzeros + fillers)
    if entries is None:
        return Size(-(-bits // 8), stored * word, 0, fillers)
    return Size(-(-bits // 8), -(-stored * max(entries - 1, 0).bit_length() // 8), books * entries * word, fillers)
