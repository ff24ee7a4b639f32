"""What a layout would take without an entropy coder."""

from __future__ import annotations

from dataclasses import dataclass

from dcz.tensor.layout import RELATIVE_BITS


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of one layout: `positions`, `values` (cluster indices or the words themselves), `codebook`. `fillers`
    are the relative indices that stand for zeros alone, counted, not bytes."""

    positions: int
    values: int
    codebook: int = 0
    fillers: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.positions + self.values + self.codebook


def fixed_width(
    positions: str, words: int, nonzeros: int, fillers: int, word: int, entries: int | None = None, books: int = 1
) -> Size:
    """The same layout with codes of fixed width: b bits a relative index, a bit a weight of a bitmap,
    ceil(log2 `entries`) bits a cluster index (without codebook all bits of the value), codebooks as they are."""
    stored = words if positions == "all" else nonzeros
    bits = {"all": 0, "bitmap": words}.get(positions)
    if bits is None:
        bits = RELATIVE_BITS[positions] * (nonzeros + fillers)
    if entries is None:
        return Size(-(-bits // 8), stored * word, 0, fillers)
    return Size(-(-bits // 8), -(-stored * max(entries - 1, 0).bit_length() // 8), books * entries * word, fillers)
