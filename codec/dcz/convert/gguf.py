"""GGUF files: floats as tensors, quantized blocks as bytes.

A file is a header (key-value pairs, and of each tensor its name, lengths, type and offset) and the tensors' bytes.
The header is kept byte for byte as the tensor `GGUF.header`, so that unpacking gives the same file again. So are the
bytes between and behind the tensors, as `GGUF.padding`, unless they are the zeros that writers put there. dcz has its
own reader and writer: the usual library maps and unpacks everything at once, before any check.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from dcz.convert.gguf_header import HEADER, MAX_PADDING, MAX_TYPES, PADDING, Header, Short
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor, resolved
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError
from dcz.io.sinks import PathSink
from dcz.io.sources import FileSource, read
from dcz.tensor import from_words, to_words
from dcz.text import plural

_MAX_HEADER = 256 << 20  # vocabularies are the largest part: ten or twenty megabytes


class GgufModel:
    """A GGUF file. Its plain values become metadata; a quantized tensor has `gguf.type` and `gguf.shape`, in
    weights."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._guard = guard or Guard(path, ".gguf")
        self._source = FileSource(path)
        try:
            self._header = self._read_header()
            size = self._source.size
            self._header.layout(size)
            end = self._header.end
            if end > size:
                raise TruncatedError(
                    f"{self._source.name}: {plural(end - size, 'byte')} short ({size} of {end}); finish the download"
                )
            self._padding = self._read_padding()
        except BaseException:
            self._source.close()
            raise
        self.metadata: Mapping[str, object] = self._header.values
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = self._types()

    def _types(self) -> dict[str, dict[str, object]]:
        """Return type and shape, in weights, of each tensor that is read as bytes. A million of them would exceed the
        limit of metadata; the header, which is kept as a tensor, has them all."""
        header = self._header
        if sum(len(name) + 128 for name in header.shapes) > MAX_TYPES:
            return {}
        return {
            name: {"gguf.type": header.types[name], "gguf.shape": list(shape)} for name, shape in header.shapes.items()
        }

    def _read_padding(self) -> np.ndarray | None:
        """Return the bytes between and behind the tensors; None where they are the usual zeros."""
        header, size = self._header, self._source.size
        behind = size - header.end
        if behind > MAX_PADDING:
            raise LimitError(
                f"{self._source.name}: {behind} bytes behind the last tensor; the limit is {MAX_PADDING}; "
                "remove what follows it"
            )
        places = [*header.gaps(), *([(header.end, size)] if behind > 0 else [])]
        parts = [read(self._source, first, last - first) for first, last in places]
        usual = behind == -header.end % header.alignment and not any(part.any() for part in parts)
        return None if usual else np.concatenate([np.zeros(0, np.uint8), *parts])

    def _read_header(self) -> Header:
        """Read the header. Its length is not recorded: read more until it parses."""
        name, size = self._source.name, self._source.size
        length = min(size, 1 << 20)
        while True:
            try:
                header = Header(read(self._source, 0, length).tobytes(), name)
            except Short as error:
                if length == size:
                    raise TruncatedError(f"{error}; finish the download") from None
                if length > _MAX_HEADER:
                    raise LimitError(
                        f"{name}: its header takes more than {_MAX_HEADER} bytes; is it a GGUF file?"
                    ) from None
                length = min(size, 4 * length)
            else:
                return header

    def tensors(self) -> list[Tensor]:
        header = Tensor(HEADER, DTYPES["U8"], (min(self._header.start, self._source.size),))
        padding = [] if self._padding is None else [Tensor(PADDING, DTYPES["U8"], self._padding.shape)]
        return [header, *padding, *self._header.tensors.values()]

    def read(self, name: str) -> np.ndarray:
        if name == HEADER:
            return read(self._source, 0, min(self._header.start, self._source.size))
        if name == PADDING and self._padding is not None:
            return self._padding
        tensor = self._header.tensors[name]
        return from_words(read(self._source, self._header.offsets[name], tensor.nbytes), tensor.dtype, tensor.shape)

    def __enter__(self) -> GgufModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


class GgufTarget:
    """A GGUF file being written, from tensors packed with their header. Names, shapes and types must be those of the
    header; values may differ."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None
        self._header: Header | None = None
        self._later: list[tuple[str, np.ndarray]] = []
        self._padding: bytes | None = None

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
        if PADDING in self._copies[name]:
            self._padding = np.ascontiguousarray(array).tobytes()
        if self._header is None:  # its name comes before the header's
            self._later.append((name, array))
        else:
            self._write(name, array)

    def _begin(self, data: bytes) -> None:
        assert self._sink is not None
        name = os.fspath(self._path)
        try:
            header = Header(data, f"tensor {HEADER!r}")
        except Short as error:
            raise FormatError(str(error)) from None
        if wrong := sorted((self._given.keys() - {PADDING}) ^ {HEADER, *header.tensors}):
            where = "the header has" if wrong[0] in header.tensors else "the tensors have"
            raise DczError(f"{name}: only {where} {wrong[0]!r:.80}; its header cannot be written with other tensors")
        last = header.last_unknown
        header.layout(len(data) if last is None else header.offsets[last] + self._given[last].nbytes)
        gaps = sum(last - first for first, last in header.gaps())
        if PADDING in self._given and self._given[PADDING].nbytes < gaps:
            raise DczError(
                f"{name}: tensor {PADDING!r} has {plural(self._given[PADDING].nbytes, 'byte')}, fewer than {gaps}"
            )
        self._header = header
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
            if copy not in (HEADER, PADDING):
                self._sink.write_at(self._header.offsets[copy], to_words(array, name).data)

    def close(self) -> None:
        assert self._sink is not None and self._header is not None
        end = self._header.end
        if self._padding is None:
            self._sink.write_at(end, bytes(-end % self._header.alignment))
        else:
            at = 0
            for first, last in self._header.gaps():
                self._sink.write_at(first, self._padding[at : at + last - first])
                at += last - first
            self._sink.write_at(end, self._padding[at:])
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            self._sink.abandon()
