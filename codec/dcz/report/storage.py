"""Sizes of a model in every layout: the data behind `dcz compare`'s tables, pages and figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dcz.errors import DczError
from dcz.report import crossover, reason
from dcz.report.sizes import Chosen, Sizes
from dcz.tensor.fixed_width import Size
from dcz.tensor.titles import layout_title

# Layouts as tables list them: key, title, what it is.
LAYOUTS = (
    ("dense", "dense", "the arrays as they are in memory"),
    ("csr32", "CSR, 32-bit indices", "values, 32-bit columns, row pointers: the paper's 2a + n + 1 numbers"),
    ("relative4", "CSR, 4-bit gaps", "relative indices of 4 bits and cluster indices, of fixed width"),
    ("relative5", "CSR, 5-bit gaps", "relative indices of 5 bits and cluster indices, of fixed width"),
    ("relative8", "CSR, 8-bit gaps", "relative indices of 8 bits and cluster indices, of fixed width"),
    ("bitmap", "bitmap", "a bit a weight and cluster indices, of fixed width"),
    ("palette", "palette", "a cluster index for every weight, of fixed width"),
    ("relative4+huffman", "CSR, 4-bit gaps + Huffman", "the same, Huffman-coded"),
    ("relative5+huffman", "CSR, 5-bit gaps + Huffman", "the same, Huffman-coded"),
    ("relative8+huffman", "CSR, 8-bit gaps + Huffman", "the same, Huffman-coded"),
    ("bitmap+huffman", "bitmap + Huffman", "the same, Huffman-coded"),
    (
        "palette+huffman",
        "palette + Huffman",
        "every weight's cluster index, zero being one more, Huffman-coded",
    ),
    (
        "entropy",
        "order-0 entropy",
        "positions and values at their entropy, without codebooks: what counting symbols can reach",
    ),
    ("auto", "auto", "the smallest of all, tensor by tensor: what dcz pack stores"),
)
KEYS = tuple(key for key, _, _ in LAYOUTS)
TITLES = {key: title for key, title, _ in LAYOUTS}
_KIND = {"palette": "all"}


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


@dataclass(frozen=True)
class TensorStorage:
    """One tensor in every layout. `weights` are the numbers it is made of (two to a complex element)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    sizes: Sizes
    cluster_names: tuple[str, ...]
    picture: Picture | None

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
        return self.sizes.profiles["auto"]

    @cached_property
    def auto_layout(self) -> str:
        """Its layout for tables."""
        return layout_title(self.auto.positions, self.auto.values, self.auto.codes)

    @cached_property
    def reason(self) -> str:
        """Why, in a phrase."""
        return reason.phrase(self.sizes)

    def size(self, layout: str) -> Size:
        """The bytes of one of `LAYOUTS`."""
        if layout == "dense":
            return Size(0, self.sizes.dense)
        if layout == "csr32":
            word = self.dense // self.weights if self.weights else 0
            return Size(self.sizes.csr32 - self.nonzeros * word, self.nonzeros * word)
        if layout == "entropy":
            return self.sizes.entropy
        if layout == "auto":
            return self.auto.size
        kind, _, coder = layout.partition("+")
        family = self.sizes.huffman if coder else self.sizes.fixed
        if _KIND.get(kind, kind) not in family:
            raise DczError(f"layout: {layout!r} is unknown; expected one of {', '.join(KEYS)}")
        return family[_KIND.get(kind, kind)]

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


@dataclass(frozen=True)
class StorageReport:
    """A model in every layout: what `dcz.compare` returns.

    `tensors` are in the order of their names; `aliases` are second names of some, whose bytes count once.
    """

    source: str
    tensors: tuple[TensorStorage, ...]
    aliases: dict[str, str]

    def __getitem__(self, name: str) -> TensorStorage:
        wanted = self.aliases.get(name, name)
        for tensor in self.tensors:
            if tensor.name == wanted:
                return tensor
        some = ", ".join(tensor.name for tensor in self.tensors[:8])
        raise KeyError(f"no tensor {name!r} among the {len(self.tensors)} of the report: {some}")

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def weights(self) -> int:
        """Weights of all tensors."""
        return sum(tensor.weights for tensor in self.tensors)

    @property
    def nonzeros(self) -> int:
        """Those that are not zero."""
        return sum(tensor.nonzeros for tensor in self.tensors)

    def total(self, layout: str) -> Size:
        """The bytes of one of `LAYOUTS`, all tensors together."""
        sizes = [tensor.size(layout) for tensor in self.tensors]
        return Size(
            *(sum(getattr(size, part) for size in sizes) for part in ("positions", "values", "codebook", "fillers"))
        )

    def profile(self, profile: str) -> int:
        """Bytes of all segments in a file that is packed with this profile; the index comes on top."""
        return sum(tensor.sizes.profiles[profile].size.total for tensor in self.tensors)

    def parts(self, layout: str) -> dict[str, int]:
        """A layout's bytes by purpose. Values of tensors that `auto` neither prunes nor clusters are `dense`."""
        out = {"positions": 0, "indices": 0, "codebooks": 0, "dense": 0}
        for tensor in self.tensors:
            size = tensor.size(layout)
            out["positions"] += size.positions
            out["dense" if tensor.leftover or layout == "dense" else "indices"] += size.values
            out["codebooks"] += size.codebook
        return out

    def stages(self) -> dict[str, Stage]:
        """The paper's stages over all tensors."""
        out = {}
        for stage in ("P", "P+Q", "P+Q+H"):
            each = [(tensor.stages[stage], tensor.nonzeros) for tensor in self.tensors]
            count = max(self.nonzeros, 1)
            out[stage] = Stage(
                sum(stage.size for stage, _ in each),
                sum(stage.weight_bits * n for stage, n in each) / count,
                sum(stage.index_bits * n for stage, n in each) / count,
            )
        return out

    def __repr__(self) -> str:
        auto, dense = self.total("auto").total, self.total("dense").total
        ratio = f", {dense / auto:.2f} times smaller than dense" if auto else ""
        return f"<dcz.StorageReport {self.source}: {len(self)} tensors, auto takes {auto} bytes{ratio}>"

    def _repr_html_(self) -> str:
        from dcz.report.notebook import comparison

        return comparison(self)
