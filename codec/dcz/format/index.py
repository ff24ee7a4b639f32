"""The index: what tensors a file has and how each is stored (SPEC 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgpack
import numpy as np
import zstandard

from dcz import dtypes, limits
from dcz.dtypes import Dtype
from dcz.entropy import zstd
from dcz.errors import FormatError, LimitError
from dcz.format import columns, integers
from dcz.format import metadata as typed
from dcz.format.directory import ROW_HEAD, check_size
from dcz.format.prelude import SIZE as PRELUDE_SIZE
from dcz.format.prelude import Features
from dcz.tensor import Layout

# A tensor stored as it is starts on a cache line, so that it can be mapped; small and coded ones need not.
ALIGNMENT, MAPPED_BYTES = 64, 4096

_KEYS = ("must_understand", "may_ignore", "names", "dtypes", "shapes", "nonzeros", *columns.KEYS, "aliases", "metadata")
INTEGERS = columns.INTEGERS | {"nonzeros"}


def aligned(offset: int, size: int, mappable: bool) -> int:
    """Where a segment of `size` bytes begins that comes after `offset`."""
    return -(-offset // ALIGNMENT) * ALIGNMENT if mappable and size >= MAPPED_BYTES else offset


class Entry(NamedTuple):
    """One tensor: its `number` in the file, how many of its words are not zero, its bytes when decoded, and its
    segment with the bytes of padding in front of it."""

    number: int
    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    words: int
    nonzeros: int
    nbytes: int
    size: int
    offset: int
    padding: int


@dataclass(frozen=True, slots=True)
class Index:
    """Tensors in the order of their segments, their layouts, second names of some, and metadata."""

    entries: dict[str, Entry]
    columns: columns.Columns
    aliases: dict[str, str]
    metadata: dict[str, object]
    features: Features = field(default_factory=Features)


@dataclass(frozen=True, slots=True)
class Record:
    """A tensor that has been written, for the index."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...]
    nonzeros: int
    layout: Layout


def flatten(records: list[Record], aliases: dict[str, str], metadata: dict[str, object]) -> dict[str, object]:
    """The index as the map that is stored, its columns of integers as lists."""
    return {
        "must_understand": 0,
        "may_ignore": 0,
        "names": [record.name for record in records],
        "dtypes": [record.dtype.code for record in records],
        "shapes": [list(record.shape) for record in records],
        "nonzeros": [record.nonzeros for record in records],
        **columns.flatten([record.layout for record in records]),
        "aliases": {name: aliases[name] for name in sorted(aliases)},
        "metadata": metadata,
    }


def pack(records: list[Record], aliases: dict[str, str], metadata: dict[str, object]) -> tuple[bytes, int]:
    """The index as stored, and its length before compression."""
    plain = flatten(records, aliases, metadata)
    check_size(ROW_HEAD * len(plain["row_crcs"]) + 2 * len(plain["row_codes"]))
    raw = encode(plain)
    if len(raw) > limits.MAX_INDEX_BYTES:
        raise LimitError(f"index: {len(raw)} bytes are more than {limits.MAX_INDEX_BYTES}; split the model into shards")
    _unpack(raw)  # whoever writes a file that no reader takes should know now
    level = 19 if len(raw) < 1 << 20 else 9
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(raw), len(raw)


def encode(plain: dict[str, object]) -> bytes:
    """That map as msgpack."""
    stored = {key: integers.pack(value) if key in INTEGERS else value for key, value in plain.items()}
    return msgpack.packb(stored, use_bin_type=True)


def parse(stored: bytes, size: int, end: int) -> Index:
    """The index from its stored bytes, `size` long when decompressed, for segments that end at `end`."""
    plain = _unpack(zstd.decompress(stored, size, "index"))
    if tuple(plain) != _KEYS:
        raise FormatError(f"index: expected the keys {', '.join(_KEYS)}, found {list(plain)!r:.200}")
    features = Features(*(_feature(plain[key], key) for key in _KEYS[:2]))
    features.check()
    names = _names(plain["names"])
    dtypes_ = _dtypes(plain["dtypes"], names)
    shapes, words = _shapes(plain["shapes"], names, dtypes_)
    found = columns.parse(plain, names, dtypes_, words)
    nonzeros = integers.unpack(plain["nonzeros"], len(names), 0, limits.MAX_WORDS, "nonzeros")
    _check_nonzeros(nonzeros, found)
    entries = _entries(found, shapes, nonzeros.tolist(), end)
    aliases = _aliases(plain["aliases"], entries)
    if type(plain["metadata"]) is not dict:
        raise FormatError("metadata: expected a map")
    typed.check(plain["metadata"], "metadata")
    return Index(entries, found, aliases, plain["metadata"], features)


def _unpack(raw: bytes) -> dict:
    count = 0

    def counted(container: object) -> object:
        nonlocal count
        count += 1
        if count > limits.MAX_INDEX_CONTAINERS:
            raise LimitError(
                f"index: more than {limits.MAX_INDEX_CONTAINERS} lists and maps; split the model into shards"
            )
        return container

    try:
        plain = msgpack.unpackb(raw, raw=False, strict_map_key=True, list_hook=counted, object_hook=counted)
        canonical = msgpack.packb(plain, use_bin_type=True)
    except LimitError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise FormatError(f"index: no valid msgpack ({error!r:.120})") from None
    if canonical != raw:
        raise FormatError("index: not canonical msgpack: a number or length is not in its shortest form")
    if type(plain) is not dict:
        raise FormatError(f"index: expected a map, found {type(plain).__name__}")
    return plain


