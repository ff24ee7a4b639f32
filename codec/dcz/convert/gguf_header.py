"""The header of GGUF files: key-value pairs, and of each tensor its name, lengths, type and offset."""

from __future__ import annotations

import struct
from typing import Any

from dcz import limits
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.tensor.shapes import check_shape
from dcz.text import plural

HEADER = "GGUF.header"  # capitals sort first, and the header is needed first
PADDING = "GGUF.padding"  # where it is not zeros up to the alignment
MAX_PADDING = 256 << 20
MAX_VALUES = 1 << 20  # of the header, as metadata beside it
MAX_TYPES = 8 << 20  # of types and shapes, as metadata of their tensors
_MAX_NESTING = 8
# ggml's types: name, weights in a block, bytes of a block; with our dtype where a block is a plain number.
_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1),
    25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class Header:
    """A header: its values that are not lists, and the tensors with their offsets.

    A tensor of an unknown type extends to the next tensor, or to the end of the file, which `layout` takes."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._at = data, name, 0
        self.values: dict[str, object] = {}
        self.tensors: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # in weights, where a tensor is read as the bytes of blocks
        self.offsets: dict[str, int] = {}
        self.unknown: set[str] = set()
        self._left = MAX_VALUES
        if data[:4] != b"GGUF":
            raise FormatError(f"{name}: not a GGUF file, but one that begins with {data[:4]!r}")
        self._at = 4
        (version,) = self._take("I")
        if version not in (2, 3):
            raise UnsupportedError(
                f"{name}: GGUF version {version}; 2 and 3 are read (of a big-endian file: convert it)"
            )
        count, pairs = self._take("QQ")
        alignment: object = 32
        for _ in range(pairs):
            key = self._string("a key")
            (kind,) = self._take("I")
            value = self._value(kind, key, 0)
            if key == "general.alignment":
                alignment = value
            if value is not None:
                self._keep(key, value)
        places = [self._tensor() for _ in range(count)]
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise FormatError(f"{name}: general.alignment: {alignment!r:.40} is not a power of two")
        self.alignment = alignment
        self.start = -(-self._at // alignment) * alignment
        for tensor, offset in places:
            if offset % alignment:
                raise FormatError(
                    f"{name}: tensor {tensor.name!r:.80}: offset {offset} is not a multiple of {alignment}"
                )
            self.tensors[tensor.name] = tensor
            self.offsets[tensor.name] = self.start + offset
        self._order = sorted(self.tensors, key=self.offsets.__getitem__)

    @property
    def last_unknown(self) -> str | None:
        """Return the last tensor, if its type does not determine its size."""
        return self._order[-1] if self._order and self._order[-1] in self.unknown else None

    def layout(self, size: int) -> None:
        """Place the tensors in a file of `size` bytes: tensors of unknown types get their sizes."""
        ends = [*(self.offsets[name] for name in self._order[1:]), max(size, self.start)]
        for name, end in zip(self._order, ends):
            if name in self.unknown:
                nbytes = max(end - self.offsets[name], 0)
                self.tensors[name] = Tensor(name, DTYPES["U8"], (nbytes,))
        for before, after in zip(self._order, self._order[1:]):
            if self.offsets[before] + self.tensors[before].nbytes > self.offsets[after]:
                raise FormatError(f"{self._name}: the tensors {before!r:.80} and {after!r:.80} overlap")
        self.end = max(
            (self.offsets[t] + self.tensors[t].nbytes for t in self.tensors),
            default=min(self.start, max(size, self._at)),
        )

    def gaps(self) -> list[tuple[int, int]]:
        """Return the padding between tensors, as byte ranges."""
        out, at = [], self.start
        for name in self._order:
            if self.offsets[name] > at:
                out.append((at, self.offsets[name]))
            at = self.offsets[name] + self.tensors[name].nbytes
        if sum(last - first for first, last in out) > MAX_PADDING:
            raise LimitError(f"{self._name}: the tensors lie more than {MAX_PADDING} bytes apart; is it a GGUF file?")
        return out

    def _keep(self, key: str, value: object) -> None:
        """Keep a value as metadata, while there is room: the whole header is kept as bytes anyway."""
        self._left -= len(key.encode(errors="replace")) + (len(value.encode()) if isinstance(value, str) else 8)
        if self._left >= 0:
            self.values[key] = value

    def _bytes(self, size: int, what: str) -> bytes:
        if size > len(self._data) - self._at:
            raise Short(f"{self._name}: {what} goes beyond the {plural(len(self._data), 'byte')} of the header or file")
        part = self._data[self._at : self._at + size]
        self._at += size
        return part

    def _take(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, self._bytes(struct.calcsize("<" + layout), "the header"))

    def _string(self, what: str) -> str:
        (size,) = self._take("Q")
        try:
            return self._bytes(size, what).decode()
        except UnicodeDecodeError:
            raise FormatError(f"{self._name}: {what} is not valid UTF-8") from None

    def _value(self, kind: int, key: str, depth: int) -> object:
        """Read a value; of a list, skip it and return None."""
        if kind in _SCALARS:
            return self._take(_SCALARS[kind])[0]
        if kind == _STRING:
            (size,) = self._take("Q")
            return self._bytes(size, f"the value of {key!r:.80}").decode(errors="replace")
        if kind != _ARRAY or depth > _MAX_NESTING:
            raise FormatError(f"{self._name}: {key!r:.80}: a value of type {kind} is not known")
        inner, count = self._take("IQ")
        if inner in _SCALARS:
            self._bytes(count * struct.calcsize(_SCALARS[inner]), f"the list of {key!r:.80}")
        else:
            for _ in range(count):
                self._value(inner, key, depth + 1)
        return None

    def _tensor(self) -> tuple[Tensor, int]:
        name = self._string("a tensor's name")
        where = f"{self._name}: tensor {name!r:.80}"
        (dimensions,) = self._take("I")
        if dimensions > 4:
            raise FormatError(f"{where}: {dimensions} dimensions; the limit is 4")
        lengths = self._take(f"{dimensions}Q")
        kind, offset = self._take("IQ")
        if name in self.types or name in (HEADER, PADDING):
            raise FormatError(f"{where}: duplicate name" if name in self.types else f"{where}: dcz keeps this name")
        shape = check_shape(reversed(lengths), where, 8)  # the first dimension varies fastest
        if offset >= limits.MAX_WORDS:
            raise LimitError(f"{where}: offset {offset}; the limit is {limits.MAX_WORDS}")
        if kind not in _TYPES or _TYPES[kind][1] > 1:
            self.shapes[name] = shape
        if kind not in _TYPES:
            self.types[name] = f"type {kind}"
            self.unknown.add(name)
            return Tensor(name, DTYPES["U8"], (0,)), offset
        code, block, size = _TYPES[kind]
        self.types[name] = code
        if block == 1:
            return Tensor(name, DTYPES[code], shape), offset
        if not shape or shape[-1] % block:
            raise FormatError(
                f"{where}: expected rows of whole blocks of {block} weights, found {shape[-1] if shape else 1}"
            )
        return Tensor(name, DTYPES["U8"], (*shape[:-1], shape[-1] // block * size)), offset


class Short(TruncatedError):
    """The bytes read so far end within the header."""
