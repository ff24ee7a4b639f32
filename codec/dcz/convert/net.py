"""The `.net` files of Deep Compression's first author: pruned, clustered, relative-indexed, not Huffman-coded.

Little-endian: the number of entries of each layer (uint32); then per layer its codebook (float32, 256 entries
for convolutions, 16 for fully connected layers), its biases (float32), its cluster indices (8 or 4 bits) and
its gaps minus one (4 bits), low nibble first. Fillers are entries of cluster 0, which is zero. The file has
no shapes: they come from the network's prototxt, or from JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import prod

import numpy as np

from dcz.convert.guard import Guard, check_file
from dcz.convert.model import Tensor
from dcz.convert.prototxt import WeightedLayer, weighted_layers
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, TruncatedError
from dcz.io.sources import FileSource, read
from dcz.text import plural

_MAX_SHAPES_BYTES = 16 << 20
_F32 = DTYPES["F32"]


class NetModel:
    """A `.net` file with the shapes of its layers."""

    aliases: Mapping[str, str] = {}

    def __init__(
        self, path: str | os.PathLike[str], guard: Guard | None = None, shapes: str | os.PathLike[str] | None = None
    ) -> None:
        self.metadata: Mapping[str, object] = {}
        self._path = os.fspath(path)
        self._guard = guard or Guard(path, ".net")
        source = FileSource(path)
        try:
            if shapes is None:
                raise DczError(
                    f"{self._path}: .net files have no shapes; pass --shapes with the network's deploy prototxt, or "
                    'a JSON file {"LAYER": [shape], ...} in the order of the file'
                )
            self._layers = read_shapes(shapes)
            self._data = read(source, 0, source.size)
        finally:
            source.close()
        self._arrays = self._parse()

    def _parse(self) -> dict[str, np.ndarray]:
        self._at = 0
        entries = self._take("the entry counts", "<u4", len(self._layers)).tolist()
        out: dict[str, np.ndarray] = {}
        for layer, count in zip(self._layers, entries):
            if f"{layer.name}.weight" in out:
                raise FormatError(f"{self._path}: the shapes name layer {layer.name!r} twice")
            weight, bias = self._layer(layer, count)
            out[f"{layer.name}.weight"] = weight
            if layer.bias:
                out[f"{layer.name}.bias"] = bias
        if self._at != len(self._data):
            raise self._mismatch(
                f"{plural(len(self._data) - self._at, 'byte is', 'bytes are')} left behind the last layer"
            )
        return out

    def _layer(self, layer: WeightedLayer, count: int) -> tuple[np.ndarray, np.ndarray]:
        where = f"layer {layer.name!r}"
        shape = self._guard.shape(layer.shape, _F32.itemsize, where)
        self._guard.take(prod(shape) * _F32.itemsize, where)
        bits = 8 if len(layer.shape) == 4 else 4
        codebook = self._take(f"{where}: the codebook", "<f4", 1 << bits)
        bias = self._take(f"{where}: the biases", "<f4", layer.shape[0] if layer.bias else 0)
        if count == 0:
            return np.zeros(layer.shape, np.float32), bias
        index = self._take(f"{where}: the cluster indices", "u1", (count - 1) // (8 // bits) + 1)
        gap = _nibbles(self._take(f"{where}: the gaps", "u1", (count - 1) // 2 + 1), count)
        index = index if bits == 8 else _nibbles(index, count)
        at = np.cumsum(gap.astype(np.int64) + 1) - 1
        if at[-1] >= prod(layer.shape):
            raise self._mismatch(f"{where} has a weight at position {at[-1]}, its shape {layer.shape} has fewer")
        dense = np.zeros(prod(layer.shape), np.uint8)
        dense[at] = index
        if codebook[0].view("<u4") != 0:
            raise self._mismatch(
                f"{where}: the codebook's first entry is {codebook[0]}, not the zero of absent weights"
            )
        return codebook[dense].reshape(layer.shape), bias

    def _take(self, what: str, dtype: str, count: int) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        if self._at + size > len(self._data):
            raise TruncatedError(
                f"{self._path}: expected {what} to end at byte {self._at + size}, found {len(self._data)} bytes; "
                "it is cut off, or does not belong to these shapes"
            )
        part = self._data[self._at : self._at + size]
        self._at += size
        return np.frombuffer(part.tobytes(), dtype)

    def _mismatch(self, what: str) -> FormatError:
        return FormatError(f"{self._path}: {what}; the file does not belong to these shapes")

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, _F32, array.shape) for name, array in self._arrays.items()]

    def read(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __enter__(self) -> NetModel:
        return self

    def __exit__(self, *error: object) -> None: ...


def _nibbles(data: np.ndarray, count: int) -> np.ndarray:
    """Return 4-bit numbers, low nibble first."""
    return np.stack([data & 15, data >> 4], axis=1).reshape(-1)[:count]


def read_shapes(path: str | os.PathLike[str]) -> list[WeightedLayer]:
    """Read layers from a Caffe prototxt, or from JSON that maps names to shapes in the file's order."""
    name = os.fspath(path)
    if check_file(path) > _MAX_SHAPES_BYTES:
        raise FormatError(f"{name}: too large for a prototxt or a JSON of shapes")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError:
        raise FormatError(f"{name}: not text; expected a Caffe deploy prototxt or JSON") from None
    if not text.lstrip().startswith("{"):
        return weighted_layers(text, name)
    try:
        shapes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: not valid JSON ({error})") from None
    out = []
    for key, shape in shapes.items():
        if not isinstance(shape, list) or not shape or any(type(n) is not int or not 0 < n < 1 << 31 for n in shape):
            raise FormatError(f"{name}: {key!r:.80}: expected a shape such as [64, 3, 3, 3], found {shape!r:.80}")
        out.append(WeightedLayer(key.removesuffix(".weight"), tuple(shape), True))
    return out
