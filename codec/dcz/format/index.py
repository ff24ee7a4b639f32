"""The index: the tensors of a file, and how each is stored (SPEC 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import zstandard

from dcz import limits
from dcz.dtypes import Dtype
from dcz.entropy import zstd
from dcz.errors import FormatError, LimitError
from dcz.format import columns, integers, records
from dcz.format import metadata as typed
from dcz.format.directory import check_size
from dcz.format.entries import Entries, Entry, aligned
from dcz.format.records import Record
from dcz.format.trailer import HAS_BASE, RAW_INDEX, ZSTD_INDEX, Trailer
from dcz.kernels.interface import ROW_HEAD

__all__ = [
    "Entries",
    "Entry",
    "Index",
    "Record",
    "aligned",
    "check_name",
    "check_shape",
    "encode",
    "flatten",
    "pack",
    "parse",
]

_MAPS = ("aliases", "metadata", "tensor_metadata", "extensions")
INTEGERS = columns.INTEGERS


def keys(has_base: bool) -> tuple[str, ...]:
    """Return the keys of an index, in their order."""
    return ("names", *columns.KEYS, *(columns.DELTA_KEYS if has_base else ()), *_MAPS)


@dataclass(frozen=True, slots=True)
class Index:
    """An index: tensors in the order of their segments, their layouts, aliases, metadata of the file and of tensors,
    and `extensions`."""

    entries: Entries
    columns: columns.Columns
    aliases: dict[str, str]
    metadata: dict[str, object]
    tensor_metadata: dict[str, dict[str, object]]
    extensions: dict[str, object]
    features: int


def flatten(
    stored: Sequence[Record],
    aliases: Mapping[str, str],
    metadata: Mapping[str, object],
    extensions: Mapping[str, object] | None = None,
    has_base: bool = False,
) -> dict[str, object]:
    """Return the index as the map that is stored, with columns of integers as lists."""
    found = {
        "names": [record.name for record in stored],
        **records.flatten(stored, has_base),
        "aliases": {name: aliases[name] for name in sorted(aliases)},
        "metadata": metadata,
        "tensor_metadata": {r.name: r.metadata for r in sorted(stored, key=lambda r: r.name) if r.metadata},
        "extensions": extensions or {},
    }
    return {key: found[key] for key in keys(has_base)}


def pack(plain: dict[str, Any], offset: int, features: int, portable: bool = False) -> tuple[bytes, Trailer]:
    """Return the stored index of segments that end at `offset`, and its trailer. The reader's checks run here too: a
    file that no reader accepts is never published. `portable` stores the index uncompressed."""
    check_size(ROW_HEAD * len(plain["row_crcs"]) + 2 * len(plain["row_codes"]))
    raw = encode(plain)
    if len(raw) > limits.MAX_INDEX_BYTES:
        raise LimitError(f"index: {len(raw)} bytes; the limit is {limits.MAX_INDEX_BYTES}; split the model into shards")
    stored = raw
    if not portable:
        level = 19 if len(raw) < 1 << 20 else 9
        stored = zstandard.ZstdCompressor(level=level, write_content_size=True).compress(raw)
    if not portable and len(raw) > limits.index_bytes_for(offset + len(stored)):
        stored, portable = raw, True
    trailer = Trailer.of(offset, features, stored, len(raw), RAW_INDEX if portable else ZSTD_INDEX)
    trailer.check_index()
    _parse(raw, offset, features)
    return stored, trailer


def encode(plain: Mapping[str, Any]) -> bytes:
    """Return that map as msgpack."""
    stored = {key: integers.pack(value) if key in INTEGERS else value for key, value in plain.items()}
    return msgpack.packb(stored, use_bin_type=True)


def parse(stored: bytes, trailer: Trailer) -> Index:
    """Parse the index from its stored bytes, which match the trailer."""
    raw = stored
    if trailer.index_coder == ZSTD_INDEX:
        raw = zstd.decompress(stored, trailer.index_bytes, "index")
    return _parse(raw, trailer.index_offset, trailer.features)


def _parse(raw: bytes, end: int, features: int) -> Index:
    """Parse the index of segments that end at `end`."""
    plain = _unpack(raw)
    expected = keys(bool(features & HAS_BASE))
    if tuple(plain) != expected:
        raise FormatError(f"index: expected the keys {', '.join(expected)}, found {list(plain)!r:.200}")
    numbers = _names(plain["names"])
    found = columns.parse(plain, plain["names"])
    entries = Entries(found, numbers, end)
    aliases = _aliases(plain["aliases"], numbers)
    if len(raw) > limits.MAX_METADATA_BYTES:
        typed.check_size(plain["metadata"], plain["tensor_metadata"], plain["extensions"])
    typed.check_map(plain["metadata"], "metadata")
    typed.check_map(plain["tensor_metadata"], "tensor_metadata")
    for name, value in plain["tensor_metadata"].items():
        if name not in numbers:
            raise FormatError(f"tensor_metadata: {name!r:.80} is not a tensor of the file")
        if type(value) is not dict or not value:
            raise FormatError(f"tensor_metadata: {name!r:.80}: expected a map that is not empty")
    typed.check_map(plain["extensions"], "extensions")
    return Index(entries, found, aliases, plain["metadata"], plain["tensor_metadata"], plain["extensions"], features)


def _unpack(raw: bytes) -> dict[str, Any]:
    count, most = 0, limits.containers_for(len(raw))

    def counted(container: object) -> object:
        nonlocal count
        count += 1
        if count > most:
            raise LimitError(f"index: more than {most} lists and maps; split the model into shards")
        return container

    try:
        plain = msgpack.unpackb(raw, raw=False, strict_map_key=True, list_hook=counted, object_hook=counted)
        canonical = msgpack.packb(plain, use_bin_type=True)
    except LimitError:
        raise
    except (msgpack.exceptions.StackError, RecursionError):
        raise LimitError("index: nested too deep to parse; metadata nest at most 16 deep") from None
    except (ValueError, TypeError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise FormatError(f"index: not valid msgpack ({error!r:.120})") from None
    if canonical != raw:
        raise FormatError("index: not canonical msgpack: a number or length is not in its shortest form")
    if type(plain) is not dict:
        raise FormatError(f"index: expected a map, found {type(plain).__name__}")
    return plain


def _names(plain: object) -> dict[str, int]:
    """Return the number of each name."""
    if type(plain) is not list:
        raise FormatError("index: names: expected a list")
    if len(plain) > limits.MAX_TENSORS:
        raise LimitError(f"index: {len(plain)} tensors; the limit is {limits.MAX_TENSORS}; split the model into shards")
    for i, name in enumerate(plain):
        if type(name) is not str or not _short(name):
            check_name(name, f"index: names[{i}]", FormatError, LimitError)
    numbers = dict(zip(plain, range(len(plain))))
    if len(numbers) != len(plain):
        twice = next(name for i, name in enumerate(plain) if numbers[name] != i)
        raise FormatError(f"index: duplicate tensor {twice!r:.200}")
    return numbers


def check_name(name: object, where: str, error: type[Exception], too_long: type[Exception] | None = None) -> None:
    """Check a name: Unicode of bounded length. Whoever makes a path of it checks more."""
    if type(name) is not str:
        raise error(f"{where}: expected a string, found {name!r:.80}")
    if _short(name):
        return
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise error(f"{where}: {name!r:.80} is not valid Unicode") from None
    if size > limits.MAX_NAME_BYTES:
        raise (too_long or error)(f"{where}: {size} bytes; the limit is {limits.MAX_NAME_BYTES}")


def _short(name: str) -> bool:
    """Return whether a name is certainly short enough and valid Unicode, by a quick check."""
    return len(name) * 4 <= limits.MAX_NAME_BYTES and name.isascii()


def check_shape(shape: Sequence[int], dtype: Dtype, name: str) -> int:
    """Return the number of words of a shape, whose sizes all fit 64-bit integers."""
    if len(shape) > limits.MAX_DIMENSIONS:
        raise LimitError(f"tensor {name!r}: {len(shape)} dimensions; the limit is {limits.MAX_DIMENSIONS}")
    bound = total = dtype.words
    for n in shape:  # the product of the nonzero lengths bounds every intermediate size
        total *= n
        bound *= n or 1
        if bound > limits.MAX_WORDS:
            raise LimitError(f"tensor {name!r}: shape {shape!r:.80} has more than {limits.MAX_WORDS} words")
    return total


def _aliases(plain: object, numbers: dict[str, int]) -> dict[str, str]:
    if type(plain) is not dict:
        raise FormatError("index: aliases: expected a map")
    if len(plain) > limits.MAX_TENSORS:
        raise LimitError(f"index: {len(plain)} aliases; the limit is {limits.MAX_TENSORS}")
    for name in plain:
        check_name(name, "index: aliases", FormatError, LimitError)
    if list(plain) != sorted(plain):
        raise FormatError("index: aliases: expected a map with keys in ascending order")
    for name, target in plain.items():
        if name in numbers:
            raise FormatError(f"index: {name!r} is both a tensor and an alias")
        if type(target) is not str or target not in numbers:
            raise FormatError(f"index: alias {name!r} names {target!r:.80}, which is not a tensor of the file")
    return plain
