"""What a tensor takes in every layout, exactly, without writing any: what reports are made of (SPEC 3.4).

The sizes with Huffman codes are those that `choose` compares; those of fixed width are what the same layout
would take without an entropy coder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.container.summary import noise_bytes
from dcz.dtypes import Dtype
from dcz.kernels.interface import SYMBOLS
from dcz.tensor import choose
from dcz.tensor.choose import PROFILES, Encoding
from dcz.tensor.fixed_width import Size, fixed_width
from dcz.tensor.layout import POSITIONS, position_streams
from dcz.tensor.streams import Analysis
from dcz.tensor.words import WordSource

# Positions that are compared, in the order of tables.
KINDS = ("relative4", "relative5", "relative8", "bitmap", "all")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice of a profile: its layout's name, the coders of its streams, the bytes of the segment, and those of
    its values that coding does not shrink."""

    positions: str
    values: str
    codes: tuple[str, ...]
    size: Size
    noise: int = 0


@dataclass(frozen=True, slots=True)
class CodebookUse:
    """The codebook of nonzero values: their words in codebook order, how often each occurs, and the length of its
    code, in bits, under the code most chunks use (zero where that is not a Huffman code)."""

    words: NDArray[Any]
    counts: NDArray[np.int64]
    lengths: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sizes:
    """A tensor's sizes. `fixed` and `huffman` have one entry for each of `KINDS`; `profiles` one for each profile.

    `distinct` counts the distinct nonzero words, `clusters` those of a codebook of at most 256 that pays; both are
    None where there are too many. `adjacent` is how often a weight and its successor are both nonzero."""

    words: int
    nonzeros: int
    distinct: int | None
    dense: int
    csr32: int
    fixed: dict[str, Size]
    huffman: dict[str, Size]
    entropy: Size
    profiles: dict[str, Chosen]
    clusters: CodebookUse | None
    adjacent: float


def measure(words: WordSource) -> Sizes:
    """The sizes of a tensor in every layout."""
    analysis = Analysis(words)
    dense, rows = words.nbytes, words.shape[0] if words.shape else 1
    if analysis.count == 0:
        nothing, chosen = Size(0, 0), _chosen(choose.empty(), 0)
        same = dict.fromkeys(KINDS, nothing)
        return Sizes(0, 0, 0, 0, 4 * (rows + 1), same, same, nothing, dict.fromkeys(PROFILES, chosen), None, 0.0)
    whole = choose.as_it_is(analysis)
    found = list(choose.contenders(analysis, (*KINDS, "relative16")))
    of = {kind: [encoding for encoding in found if encoding.positions == kind] for kind in POSITIONS}
    best = {kind: min(of[kind], key=attrgetter("cost")) for kind in KINDS}
    clusters = _clusters(best["bitmap"])
    profiles = {
        profile: choose.least(
            analysis,
            profile in choose.ZSTD_PROFILES,
            whole,
            chain.from_iterable(map(of.__getitem__, kinds)),
        )
        if profile != "raw"
        else whole
        for profile, kinds in PROFILES.items()
    }
    huffman = {kind: segment(encoding) for kind, encoding in best.items()}
    return Sizes(
        words=analysis.count,
        nonzeros=analysis.nonzeros,
        distinct=_distinct(analysis),
        dense=dense,
        csr32=analysis.nonzeros * (words.dtype.word + 4) + 4 * (rows + 1),
        fixed={kind: _fixed(encoding, analysis, huffman[kind].fillers) for kind, encoding in best.items()},
        huffman=huffman,
        entropy=_entropy(analysis, best),
        profiles={
            profile: _chosen(encoding, _values_bytes(encoding, analysis)) for profile, encoding in profiles.items()
        },
        clusters=clusters,
        adjacent=_adjacent(best["bitmap"], analysis.count),
    )


def segment(encoding: Encoding) -> Size:
    """Bytes of an encoding's segment."""
    sizes = [stream.stored for stream in encoding.streams]
    positions = position_streams(encoding.positions) if sizes else 0
    fillers = int(encoding.fillers.sum()) if encoding.fillers is not None else 0
    return Size(sum(sizes[:positions]), sum(sizes[positions:]), _book(encoding), fillers)


def _book(encoding: Encoding) -> int:
    """Stored bytes of the codebook."""
    return sum([plane.stored for plane in encoding.codebook.planes]) if encoding.codebook else 0


