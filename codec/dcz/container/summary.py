"""A file's bytes by tensor and by purpose, from its index alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dcz.container.info import Described, TensorInfo
from dcz.tensor import fixed_width as widths
from dcz.tensor.layout import Layout, position_streams
from dcz.text import printable
from dcz.vocabulary import layout_title, stored_title

# Streams that keep at least this share of their bytes when coded are noise: no byte is much more frequent than others.
_NOISE = 0.94


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor. `positions`, `indices` and `codebook` are stored bytes and add up to `stored` (`indices`
    are the values' streams, cluster indices or byte planes); `fixed_width` is what codes of fixed width
    would take for the same layout, so the difference is the entropy coder's. `layout` is what users call it, with its
    coders, and `stored_as` what the format's specification calls it; `codes` are the coders as the file names them.
    `noise` counts the bytes of values that coding does not shrink. `unsupported` says why this version cannot decode
    the tensor; nothing is known of what its bytes are spent on then, and all of them count as `indices`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    weights: int
    density: float
    layout: str
    codes: str
    clusters: int | None
    chunks: int
    dense: int
    stored: int
    positions: int
    indices: int
    codebook: int
    fixed_width: int
    noise: int = 0
    stored_as: str = ""
    alias_of: str | None = None
    unsupported: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight."""
        return 8 * self.stored / self.weights if self.weights else 0.0

    @property
    def ratio(self) -> float:
        """Dense bytes per stored byte."""
        return self.dense / self.stored if self.stored else math.inf if self.dense else 1.0

    @property
    def saved_by_coding(self) -> float:
        """The fraction of `fixed_width` that entropy coding saves."""
        return 1 - self.stored / self.fixed_width if self.fixed_width else 0.0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file: its tensors, its size, and the bytes that are neither tensor nor padding (`overhead`)."""

    tensors: tuple[StoredTensor, ...]
    size: int
    metadata: dict[str, object]

    @property
    def dense(self) -> int:
        """Bytes of all arrays, tied ones once."""
        return sum(t.dense for t in self.tensors if t.alias_of is None)

    @property
    def stored(self) -> int:
        return sum(t.stored for t in self.tensors if t.alias_of is None)

    @property
    def overhead(self) -> int:
        return self.size - self.stored

    @property
    def fixed_width(self) -> int:
        return sum(t.fixed_width for t in self.tensors if t.alias_of is None)

    @property
    def ratio(self) -> float:
        """Dense bytes per byte of the file."""
        return self.dense / self.size


def stored_file(reader: Described) -> StoredFile:
    """Return the contents of an open file."""
    infos = [(name, reader.info(name)) for name in reader]
    tensors = tuple(replace(stored_tensor(info, name), metadata=dict(info.metadata)) for name, info in infos)
    return StoredFile(tensors, reader.size, dict(reader.metadata))


def stored_tensor(info: TensorInfo, name: str) -> StoredTensor:
    """Return one tensor, under one of its names."""
    layout = info.layout
    if layout is None or info.same_as is not None:
        return _without_layout(info, name)
    streams = [sum(stream.lengths) for stream in layout.streams]
    positions = sum(streams[: position_streams(layout.positions)])
    book = layout.codebook
    return StoredTensor(
        name=name,
        dtype=info.dtype,
        shape=info.shape,
        weights=info.words,
        density=info.nonzeros / info.words if info.words else 0.0,
        layout=layout_title(layout.positions, layout.values, _codes(layout).split("+")),
        codes=_codes(layout),
        clusters=book.entries if book else None,
        chunks=len(layout.crc32c),
        dense=info.nbytes,
        stored=info.stored,
        positions=positions,
        indices=sum(streams) - positions,
        codebook=book.stored if book else 0,
        fixed_width=fixed_width(info),
        noise=_noise(info, layout),
        stored_as=stored_title(layout.positions, layout.values, _codes(layout).split("+") if layout.streams else ()),
        alias_of=info.name if info.name != name else None,
    )


def _without_layout(info: TensorInfo, name: str) -> StoredTensor:
    """Return a tensor that is the same as another, or one that this version cannot decode: only its bytes are known."""
    return StoredTensor(
        name=name,
        dtype=info.dtype,
        shape=info.shape,
        weights=info.words,
        density=info.nonzeros / info.words if info.words else 0.0,
        layout="unsupported" if info.same_as is None else f"same as {printable(info.same_as, 40)}",
        codes="",
        clusters=None,
        chunks=0,
        dense=info.nbytes,
        stored=info.stored,
        positions=0,
        indices=info.stored,
        codebook=0,
        fixed_width=info.stored,
        alias_of=info.name if info.name != name else None,
        unsupported=info.unsupported,
    )


def fixed_width(info: TensorInfo) -> int:
    """Return the bytes of the same layout with codes of fixed width; see `dcz.tensor.fixed_width`."""
    layout = info.layout
    if layout is None or not layout.streams or info.same_as is not None:
        return 0
    book = layout.codebook
    books = -(-info.words // book.group) if book and book.group else 1
    word, entries = info.nbytes // info.words, book.entries if book else None
    return widths.fixed_width(
        layout.positions, info.words, info.nonzeros, sum(layout.fillers), word, entries, books
    ).total


def _noise(info: TensorInfo, layout: Layout) -> int:
    """Return the bytes of values, not of cluster indices, that coding does not shrink."""
    values = [sum(stream.lengths) for stream in layout.streams[position_streams(layout.positions) :]]
    if layout.values == "codebook" or not values:
        return 0
    words = info.nonzeros if layout.sparse else info.words
    return noise_bytes(values, words * (info.nbytes // info.words) // len(values))


def noise_bytes(stored: list[int], whole: int) -> int:
    """Return the stored bytes of streams, of `whole` bytes each, that coding hardly shrinks."""
    return sum(size for size in stored if size >= _NOISE * whole)


def _codes(layout: Layout) -> str:
    """Return the coders in use, each once."""
    kinds = dict.fromkeys(code.kind for stream in layout.streams for code in stream.codes)
    return "+".join(kinds)
