"""The sizes of one tensor in every layout."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from dcz.errors import DczError
from dcz.report import crossover, reason
from dcz.report.layouts import KEYS, POSITIONS
from dcz.report.sizes import Chosen, Sizes
from dcz.tensor.fixed_width import Size
from dcz.text import plural, printable
from dcz.vocabulary import layout_title


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the paper for one tensor: bytes, and bits per nonzero of values and of indices."""

    size: int
    weight_bits: float
    index_bits: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A downsampled map of density: `rows` x `columns` cells of 0 (no nonzeros) to 255 (all), row after row."""

    rows: int
    columns: int
    cells: bytes


@dataclass(frozen=True, slots=True)
class Histogram:
    """The distribution of a tensor's nonzero values: `counts` in bins of equal width from `low` to `high`. `outside`
    counts values beyond both ends and those that are not finite."""

    low: float
    high: float
    counts: tuple[int, ...]
    outside: int


_NOTHING = Size(0, 0)


@dataclass(frozen=True)
class TensorStorage:
    """One tensor in every layout. `weights` are the numbers it is made of (two to a complex element).

    `same_as` names an earlier tensor with the same words: `auto` and all other layouts of dcz store them once."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sizes: Sizes
    cluster_names: tuple[str, ...]
    picture: Picture | None
    histogram: Histogram | None = None
    same_as: str | None = None

    @property
    def weights(self) -> int:
        return self.sizes.words

    @property
    def nonzeros(self) -> int:
        return self.sizes.nonzeros

    @property
    def density(self) -> float:
        """The fraction of weights that are not zero; 0 where there are none."""
        return self.nonzeros / self.weights if self.weights else 0.0

    @property
    def dense(self) -> int:
        """Bytes of the array."""
        return self.sizes.dense

    @property
    def clusters(self) -> int | None:
        """Entries of the codebook of nonzeros; None where none of at most 256 pays."""
        return len(self.sizes.clusters.counts) if self.sizes.clusters else None

    @property
    def auto(self) -> Chosen:
        """The layout that `auto` chooses."""
        chosen = self.sizes.profiles["auto"]
        return chosen if self.same_as is None else replace(chosen, size=_NOTHING)

    @cached_property
    def auto_layout(self) -> str:
        """Its layout for tables."""
        if self.same_as is not None:
            return f"same as {printable(self.same_as, 40)}"
        return layout_title(self.auto.positions, self.auto.values, self.auto.codes)

    @cached_property
    def reason(self) -> str:
        """Why, in a phrase."""
        return "equal words are stored once" if self.same_as is not None else reason.phrase(self.sizes)

    def size(self, layout: str) -> Size:
        """The bytes of one of `LAYOUTS`."""
        if layout == "dense":
            return Size(0, self.sizes.dense)
        if layout == "csr32":
            word = self.dense // self.weights if self.weights else 0
            return Size(self.sizes.csr32 - self.nonzeros * word, self.nonzeros * word)
        if layout not in KEYS:
            raise DczError(f"layout: {layout!r} is unknown; expected one of {', '.join(KEYS)}")
        if self.same_as is not None:
            return _NOTHING
        if layout == "entropy":
            return self.sizes.entropy
        if layout == "auto":
            return self.auto.size
        kind, _, coder = layout.partition("+")
        family = self.sizes.huffman if coder else self.sizes.fixed
        return family[POSITIONS[kind]]

    @property
    def leftover(self) -> bool:
        """True if `auto` stores it without positions or codebook: it is neither pruned nor clustered."""
        return self.auto.positions == "all" and self.auto.values != "codebook"

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight that `auto` takes."""
        return 8 * self.auto.size.total / self.weights if self.weights else 0.0

    @property
    def ratio(self) -> float:
        """Dense bytes per byte that `auto` takes."""
        taken = self.auto.size.total
        return self.dense / taken if taken else math.inf if self.dense else 1.0

    # -- where CSR and bitmap cross

    @property
    def correlation(self) -> float:
        """Between a weight's being nonzero and its successor's."""
        return crossover.correlation(self.density, self.sizes.adjacent)

    @property
    def curves(self) -> crossover.Curves:
        """Expected positions over density, for masks of this correlation."""
        return crossover.curves(round(self.correlation, 2))

    @property
    def crossover(self) -> float | None:
        """The density above which a Huffman-coded bitmap is smaller than Huffman-coded 8-bit gaps, for masks as
        correlated as this one; None where they never cross or the tensor has no zeros or nothing else."""
        return self.curves.crossover() if 0 < self.nonzeros < self.weights else None

    def bits_per_nonzero(self, layout: str) -> tuple[float, float]:
        """Bits per nonzero of positions and of values, codebook included."""
        size = self.size(layout)
        return (
            (8 * size.positions / self.nonzeros, 8 * (size.total - size.positions) / self.nonzeros)
            if self.nonzeros
            else (0.0, 0.0)
        )

    # -- the paper's stages

    @property
    def paper(self) -> str:
        """The positions that the `paper` profile has: the smaller of 4- and 5-bit gaps once coded."""
        return min(("relative5", "relative4"), key=lambda kind: self.sizes.huffman[kind].total)

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """The stages of Han et al. 2016, Tables 2 to 5: P has pruned weights at full width and gaps of 4 or 5 bits,
        P+Q cluster indices of fixed width, P+Q+H the Huffman codes of both."""
        fixed, coded = self.sizes.fixed[self.paper], self.sizes.huffman[self.paper]
        word = self.dense // self.weights if self.weights else 0
        pruned = Size(fixed.positions, self.nonzeros * word, 0, fixed.fillers)
        return {"P": self._stage(pruned), "P+Q": self._stage(fixed), "P+Q+H": self._stage(coded)}

    def _stage(self, size: Size) -> Stage:
        if not self.nonzeros:
            return Stage(size.total, 0.0, 0.0)
        return Stage(size.total, 8 * size.values / self.nonzeros, 8 * size.positions / self.nonzeros)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        return (
            f"<dcz.TensorStorage {printable(self.name, 60)}: {self.dtype} {shape}, {100 * self.density:.1f}% nonzero, "
            f"{self.auto_layout}, {plural(self.auto.size.total, 'byte')}, {self.bits_per_weight:.2f} bits/weight>"
        )