def _fixed(encoding: Encoding, analysis: Analysis, fillers: int) -> Size:
    book, dtype = encoding.codebook, analysis.dtype
    shared = -(-analysis.count // book.group) if book and book.group else 1
    return fixed_width(
        encoding.positions,
        analysis.count,
        analysis.nonzeros,
        fillers,
        dtype.word,
        book.entries if book else None,
        shared,
    )


def _chosen(encoding: Encoding, whole: int) -> Chosen:
    codes = dict.fromkeys([code.kind for stream in encoding.streams for code in stream.codes])
    values = [stream.stored for stream in encoding.streams[position_streams(encoding.positions) :]]
    noise = 0 if encoding.values == "codebook" or not values else noise_bytes(values, whole // len(values))
    return Chosen(encoding.positions, encoding.values, tuple(codes), segment(encoding), noise)


def _values_bytes(encoding: Encoding, analysis: Analysis) -> int:
    """Bytes of the values that a layout stores, before they are coded."""
    return (analysis.count if encoding.positions == "all" else analysis.nonzeros) * analysis.dtype.word


def _distinct(analysis: Analysis) -> int | None:
    if analysis.dtype.word == 1:
        return sum(1 for count in _byte_counts(analysis)[1:] if count)
    return None if analysis.keys is None else len(analysis.keys)


def _byte_counts(analysis: Analysis) -> NDArray[np.int64]:
    return analysis.planes(False)[0].histograms.sum(axis=0, dtype=np.int64)


def _entropy(analysis: Analysis, best: Mapping[str, Encoding]) -> Size:
    """The order-0 floor: positions as independent events, values as independent draws from a codebook, which counts
    with its stored bytes. Where no codebook pays each byte plane is drawn on its own."""
    n, nonzeros = analysis.count, analysis.nonzeros
    positions = _bytes(bits(np.array([nonzeros, n - nonzeros])))
    found = None
    with_book = [encoding for encoding in best.values() if encoding.codebook and not encoding.codebook.group]
    if with_book and analysis.keys is not None:
        drawn = bits(analysis.key_counts) if nonzeros else 0.0
        found = Size(positions, _bytes(drawn), min(_book(encoding) for encoding in with_book))
        if 4 * found.codebook <= found.values:  # no planes take less
            return found
    planes = sum(bits(plane.histograms.sum(axis=0, dtype=np.int64)) for plane in analysis.planes(True))
    without = Size(positions, _bytes(planes))
    return without if found is None else min(found, without, key=attrgetter("total"))


def _bytes(of_bits: float) -> int:
    return int(np.ceil(of_bits / 8))


def bits(counts: NDArray[Any]) -> float:
    """Bits that as many symbols take together at their entropy."""
    counts = counts[counts > 0].astype(np.float64)
    return float(-(counts * np.log2(counts / counts.sum())).sum()) if len(counts) > 1 else 0.0


def _clusters(encoding: Encoding) -> CodebookUse | None:
    book = encoding.codebook
    if book is None or book.group or book.entries > SYMBOLS or not encoding.streams:
        return None
    stream = encoding.streams[-1]
    counts = stream.symbols.histograms.sum(axis=0, dtype=np.int64)[: book.entries]
    most = int(np.bincount(stream.use).argmax())
    return CodebookUse(book.words, counts, stream.codes[most].code_lengths()[: book.entries])


def _adjacent(encoding: Encoding, words: int) -> float:
    """From the bitmap's bytes: seven of eight pairs lie within one."""
    counts = encoding.streams[0].symbols.histograms.sum(axis=0, dtype=np.int64)
    pairs = max(7 * (words // 8) + max(words % 8 - 1, 0), 1)
    return float(counts @ _PAIRS) / pairs


_PAIRS = np.array([bin(i & i >> 1).count("1") for i in range(SYMBOLS)], np.int64)


def value_names(words: NDArray[Any], dtype: Dtype) -> list[str]:
    """Codebook words as numbers for people; a complex codebook holds parts of numbers."""
    plain = np.ascontiguousarray(words)
    if dtype.words == 2:
        return [f"{value:.6g}" for value in plain.view(f"<f{dtype.word}").tolist()]
    return [f"{float(value):.6g}" for value in plain.view(dtype.numpy())]
