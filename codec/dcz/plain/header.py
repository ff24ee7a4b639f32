"""The header of a safetensors file: a length (8 bytes), and JSON with each tensor's dtype, shape and place.

dcz reads the format itself: the library's numpy functions lack bfloat16 and fp8."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz import dtypes, limits
from dcz.dtypes import Dtype
from dcz.errors import FormatError, LimitError, TruncatedError, locating
from dcz.io.sources import Source, read
from dcz.tensor import from_words
from dcz.tensor.shapes import check_shape
from dcz.text import plural

METADATA = "__metadata__"
MAX_HEADER = 100_000_000  # the library's own cap
# Dtypes that safetensors has a name for, and its library reads.
CODES = frozenset([
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
])  # fmt: skip
# Bits of an element of the types that safetensors has several to a byte.
PACKED_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
_MAX_CONTAINERS = 3 * limits.MAX_TENSORS + (1 << 16)  # of a tensor an object and two lists; names may have some too


class Stored(NamedTuple):
    """A tensor as the header describes it: its bytes are `begin` to `end`, counted from the end of the header."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Return the bytes of the array."""
        return self.dtype.itemsize * prod(self.shape)


class SafetensorsHeader:
    """The header of a safetensors file, checked against the file's size: `tensors` by name in the order of their
    bytes, `aliases`, and the other `metadata`.

    A metadata entry whose value names a tensor, and whose key does not, is an alias: so the library writes tied weights
    (`safetensors.torch.save_model`).

    Raises `FormatError`, `TruncatedError` or `LimitError`, which name the file."""

    def __init__(self, source: Source) -> None:
        self._source, name = source, source.name
        header, start = _parsed(source)
        metadata = _metadata(header.pop(METADATA, None), name)
        if len(header) > limits.MAX_TENSORS:
            raise LimitError(
                f"{name}: the header has more than {limits.MAX_TENSORS} tensors; split the model into shards"
            )
        with locating(name):
            entries = sorted((_entry(*item) for item in header.items()), key=lambda entry: entry[3:])
        for entry in entries:
            check_shape(entry.shape, f"{name}: tensor {entry.name!r:.80}", entry.dtype.itemsize)
        self.tensors = {entry.name: entry for entry in entries}
        self.aliases, self.metadata = second_names(metadata, self.tensors)
        self._start = start
        self._check_places()

    def _check_places(self) -> None:
        name, size, at = self._source.name, self._source.size, 0
        for entry in self.tensors.values():
            if entry.begin != at:
                raise FormatError(f"{name}: the tensors leave a hole or overlap at byte {at}")
            at = entry.end
        whole = self._start + at
        if whole > size:
            raise TruncatedError(
                f"{name}: {plural(whole - size, 'byte')} short ({size} of {whole}); finish the download"
            )
        if whole < size:
            raise FormatError(f"{name}: expected {whole} bytes, found {size}; fetch the file again")

    def read(self, entry: Stored) -> NDArray[np.generic]:
        """Return a tensor's values in a fresh array."""
        data = read(self._source, self._start + entry.begin, entry.end - entry.begin)
        bits = PACKED_BITS.get(entry.dtype.code)
        if bits:
            data = _unpack(data, bits, prod(entry.shape))
        return from_words(data, entry.dtype, entry.shape)

    def read_words(self, entry: Stored, first: int, last: int) -> NDArray[np.uint8]:
        """Return the bytes of words [first, last) of a tensor. Of elements that are packed in the file, both are
        multiples of eight, or the end."""
        bits = PACKED_BITS.get(entry.dtype.code)
        each = bits or 8 * entry.dtype.word
        begin, end = first * each // 8, last * each // 8
        data = read(self._source, self._start + entry.begin + begin, end - begin)
        return _unpack(data, bits, last - first) if bits else data

    def read_rows(self, entry: Stored, first: int, last: int) -> NDArray[np.generic]:
        """Return the rows from `first` to before `last` of a tensor whose elements are whole bytes."""
        row = entry.nbytes // entry.shape[0]
        data = read(self._source, self._start + entry.begin + first * row, (last - first) * row)
        return from_words(data, entry.dtype, (last - first, *entry.shape[1:]))


