"""How a tensor is stored: positions times values, the codes of its streams, and where each chunk is."""

from __future__ import annotations

from dataclasses import dataclass

from dcz.entropy import Code
from dcz.text import plural
from dcz.vocabulary import layout_title

# As the file numbers them; a relative index is its bits.
POSITIONS = {"all": 0, "bitmap": 1, "relative4": 4, "relative5": 5, "relative8": 8, "relative16": 16}
VALUES = {"bytes": 0, "planes": 1, "codebook": 2}
RELATIVE_BITS = {"relative4": 4, "relative5": 5, "relative8": 8, "relative16": 16}
# Those of which a symbol is a byte.
NARROW_BITS = {kind: bits for kind, bits in RELATIVE_BITS.items() if bits <= 8}


def position_streams(positions: str) -> int:
    """Return how many streams positions take. Relative indices of 16 bits take two, of low bytes and of high bytes."""
    return 2 if positions == "relative16" else int(positions != "all")


@dataclass(frozen=True, slots=True)
class CodebookRecord:
    """Codebooks of `entries` words each. `group` weights share one; 0 means all. Each row of a byte plane has a code
    and a stored length."""

    entries: int
    group: int
    codes: tuple[Code, ...]
    lengths: tuple[int, ...]
    crc32c: int

    @property
    def stored(self) -> int:
        """Bytes at the head of the segment."""
        return sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Stream:
    """The codes of one stream, which of them each chunk uses, and the stored bytes of each chunk."""

    codes: tuple[Code, ...]
    use: tuple[int, ...]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a tensor. `streams` are those of the positions, if any, then those of the values.

    `nonzeros`, `fillers` and `crc32c` have one entry per chunk. The first two are zeros where positions need none."""

    positions: str
    values: str
    chunk: int
    codebook: CodebookRecord | None
    streams: tuple[Stream, ...]
    nonzeros: tuple[int, ...]
    fillers: tuple[int, ...]
    crc32c: tuple[int, ...]

    def __repr__(self) -> str:
        codes = [code.kind for stream in self.streams for code in stream.codes]
        title, chunks = layout_title(self.positions, self.values, codes), len(self.crc32c)
        words = plural(self.chunk, "word")
        return f"<dcz.Layout {title}: {self.positions} x {self.values}, {plural(chunks, 'chunk')} of {words}>"

    @property
    def sparse(self) -> bool:
        """Whether zeros are left out."""
        return self.positions != "all"

    @property
    def planes(self) -> int:
        """Streams of values."""
        return len(self.streams) - position_streams(self.positions)

    @property
    def stored(self) -> int:
        """Bytes of the tensor's segment."""
        head = self.codebook.stored if self.codebook else 0
        return head + sum(sum(stream.lengths) for stream in self.streams)

    @property
    def mappable(self) -> bool:
        """Whether the segment is the tensor's bytes as they are."""
        return self.values == "bytes" and all(c.kind == "raw" for s in self.streams for c in s.codes)