def _feature(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise FormatError(f"index: {name}: expected 64 bits, found {value!r:.80}")
    return value


def _names(plain: object) -> list[str]:
    if type(plain) is not list:
        raise FormatError("index: names: expected a list")
    if len(plain) > limits.MAX_TENSORS:
        raise LimitError(f"index: {len(plain)} tensors are more than {limits.MAX_TENSORS}")
    for i, name in enumerate(plain):
        if type(name) is not str or not _short(name):
            check_name(name, f"index: names[{i}]", FormatError)
    if len(set(plain)) != len(plain):
        twice = next(name for name in plain if plain.count(name) > 1)
        raise FormatError(f"index: tensor {twice!r:.200} is there twice")
    return plain


def _dtypes(plain: object, names: list[str]) -> list[Dtype]:
    if type(plain) is not list or len(plain) != len(names):
        raise FormatError(f"index: dtypes: expected a list of {len(names)}")
    try:
        return [dtypes.DTYPES[code] for code in plain]
    except (KeyError, TypeError):
        return [dtypes.by_code(code, f"tensor {name!r}") for code, name in zip(plain, names)]


def check_name(name: object, where: str, error: type[Exception]) -> None:
    """Names are Unicode of bounded length; what they may not do is decided where they become paths."""
    if type(name) is not str:
        raise error(f"{where}: expected a string, found {name!r:.80}")
    if _short(name):
        return
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise error(f"{where}: {name!r:.80} is no valid Unicode") from None
    if size > limits.MAX_NAME_BYTES:
        raise error(f"{where}: {size} bytes are more than {limits.MAX_NAME_BYTES}")


def _short(name: str) -> bool:
    """Whether a name is short enough and no wrong Unicode at first sight."""
    return len(name) * 4 <= limits.MAX_NAME_BYTES and name.isascii()


def _shapes(plain: object, names: list[str], dtypes_: list[Dtype]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Shapes, and how many words each tensor has."""
    if type(plain) is not list or len(plain) != len(names):
        raise FormatError(f"index: shapes: expected a list of {len(names)}")
    words = [check_shape(shape, dtype, name) for name, shape, dtype in zip(names, plain, dtypes_)]
    return list(map(tuple, plain)), words


def check_shape(shape: object, dtype: Dtype, name: str) -> int:
    """How many words a shape, a list, makes; all sizes that come of it fit 64-bit integers."""
    if type(shape) is not list:
        raise FormatError(f"tensor {name!r}: shape: expected lengths, found {shape!r:.80}")
    if len(shape) > limits.MAX_DIMENSIONS:
        raise LimitError(f"tensor {name!r}: {len(shape)} dimensions are more than {limits.MAX_DIMENSIONS}")
    bound = total = dtype.words
    for n in shape:  # the product of the nonzero lengths bounds every intermediate size
        if type(n) is not int or n < 0:
            raise FormatError(f"tensor {name!r}: shape: expected lengths, found {shape!r:.80}")
        total *= n
        bound *= n or 1
        if bound > limits.MAX_WORDS:
            raise LimitError(f"tensor {name!r}: shape {shape!r:.80} has more than {limits.MAX_WORDS} words")
    return total


def _check_nonzeros(nonzeros: np.ndarray, c: columns.Columns) -> None:
    """At most as many as words; for sparse tensors exactly those of the directory."""
    wrong = np.where(c.positions > 0, nonzeros != c.nonzeros, nonzeros > c.weights)
    if np.count_nonzero(wrong):
        t = int(np.flatnonzero(wrong)[0])
        expected = c.nonzeros[t] if c.positions[t] else c.weights[t]
        raise FormatError(f"tensor {c.names[t]!r}: nonzeros: {nonzeros[t]}, its chunks have {expected}")


def _entries(c: columns.Columns, shapes: list[tuple[int, ...]], nonzeros: list[int], end: int) -> dict[str, Entry]:
    """Where each segment is: one behind the other, with no more than alignment between them."""
    starts, padding, offset = [], [], PRELUDE_SIZE
    sizes = c.stored.tolist()
    for t, size in enumerate(sizes):
        start = aligned(offset, size, True) if size >= MAPPED_BYTES and c.mappable(t) else offset
        starts.append(start)
        padding.append(start - offset)
        offset = start + size
    words, nbytes = c.weights.tolist(), (c.weights * c.word).tolist()
    numbers = range(len(sizes))
    entries = map(Entry, numbers, c.names, c.dtypes, shapes, words, nonzeros, nbytes, sizes, starts, padding)
    out = dict(zip(c.names, entries))
    if offset != end:
        raise FormatError(f"index: the segments end at byte {offset}, the index begins at {end}")
    return out


def _aliases(plain: object, entries: dict[str, Entry]) -> dict[str, str]:
    if type(plain) is not dict:
        raise FormatError("index: aliases: expected a map")
    if len(plain) > limits.MAX_TENSORS:
        raise LimitError(f"index: {len(plain)} aliases are more than {limits.MAX_TENSORS}")
    for name in plain:
        check_name(name, "index: aliases", FormatError)
    if list(plain) != sorted(plain):
        raise FormatError("index: aliases: expected a map with keys in ascending order")
    for name, target in plain.items():
        if name in entries:
            raise FormatError(f"index: {name!r} is both a tensor and an alias")
        if type(target) is not str or target not in entries:
            raise FormatError(f"index: alias {name!r} names {target!r:.80}, which is no tensor of the file")
    return plain
