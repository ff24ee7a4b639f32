"""safetensors files, one tensor at a time in either direction.

dcz reads and writes them itself: the library's numpy functions lack bfloat16 and fp8, and its writer needs all tensors
in memory at once. The format: a header length (8 bytes), a JSON header, the tensors' bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping
from math import prod

import numpy as np

from dcz import dtypes, limits
from dcz.convert.guard import Guard
from dcz.convert.holding import PACKED_BITS, SAFETENSORS, cannot_hold, in_whole_bytes
from dcz.convert.model import Tensor
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, locating
from dcz.io.sinks import PathSink
from dcz.io.sources import FileSource, read
from dcz.tensor import from_words, to_words
from dcz.text import plural

_METADATA = "__metadata__"
_MAX_HEADER = 100_000_000  # the library's own cap
_MAX_CONTAINERS = 3 * limits.MAX_TENSORS + (1 << 16)  # of a tensor an object and two lists; names may have some too


class SafetensorsModel:
    """A safetensors file. A metadata entry whose value names a tensor, and whose key does not, is an alias: so the
    library writes tied weights (`safetensors.torch.save_model`)."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._guard = guard or Guard(path, ".safetensors")
        self._source = FileSource(path)
        try:
            self._read_header()
        except BaseException:
            self._source.close()
            raise

    def _read_header(self) -> None:
        name, size = self._source.name, self._source.size
        if size < 8:
            raise TruncatedError(f"{name}: {size} bytes are too few for a safetensors file")
        length = int(read(self._source, 0, 8).view("<u8")[0])
        if length > _MAX_HEADER:
            raise FormatError(f"{name}: not a safetensors file (its header would have {length} bytes)")
        if 8 + length > size:
            raise TruncatedError(f"{name}: the header should have {length} bytes, the file has {size}")
        text = read(self._source, 8, length).tobytes()
        if text.count(b"{") + text.count(b"[") > _MAX_CONTAINERS:  # each takes sixty times its byte once it is parsed
            raise LimitError(f"{name}: the header has more than {limits.MAX_TENSORS} tensors")
        try:
            header = json.loads(text, object_pairs_hook=_no_duplicates)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{name}: the header is not valid JSON ({error})") from None
        if not isinstance(header, dict):
            raise FormatError(f"{name}: the header is not a JSON object")
        metadata = _metadata(header.pop(_METADATA, None), name)
        if len(header) > limits.MAX_TENSORS:
            raise LimitError(f"{name}: the header has more than {limits.MAX_TENSORS} tensors")
        self._start = 8 + length
        self._ranges: dict[str, tuple[int, int]] = {}
        self._tensors: dict[str, Tensor] = {}
        with locating(name):
            entries = sorted((_entry(*item) for item in header.items()), key=lambda entry: entry[1:])
        for tensor, begin, end in entries:
            self._guard.shape(tensor.shape, tensor.dtype.itemsize, f"tensor {tensor.name!r:.80}")
            self._tensors[tensor.name] = tensor
            self._ranges[tensor.name] = begin, end
        self.aliases, self.metadata = second_names(metadata, self._tensors)
        at = 0
        for begin, end in self._ranges.values():
            if begin != at:
                raise FormatError(f"{name}: the tensors leave a hole or overlap at byte {at}")
            at = end
        if self._start + at > size:
            whole = self._start + at
            raise TruncatedError(
                f"{name}: {plural(whole - size, 'byte')} short ({size} of {whole}); finish the download"
            )
        if self._start + at < size:
            raise FormatError(f"{name}: should have {self._start + at} bytes, but has {size}")

    def tensors(self) -> list[Tensor]:
        return list(self._tensors.values())

    def read(self, name: str) -> np.ndarray:
        begin, end = self._ranges[name]
        tensor = self._tensors[name]
        data = read(self._source, self._start + begin, end - begin)
        bits = PACKED_BITS.get(tensor.dtype.code)
        if bits:
            data = _unpack(data, bits, prod(tensor.shape))
        return from_words(data, tensor.dtype, tensor.shape)

    def __enter__(self) -> SafetensorsModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate key")
    return out


