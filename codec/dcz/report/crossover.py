"""Expected size of positions at any density, and the crossover of relative indices and bitmaps.

The mask is a two-state chain: of a given density, and with a given correlation between a weight and its
successor (0 for independent positions). Code lengths are those of real Huffman codes, so the expectation
is what the coder would reach on a large mask of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dcz.entropy import tables
from dcz.kernels.interface import SYMBOLS
from dcz.tensor.layout import NARROW_BITS

# Densities of the curves: half a percent to nearly all.
DENSITIES = np.round(np.concatenate([np.geomspace(0.005, 0.1, 20, endpoint=False), np.linspace(0.1, 0.995, 60)]), 5)
# Symbols of a mask: those that are too rare to occur among a million have no code.
_SCALE = 1e6
_BITS = np.unpackbits(np.arange(SYMBOLS, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(bool)


@dataclass(frozen=True, slots=True)
class Curves:
    """Bits of positions per weight at each of `DENSITIES`. `fixed` and `huffman` have relative4, relative5,
    relative8 and bitmap; `entropy` is the chain's own."""

    fixed: dict[str, NDArray[np.float64]]
    huffman: dict[str, NDArray[np.float64]]
    entropy: NDArray[np.float64]

    def crossover(self, coded: bool = True, relative: str = "relative8") -> float | None:
        """The density above which a bitmap is never larger than relative indices; None where they do not cross."""
        family = self.huffman if coded else self.fixed
        gain = family[relative] - family["bitmap"]
        after = np.flatnonzero((gain[:-1] < 0) & (gain[1:] >= 0))
        if not len(after):
            return None
        i = int(after[-1])
        step = gain[i] / (gain[i] - gain[i + 1])
        return float(DENSITIES[i] + step * (DENSITIES[i + 1] - DENSITIES[i]))


def correlation(density: float, adjacent: float) -> float:
    """Between a weight's being nonzero and its successor's: 0 for independent positions, 1 for long runs."""
    spread = density * (1 - density)
    return float(np.clip((adjacent - density * density) / spread, -1, 1)) if spread > 0 else 0.0


@lru_cache(maxsize=512)
def curves(rounded: float = 0.0) -> Curves:
    """The curves of masks of this correlation; round it to hundredths, so that they are computed once."""
    kinds = (*NARROW_BITS, "bitmap")
    fixed: dict[str, list[float]] = {kind: [] for kind in kinds}
    huffman: dict[str, list[float]] = {kind: [] for kind in kinds}
    entropy = []
    for density in DENSITIES.tolist():
        stay, rest = _chain(density, rounded)
        entropy.append(density * _entropy(stay) + (1 - density) * _entropy(rest))
        for kind, width in NARROW_BITS.items():
            symbols = _gaps(stay, rest, width)
            fixed[kind].append(density * width * symbols.sum())
            huffman[kind].append(density * _coded(symbols))
        fixed["bitmap"].append(1.0)
        huffman["bitmap"].append(_coded(_bytes(density, stay, rest)) / 8)
    return Curves(_arrays(fixed), _arrays(huffman), np.array(entropy))


def _arrays(family: dict[str, list[float]]) -> dict[str, NDArray[np.float64]]:
    return {kind: np.array(values) for kind, values in family.items()}


def _chain(density: float, rho: float) -> tuple[float, float]:
    """Probabilities that a nonzero follows a nonzero, and a zero a zero. Correlation below what the density allows is
    raised to that."""
    least = -min(density / (1 - density), (1 - density) / density)
    rho = min(max(rho, least), 0.999)
    return density + rho * (1 - density), 1 - density * (1 - rho)


def _entropy(p: float) -> float:
    return 0.0 if p <= 0 or p >= 1 else float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def _gaps(stay: float, rest: float, width: int) -> NDArray[np.float64]:
    """Expected relative indices per nonzero, by symbol; the highest is the filler (SPEC 3.1)."""
    filler = (1 << width) - 1
    out = np.zeros(SYMBOLS)
    leave = 1 - stay
    wraps = 1 - rest**filler
    out[0] = stay + (leave * (1 - rest) * rest ** (filler - 1) / wraps if wraps > 0 else 0)
    if wraps > 0:
        out[1:filler] = leave * (1 - rest) * rest ** np.arange(filler - 1) / wraps
        out[filler] = leave * rest ** (filler - 1) / wraps
    return out


def _bytes(density: float, stay: float, rest: float) -> NDArray[np.float64]:
    """The probability of each byte of the bitmap."""
    out = np.where(_BITS[:, 0], density, 1 - density)
    for i in range(1, 8):
        before, here = _BITS[:, i - 1], _BITS[:, i]
        out = out * np.where(before, np.where(here, stay, 1 - stay), np.where(here, 1 - rest, rest))
    return out


def _coded(expected: NDArray[np.float64]) -> float:
    """Bits of these symbols under their Huffman code."""
    counts = np.rint(expected * _SCALE).astype(np.uint64)
    return float(expected @ tables.lengths_of(counts).astype(np.float64)) if np.count_nonzero(counts) > 1 else 0.0
