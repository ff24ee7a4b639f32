"""GGUF files: floats as tensors, quantized blocks as the bytes they are.

A file is a header (key-value pairs, and of each tensor its name, lengths, type and offset) and the tensors' bytes.
The header is kept word for word as a tensor of bytes, `GGUF.header`, so that unpacking makes the same file again.
Our own reader and writer: the usual library maps and unpacks everything at once, and no check of its comes first.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from math import prod

import numpy as np

from dcz.convert.guard import Guard
from dcz.convert.model import Tensor, resolved
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.io.sinks import PathSink
from dcz.io.sources import FileSource, read
from dcz.tensor import from_words, to_words

HEADER = "GGUF.header"  # capitals come first, and the header is needed first
_MAX_HEADER = 256 << 20  # vocabularies are the largest part: ten or twenty megabytes
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
}  # fmt: skip
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class Header:
    """A header: the tensors with their places in the file, and those values that are no lists."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name, self._at = data, name, 0
        self.values: dict[str, object] = {}
        self.tensors: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}
        self.offsets: dict[str, int] = {}
        if data[:4] != b"GGUF":
            raise FormatError(f"{name}: no GGUF file, but one that begins with {data[:4]!r}")
        self._at = 4
        (version,) = self._take("I")
        if version not in (2, 3):
            raise UnsupportedError(
                f"{name}: GGUF version {version}; 2 and 3 are read (of a big-endian file: convert it)"
            )
        count, pairs = self._take("QQ")
        for _ in range(pairs):
            key = self._string("a key")
            (kind,) = self._take("I")
            value = self._value(kind, key, 0)
            if value is not None:
                self.values[key] = value
        places = [self._tensor() for _ in range(count)]
        alignment = self.values.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise FormatError(f"{name}: general.alignment: {alignment!r:.40} is no power of two")
        self.alignment = alignment
        self.start = -(-self._at // alignment) * alignment
        for tensor, offset in places:
            if offset % alignment:
                raise FormatError(f"{name}: tensor {tensor.name!r:.80}: offset {offset} is no multiple of {alignment}")
            self.tensors[tensor.name] = tensor
            self.offsets[tensor.name] = self.start + offset
        order = sorted(self.tensors, key=self.offsets.__getitem__)
        for before, after in zip(order, order[1:]):
            if self.offsets[before] + self.tensors[before].nbytes > self.offsets[after]:
                raise FormatError(f"{name}: the tensors {before!r:.80} and {after!r:.80} overlap")
        self.end = max((self.offsets[t] + self.tensors[t].nbytes for t in self.tensors), default=self.start)

    def _bytes(self, size: int, what: str) -> bytes:
        if size > len(self._data) - self._at:
            raise _Short(f"{self._name}: {what} goes beyond the {len(self._data)} bytes of the header or file")
        part = self._data[self._at : self._at + size]
        self._at += size
        return part

    def _take(self, layout: str) -> tuple:
        return struct.unpack("<" + layout, self._bytes(struct.calcsize("<" + layout), "the header"))

    def _string(self, what: str) -> str:
        (size,) = self._take("Q")
        try:
            return self._bytes(size, what).decode()
        except UnicodeDecodeError:
            raise FormatError(f"{self._name}: {what} is no valid UTF-8") from None

    def _value(self, kind: int, key: str, depth: int) -> object:
        """A value; None of a list, which is only stepped over."""
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
            raise FormatError(f"{where}: {dimensions} dimensions are more than 4")
        lengths = self._take(f"{dimensions}Q")
        kind, offset = self._take("IQ")
        if kind not in _TYPES:
            raise UnsupportedError(f"{where}: type {kind} is not known; update dcz")
        if name in self.types or name == HEADER:
            raise FormatError(
                f"{where}: the name is there twice" if name in self.types else f"{where}: dcz keeps this name"
            )
        code, block, size = _TYPES[kind]
        if prod(lengths) * size >= 1 << 56 or offset >= 1 << 56:
            raise FormatError(f"{where}: {lengths} at {offset} is beyond measure")
        self.types[name] = code
        shape = tuple(reversed(lengths))  # the first varies fastest
        if block == 1:
            return Tensor(name, DTYPES[code], shape), offset
        if not shape or shape[-1] % block:
            raise FormatError(f"{where}: rows of {shape[-1] if shape else 1} weights are no blocks of {block}")
        return Tensor(name, DTYPES["U8"], (*shape[:-1], shape[-1] // block * size)), offset


class _Short(TruncatedError):
    """The bytes at hand end within the header."""


class GgufModel:
    """A GGUF file. Its plain values become metadata, with the types of quantized tensors as `gguf.types`."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._guard = guard or Guard(path, ".gguf")
        self._source = FileSource(path)
        try:
            self._header = self._read_header()
            end, size = self._header.end, self._source.size
            if end > size:
                raise TruncatedError(
                    f"{self._source.name}: {end - size} bytes short ({size} of {end}); finish the download"
                )
        except BaseException:
            self._source.close()
            raise
        quantized = {name: kind for name, kind in self._header.types.items() if kind not in DTYPES}
        self.metadata: Mapping[str, object] = self._header.values | ({"gguf.types": quantized} if quantized else {})

    def _read_header(self) -> Header:
        """How long it is, nobody says: read more until it is whole."""
        name, size = self._source.name, self._source.size
        length = min(size, 1 << 20)
        while True:
            try:
                header = Header(read(self._source, 0, length).tobytes(), name)
            except _Short as error:
                if length == size:
                    raise TruncatedError(f"{error}; finish the download") from None
                if length > _MAX_HEADER:
                    raise LimitError(f"{name}: its header takes more than {_MAX_HEADER} bytes") from None
                length = min(size, 4 * length)
            else:
                return header

    def tensors(self) -> list[Tensor]:
        header = Tensor(HEADER, DTYPES["U8"], (min(self._header.start, self._source.size),))
        return [header, *self._header.tensors.values()]

    def read(self, name: str) -> np.ndarray:
        if name == HEADER:
            return read(self._source, 0, min(self._header.start, self._source.size))
        tensor = self._header.tensors[name]
        return from_words(read(self._source, self._header.offsets[name], tensor.nbytes), tensor.dtype, tensor.shape)

    def __enter__(self) -> GgufModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


class GgufTarget:
    """A GGUF file being written: one whose header was packed with its tensors. Names, shapes and types must be
    those of the header; values may have changed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None
        self._header: Header | None = None
        self._later: list[tuple[str, np.ndarray]] = []

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        self._copies: dict[str, list[str]] = {}
        self._given = {}
        for tensor, owner in resolved(tensors, aliases):
            self._copies.setdefault(owner, []).append(tensor.name)
            self._given[tensor.name] = tensor
        if HEADER not in self._given:
            raise DczError(
                f"{os.fspath(self._path)}: there is no tensor {HEADER!r}; only what was packed from a GGUF file can "
                "become one again; write safetensors instead"
            )
        self._sink = PathSink(self._path)

    def add(self, name: str, array: np.ndarray) -> None:
        if HEADER in self._copies[name]:
            self._begin(np.ascontiguousarray(array).tobytes())
        if self._header is None:  # of a name that comes before the header's
            self._later.append((name, array))
        else:
            self._write(name, array)

    def _begin(self, data: bytes) -> None:
        assert self._sink is not None
        name = os.fspath(self._path)
        try:
            self._header = header = Header(data, f"tensor {HEADER!r}")
        except _Short as error:
            raise FormatError(str(error)) from None
        if wrong := sorted(set(self._given).symmetric_difference({HEADER, *header.tensors})):
            where = "the header has" if wrong[0] in header.tensors else "the tensors have"
            raise DczError(f"{name}: only {where} {wrong[0]!r:.80}; its header cannot be written with other tensors")
        for tensor in header.tensors.values():
            given = self._given[tensor.name]
            if given != tensor:
                raise DczError(
                    f"{name}: tensor {tensor.name!r:.80} is {given.dtype.code} {given.shape}, "
                    f"in the header {tensor.dtype.code} {tensor.shape}; they must agree"
                )
        self._sink.write(data)
        for item in self._later:
            self._write(*item)
        self._later.clear()

    def _write(self, name: str, array: np.ndarray) -> None:
        assert self._sink is not None and self._header is not None
        for copy in self._copies[name]:
            if copy != HEADER:
                self._sink.write_at(self._header.offsets[copy], to_words(array, name).data)

    def close(self) -> None:
        assert self._sink is not None and self._header is not None
        end = self._header.end
        self._sink.write_at(end, bytes(-end % self._header.alignment))
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            self._sink.abandon()