def second_names(metadata: Mapping[str, object], tensors: Container[str]) -> tuple[dict[str, str], dict[str, object]]:
    """Return the aliases among metadata, and the other metadata."""
    names = {
        name: owner
        for name, owner in metadata.items()
        if isinstance(owner, str) and owner in tensors and name not in tensors and name != "format"
    }
    return names, {key: value for key, value in metadata.items() if key not in names}


def _metadata(value: object, name: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise FormatError(f"{name}: __metadata__ must map strings to strings")
    size = sum(len(key) + len(text) for key, text in value.items())
    if size > limits.MAX_METADATA_BYTES:
        raise LimitError(f"{name}: __metadata__ has {size} characters; the limit is {limits.MAX_METADATA_BYTES}")
    return value


def _entry(name: str, value: object) -> tuple[Tensor, int, int]:
    where = f"tensor {name!r}"
    if not isinstance(value, dict) or not value.keys() >= {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where}: expected dtype, shape and data_offsets")
    code = value["dtype"]
    if not isinstance(code, str) or code not in SAFETENSORS:
        raise FormatError(f"{where}: unknown dtype {code!r:.40}; expected one of {', '.join(sorted(SAFETENSORS))}")
    dtype = dtypes.by_code(code, where)
    shape, offsets = value["shape"], value["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise FormatError(f"{where}: expected lengths, found {numbers!r:.80}")
    if len(offsets) != 2 or offsets[1] < offsets[0]:
        raise FormatError(f"{where}: data_offsets {offsets!r:.80} are not a range")
    tensor = Tensor(name, dtype, tuple(shape))
    if offsets[1] - offsets[0] != _stored(tensor):
        raise FormatError(
            f"{where}: {dtype.code} {shape} takes {plural(_stored(tensor), 'byte')}, not {offsets[1] - offsets[0]}"
        )
    return tensor, offsets[0], offsets[1]


def _stored(tensor: Tensor) -> int:
    """Return the bytes in the file."""
    bits = PACKED_BITS.get(tensor.dtype.code)
    if bits is None:
        return tensor.nbytes
    total = prod(tensor.shape) * bits
    if total % 8:
        raise FormatError(
            f"tensor {tensor.name!r}: {total} bits of {tensor.dtype.code} are not a whole number of bytes"
        )
    return total // 8


# Elements narrower than a byte lie packed in the file, lowest bits first, and one to a byte in memory.


def _unpack(data: np.ndarray, bits: int, n: int) -> np.ndarray:
    each = np.unpackbits(data, bitorder="little").reshape(n, bits)
    return np.packbits(each, axis=1, bitorder="little").reshape(-1) if n else np.zeros(0, np.uint8)


def _pack(data: np.ndarray, bits: int) -> np.ndarray:
    each = np.unpackbits(data[:, None], axis=1, count=bits, bitorder="little")
    return np.packbits(each.reshape(-1), bitorder="little")


class SafetensorsTarget:
    """A safetensors file being written. Tied weights are written once, as the library does; the other names are
    metadata entries with the tensor's name."""

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
            header[_METADATA] = texts
        at = 0
        for tensor in sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize):  # wide types first, as aligned
            if tensor.name == _METADATA:
                raise DczError(f"tensor {_METADATA!r}: safetensors keeps this name for metadata; write npz instead")
            self._check_held(tensor)
            end = at + _stored(tensor)
            header[tensor.name] = {"dtype": tensor.dtype.code, "shape": list(tensor.shape), "data_offsets": [at, end]}
            self._offsets[tensor.name] = at
            at = end
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        if len(text) > _MAX_HEADER:
            raise FormatError(f"{os.fspath(self._path)}: a header of {len(text)} bytes is more than safetensors allows")
        self._base = 8 + len(text)
        self._sink = PathSink(self._path)
        self._sink.write(len(text).to_bytes(8, "little"))
        self._sink.write(text)

    def _check_held(self, tensor: Tensor) -> None:
        if tensor.dtype.code not in SAFETENSORS:
            raise cannot_hold(self._path, tensor, "safetensors")
        if not in_whole_bytes(tensor):
            raise cannot_hold(self._path, tensor, "safetensors", "which is not a whole number of bytes")

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._sink is not None
        words = to_words(array, name)
        bits = PACKED_BITS.get(words.dtype.code)
        data = _pack(words.data, bits) if bits else words.data
        self._sink.write_at(self._base + self._offsets[name], data)

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
