"""safetensors files, one tensor at a time in either direction.

dcz reads and writes them itself: the library's numpy functions lack bfloat16 and fp8, and its writer needs all tensors
in memory at once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial

import numpy as np

from dcz.convert.guard import Guard
from dcz.convert.holding import cannot_hold, in_whole_bytes
from dcz.convert.model import Tensor
from dcz.errors import DczError, FormatError
from dcz.io.opening import open_source
from dcz.io.sinks import PathSink
from dcz.plain.header import CODES, MAX_HEADER, METADATA, PACKED_BITS, SafetensorsHeader, stored_bytes
from dcz.tensor.words import StoredWords, blocks_of, in_blocks, to_words


class SafetensorsModel:
    """A safetensors file, read tensor by tensor."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        if guard is None:
            Guard(path, ".safetensors")  # refuses pipes, web pages and pointers
        self._source = open_source(os.fspath(path))
        try:
            self._header = SafetensorsHeader(self._source)
        except BaseException:
            self._source.close()
            raise
        self.aliases, self.metadata = self._header.aliases, self._header.metadata

    def tensors(self) -> list[Tensor]:
        return [Tensor(entry.name, entry.dtype, entry.shape) for entry in self._header.tensors.values()]

    def read(self, name: str) -> np.ndarray:
        return self._header.read(self._header.tensors[name])

    def in_blocks(self, name: str, block: int) -> StoredWords:
        """Return the words of a tensor, to be read at most `block` at once."""
        entry = self._header.tensors[name]
        return in_blocks(partial(self._header.read_words, entry), entry.dtype.code, entry.shape, block)

    def __enter__(self) -> SafetensorsModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


def _pack(data: np.ndarray, bits: int) -> np.ndarray:
    """Elements narrower than a byte lie packed in the file, lowest bits first, and one to a byte in memory."""
    each = np.unpackbits(data[:, None], axis=1, count=bits, bitorder="little")
    return np.packbits(each.reshape(-1), bitorder="little")


class SafetensorsTarget:
    """A safetensors file being written. Tied weights are written once, as the library does; the other names are
    metadata entries with the tensor's name."""

    takes_blocks = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None
        self._offsets: dict[str, int] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        header: dict[str, object] = {}
        texts = {key: as_text(value) for key, value in metadata.items()}
        for name, owner in aliases.items():
            if texts.setdefault(name, owner) != owner:
                raise DczError(
                    f"{os.fspath(self._path)}: {name!r:.80} is both a key of the metadata and a second name of "
                    f"{owner!r:.80}; safetensors writes second names as metadata: rename one, or write npz instead"
                )
        if texts:
            header[METADATA] = texts
        at = 0
        for tensor in sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize):  # wide types first, as aligned
            if tensor.name == METADATA:
                raise DczError(f"tensor {METADATA!r}: safetensors keeps this name for metadata; write npz instead")
            self._check_held(tensor)
            end = at + stored_bytes(tensor.name, tensor.dtype, tensor.shape)
            header[tensor.name] = {"dtype": tensor.dtype.code, "shape": list(tensor.shape), "data_offsets": [at, end]}
            self._offsets[tensor.name] = at
            at = end
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        if len(text) > MAX_HEADER:
            raise FormatError(f"{os.fspath(self._path)}: a header of {len(text)} bytes is more than safetensors allows")
        self._base = 8 + len(text)
        self._sink = PathSink(self._path)
        self._sink.write(len(text).to_bytes(8, "little"))
        self._sink.write(text)

    def _check_held(self, tensor: Tensor) -> None:
        if tensor.dtype.code not in CODES:
            raise cannot_hold(self._path, tensor, "safetensors")
        if not in_whole_bytes(tensor):
            raise cannot_hold(self._path, tensor, "safetensors", "which is not a whole number of bytes")

    def add(self, name: str, array: np.ndarray | StoredWords) -> None:
        assert self._sink is not None
        words = array if isinstance(array, StoredWords) else to_words(array, name)
        bits = PACKED_BITS.get(words.dtype.code)
        at = self._base + self._offsets[name]
        for first, last in blocks_of(words):
            data = words.part(first, last)
            data = _pack(data, bits) if bits else data
            self._sink.write_at(at, data)
            at += len(data)

    def close(self) -> None:
        assert self._sink is not None
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            self._sink.abandon()


def as_text(value: object) -> str:
    """safetensors' metadata are strings: other values are written as JSON, bytes as hexadecimal."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=lambda data: bytes(data).hex())
