"""A tensor's description in the index, and the files that describe their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from dcz.tensor import Layout
from dcz.text import plural, printable
from dcz.vocabulary import layout_title


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor's description in the index: `dtype` is its code (SPEC 6), `words` the numbers it is
    made of (two to a complex element), `nonzeros` those whose bits are not all zero, `stored` the bytes of
    its segment, `nbytes` those of the decoded array, `layout` how it is stored, `metadata` what the file says about it.

    `same_as` names the tensor whose segment holds the words of this one, which then has none of its own. `unsupported`
    says why this version cannot decode the tensor; then the layout is None. Both are None for most tensors.
    `content_crc32c` is the CRC-32C of the decoded words."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    words: int
    nonzeros: int
    stored: int
    nbytes: int
    layout: Layout | None
    metadata: Mapping[str, object]
    same_as: str | None
    unsupported: str | None
    content_crc32c: int

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        density = f", {100 * self.nonzeros / self.words:.1f}% nonzero" if self.words else ""
        return (
            f"<dcz.TensorInfo {printable(self.name, 60)}: {self.dtype} {shape}{density}, {self._stored_as()}, "
            f"{plural(self.stored, 'byte')} of {self.nbytes}>"
        )

    def _stored_as(self) -> str:
        if self.same_as is not None:
            return f"same as {printable(self.same_as, 40)}"
        if self.layout is None:
            return "unsupported"
        codes = [code.kind for stream in self.layout.streams for code in stream.codes]
        return layout_title(self.layout.positions, self.layout.values, codes)


class Described(Protocol):
    """What `Reader` and `ShardedReader` say of their file without reading a tensor."""

    @property
    def size(self) -> int: ...

    @property
    def metadata(self) -> Mapping[str, object]: ...

    def __iter__(self) -> Iterator[str]: ...

    def info(self, name: str) -> TensorInfo: ...