def second_names(metadata: Mapping[str, object], tensors: Container[str]) -> tuple[dict[str, str], dict[str, object]]:
    """Return the aliases among metadata, and the other metadata."""
    names = {
        name: owner
        for name, owner in metadata.items()
        if isinstance(owner, str) and owner in tensors and name not in tensors and name != "format"
    }
    return names, {key: value for key, value in metadata.items() if key not in names}


def _parsed(source: Source) -> tuple[dict[str, object], int]:
    """Return the header as JSON has it, and where the tensors' bytes begin."""
    name, size = source.name, source.size
    if size < 8:
        raise TruncatedError(f"{name}: expected 8 bytes or more, found {size}; finish the download")
    length = int(read(source, 0, 8).view("<u8")[0])
    if length > MAX_HEADER:
        raise FormatError(f"{name}: not a safetensors file (its header would have {length} bytes)")
    if 8 + length > size:
        raise TruncatedError(f"{name}: expected a header of {length} bytes, the file has {size}; finish the download")
    text = read(source, 8, length).tobytes()
    if text.count(b"{") + text.count(b"[") > _MAX_CONTAINERS:  # each takes sixty times its byte once it is parsed
        raise LimitError(f"{name}: the header has more than {limits.MAX_TENSORS} tensors; split the model into shards")
    try:
        header = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name}: the safetensors header is not valid JSON ({error})") from None
    if not isinstance(header, dict):
        raise FormatError(f"{name}: the header is not a JSON object")
    return header, 8 + length


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("duplicate key")
    return out


def _metadata(value: object, name: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise FormatError(f"{name}: __metadata__ must map strings to strings")
    size = sum(len(key) + len(text) for key, text in value.items())
    if size > limits.MAX_METADATA_BYTES:
        raise LimitError(f"{name}: __metadata__ has {size} characters; the limit is {limits.MAX_METADATA_BYTES}")
    return value


def _entry(name: str, value: object) -> Stored:
    where = f"tensor {name!r}"
    if not isinstance(value, dict) or not value.keys() >= {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{where}: expected dtype, shape and data_offsets")
    code = value["dtype"]
    if not isinstance(code, str) or code not in CODES:
        raise FormatError(f"{where}: unknown dtype {code!r:.40}; expected one of {', '.join(sorted(CODES))}")
    dtype = dtypes.by_code(code, where)
    shape, offsets = value["shape"], value["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise FormatError(f"{where}: expected lengths, found {numbers!r:.80}")
    if len(offsets) != 2 or offsets[1] < offsets[0]:
        raise FormatError(f"{where}: data_offsets: expected a range, found {offsets!r:.80}")
    size = stored_bytes(name, dtype, shape)
    if offsets[1] - offsets[0] != size:
        raise FormatError(
            f"{where}: data_offsets: expected {plural(size, 'byte')} for {dtype.code} {shape}, found "
            f"{offsets[1] - offsets[0]}"
        )
    return Stored(name, dtype, tuple(shape), offsets[0], offsets[1])


def stored_bytes(name: str, dtype: Dtype, shape: list[int] | tuple[int, ...]) -> int:
    """Return the bytes in the file. Raises `FormatError` for packed elements that do not fill whole bytes."""
    bits = prod(shape) * PACKED_BITS.get(dtype.code, 8 * dtype.itemsize)
    if bits % 8:
        raise FormatError(f"tensor {name!r}: {bits} bits of {dtype.code} are not a whole number of bytes")
    return bits // 8


def _unpack(data: NDArray[np.uint8], bits: int, n: int) -> NDArray[np.uint8]:
    """Elements narrower than a byte lie packed in the file, lowest bits first, and one to a byte in memory."""
    each = np.unpackbits(data, bitorder="little").reshape(n, bits)
    return np.packbits(each, axis=1, bitorder="little").reshape(-1) if n else np.zeros(0, np.uint8)
