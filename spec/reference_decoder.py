"""A decoder of dcz files to learn from: written from SPEC.md alone, in its order, as plainly as possible.

It is slow (seconds for a million symbols) and shares no code with the library: two readers that agree say more about
SPEC.md than one. This file has the sections 6, 7, 9 and 10, `reference_codes.py` 1 and 5, `reference_tensors.py` 2, 3
and 4, `reference_deltas.py` 8. Needs msgpack and zstandard; `load` makes arrays of numpy and ml_dtypes.

    python spec/reference_decoder.py model.dcz
    python spec/reference_decoder.py step.dcz --base base.dcz

Prints a line of JSON for each tensor and alias, as `spec/README.md` says.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack
import numpy as np
from reference_codes import Refused, ceil_div, check_code, crc32c, frame, must
from reference_deltas import decode_with_base
from reference_tensors import DTYPES, Content, Row, Tensor, check_tensor, chunk_bytes, decode_tensor

__all__ = ["DTYPES", "Refused", "load", "read", "trailer"]

# -- 6. The file

MAGIC = b"\x89DCZ\r\n\x1a\n"
VERSION = 1
HAS_BASE = 1


def trailer(data: bytes) -> tuple[int, int, int, int, int]:
    """6.2: where the index begins, its coder, its length decompressed, its CRC-32C, and the feature bits."""
    last = data[-40:]
    must(len(last) == 40 and last[36:] == b"ZCD\x89", "R-FILE-4", "the file ends with the magic", "truncated")
    length, features, stored, plain, crc, version, coder, zero, own = struct.unpack("<QQIIIHBBI", last[:36])
    must(own == crc32c(last[:32]), "R-FILE-4", "the trailer matches its CRC-32C", "checksum")
    must(version == VERSION, "R-FILE-4", f"the version is {VERSION}", "unsupported")
    must(zero == 0, "R-FILE-4", "the reserved byte is zero")
    must(features & ~HAS_BASE == 0, "R-FILE-4", "no feature bit is set but that of a base", "unsupported")
    must(length <= len(data), "R-FILE-5", "the file is whole", "truncated")
    must(length == len(data), "R-FILE-5", "the length is that of the file")
    must(len(data) - 40 - stored >= 8, "R-FILE-5", "the index fits the file")
    must(coder in (0, 1), "R-FILE-6", "the index is stored raw or by zstd")
    must(coder == 1 or stored == plain, "R-FILE-6", "a raw index has one length")
    must(plain <= 32 << 20, "9", "the index has at most 32 MiB", "limit")
    must(plain <= 2**19 + 2 * length, "R-FILE-7", "the index is not too large for the file")
    return len(data) - 40 - stored, coder, plain, crc, features


# -- 7. Index

PER_TENSOR = (
    "dtype_numbers", "ranks", "words", "word_sizes", "nonzeros", "content_crcs", "same_as",
    "positions", "values", "chunks", "entries", "groups", "streams", "rows", "book_rows", "segments",
)  # fmt: skip
KEYS = (
    "names", "dtypes", "dtype_numbers", "ranks", "dims", *PER_TENSOR[2:], "codes", "counts", "numbers",
    "book_crcs", "book_codes", "book_lengths", "row_nonzeros", "row_fillers", "row_crcs", "row_codes", "row_lengths",
)  # fmt: skip
DELTA_KEYS = ("transforms", "base_names", "row_base_crcs", "row_result_crcs")
MAPS = ("aliases", "metadata", "tensor_metadata", "extensions")
NO_INTEGERS = ("names", "dtypes", "codes", "base_names")
SCALARS = (str, bytes, bool, int, float, type(None))


def decode_index(stored: bytes, coder: int, size: int, features: int) -> dict[str, Any]:
    """7.1: the map of columns."""
    raw = frame(stored, size) if coder == 1 else stored
    try:
        columns = msgpack.unpackb(raw, raw=False, strict_map_key=True)
        canonical = msgpack.packb(columns, use_bin_type=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise Refused("format", "R-INDEX-1", f"the index is msgpack ({error})") from None
    must(canonical == raw, "R-INDEX-1", "the msgpack is canonical")
    must(containers(columns) <= 65_536 + len(raw) // 16, "R-LIMIT-1", "there are not too many lists and maps", "limit")
    keys = (*KEYS, *(DELTA_KEYS if features & HAS_BASE else ()), *MAPS)
    must(isinstance(columns, dict) and tuple(columns) == keys, "R-INDEX-2", "the map has these keys in this order")
    for key in NO_INTEGERS:
        found = columns.get(key, [])
        must(isinstance(found, list), "R-INDEX-4", f"{key} are a list")
        kinds = (str, bytes) if key == "codes" else (str,)
        must(all(type(each) in kinds for each in found), "R-INDEX-4", f"{key} are strings")
        must(key == "base_names" or len(set(found)) == len(found), "R-INDEX-4", f"{key} are there once")
    for key in ("names", "base_names"):
        must(all(len(each.encode()) <= 4096 for each in columns.get(key, [])), "9", f"{key} are short", "limit")
    must(all(code.isascii() for code in columns["dtypes"]), "R-INDEX-4", "dtypes are ASCII")
    must(len(columns["names"]) <= 1_000_000, "9", "there are at most a million tensors", "limit")
    return columns


def check_maps(columns: dict[str, Any]) -> None:
    """7.2 and 7.3: the maps behind the columns."""
    for key in MAPS:
        must(type(columns[key]) is dict, "R-INDEX-17", f"{key} are a map")
        check_value(columns[key], key, 0)
    names, aliases = set(columns["names"]), columns["aliases"]
    must(set(columns["tensor_metadata"]) <= names, "R-INDEX-16", "metadata is of tensors that are there")
    for each in columns["tensor_metadata"].values():
        must(type(each) is dict and each, "R-INDEX-16", "metadata of a tensor is a map that is not empty")
    must(not names & set(aliases), "R-INDEX-15", "an alias is no tensor's name")
    must(all(len(name.encode()) <= 4096 for name in aliases), "9", "aliases are short", "limit")
    must(all(type(name) is str and name in names for name in aliases.values()), "R-INDEX-15", "an alias names a tensor")


def check_value(value: object, key: str, depth: int) -> None:
    """7.3, and the nesting of 9."""
    must(type(value) in (*SCALARS, list, dict), "R-INDEX-17", f"{key}: no extension types")
    if isinstance(value, dict):
        must(depth <= 16, "9", f"{key} are not too deep", "limit")
        must(all(type(each) is str for each in value), "R-INDEX-2", f"{key}: keys are strings")
        must(list(value) == sorted(value), "R-INDEX-2", f"{key} are in ascending order")
    must(not value or type(value) is not list or depth < 16, "9", f"{key} are not too deep", "limit")
    for each in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        check_value(each, key, depth + 1)


def largest(key: str) -> int:
    """R-INDEX-6: the largest number that a column may have."""
    if key.endswith("crcs"):
        return 2**32 - 1
    return 2**32 if key.endswith("lengths") else 2**63 - 2 if key == "dims" else 2**48


def containers(value: object) -> int:
    """R-LIMIT-1: lists and maps."""
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


class Column:
    """A column of integers, from which tensor after tensor takes its part."""

    def __init__(self, name: str, stored: object) -> None:
        must(
            isinstance(stored, bytes) and stored[:1] in (b"\1", b"\2", b"\4", b"\x08"),
            "R-INDEX-3",
            f"`{name}` has a width",
        )
        assert isinstance(stored, bytes)
        width, planes = stored[0], stored[1:]
        count = len(planes) // width
        must(len(planes) == count * width, "R-INDEX-3", f"`{name}` has as many bytes in each plane")
        self._values = [int.from_bytes(planes[i::count], "little") for i in range(count)]
        self.highest = max(self._values, default=0)
        must(self.highest >> 4 * width > 0 or width == 1, "R-INDEX-3", f"`{name}` is no wider than it needs")
        self._name, self._at = name, 0

    def take(self, n: int) -> list[int]:
        """The next n."""
        self._at += n
        must(self._at <= len(self._values), "R-INDEX-3", f"`{self._name}` is long enough")
        return self._values[self._at - n : self._at]

    def one_of(self, found: list[Any], n: int) -> list[Any]:
        """What the next n number."""
        numbers = self.take(n)
        must(all(number < len(found) for number in numbers), "R-INDEX-5", f"`{self._name}` number what is in the list")
        return [found[number] for number in numbers]

    def end(self) -> None:
        """Nothing may be left."""
        must(self._at == len(self._values), "R-INDEX-3", f"nothing is left of `{self._name}`")


def tensors(columns: dict[str, Any]) -> Iterator[Tensor]:
    """7.2: what the columns say of each tensor."""
    codes = columns["codes"]
    for code in codes:
        check_code(code)
    column = {
        key: Column(key, columns[key]) for key in (*KEYS, *DELTA_KEYS) if key in columns and key not in NO_INTEGERS
    }
    based = "transforms" in column
    for key, each in column.items():
        must(each.highest <= largest(key), "R-INDEX-6", f"no number of `{key}` is too large")
    must(not based or len(columns["base_names"]) == len(columns["names"]), "R-DELTA-1", "each tensor has a base's name")
    for number, name in enumerate(columns["names"]):
        (dtype,) = column["dtype_numbers"].one_of(columns["dtypes"], 1)
        about = {key: column[key].take(1)[0] for key in PER_TENSOR[1:]}
        rank = about.pop("ranks")
        must(rank <= 64, "9", "a tensor has at most 64 dimensions", "limit")
        t = Tensor(name, dtype, column["dims"].take(rank), **about)
        if based:
            (t.transform,), t.base_name = column["transforms"].take(1), columns["base_names"][number]
            needed = t.transform != 0 and t.base_name != name
            must(not t.base_name or needed, "R-DELTA-1", "a base name is there where it is needed")
        if t.book_rows:
            (t.book_crc,) = column["book_crcs"].take(1)
            used = column["book_codes"].one_of(codes, t.book_rows)
            t.book = list(zip(used, column["book_lengths"].take(t.book_rows)))
        t.codes = [column["numbers"].one_of(codes, count) for count in column["counts"].take(t.streams)]
        must(all(1 <= len(each) <= 16 for each in t.codes), "R-INDEX-4", "a stream has 1 to 16 codes (`counts`)")
        for _ in range(t.rows):
            counts = (column[key].take(1)[0] for key in ("row_nonzeros", "row_fillers", "row_crcs"))
            used, lengths = column["row_codes"].take(t.streams), column["row_lengths"].take(t.streams)
            must(
                all(n < len(each) for n, each in zip(used, t.codes)), "R-INDEX-5", "a row has one of its stream's codes"
            )
            t.directory.append(Row(*counts, list(zip(used, lengths))))
        if t.transform:
            t.base_crcs, t.result_crcs = (column[key].take(t.rows) for key in DELTA_KEYS[2:])
        must(t.segments == t.size, "R-INDEX-7", f"the segment of {name!r} has the bytes that its rows have")
        must(t.same_as <= number, "R-INDEX-8", "`same_as` is an earlier tensor")
        yield t
    for each in column.values():
        each.end()


# -- 10. The whole


def check_index(data: bytes) -> tuple[list[Tensor], dict[str, Any]]:
    """10.1 and 10.2: all tensors and the map of columns, before anything is decoded."""
    must(data[:8] == MAGIC[: len(data)], "R-FILE-1", "the file begins with the magic")
    must(len(data) >= 8, "R-FILE-1", "the file is whole", "truncated")
    begin, coder, plain, crc, features = trailer(data)
    must(crc == crc32c(data[begin:-40]), "R-FILE-8", "the index matches its CRC-32C", "checksum")
    columns = decode_index(data[begin:-40], coder, plain, features)
    found: list[Tensor] = []
    at = 8
    for t in tensors(columns):
        t.start = ceil_div(at, 64) * 64 if t.aligned else at
        must(t.start + t.size <= begin, "R-FILE-3", "the segments fit the file")
        must(not any(data[at : t.start]), "R-FILE-2", "the padding is zero")
        at = t.start + t.size
        found.append(t)
        if t.same_as:
            source = found[t.same_as - 1]
            same = [(s.code, s.words, s.word_sizes, s.nonzeros, s.content_crcs) for s in (t, source)]
            must(source.same_as == 0, "R-INDEX-8", "`same_as` names a tensor that is not itself the same as a third")
            must(same[0] == same[1], "R-INDEX-8", "`same_as` names a tensor of the same words")
            must(t.transform == 0, "R-INDEX-8", "a tensor that is the same as another has no transform")
        check_tensor(t)
    must(at == begin, "R-FILE-3", "the index begins where the segments end")
    check_maps(columns)
    return found, columns


def read(data: bytes, base: dict[str, Content] | None = None) -> tuple[dict[str, Content | str], dict[str, Any]]:
    """All tensors and aliases by name, of those that cannot be read why; and the map of columns."""
    found, columns = check_index(data)
    work = sum(t.words * t.word_sizes for t in found)
    must(work <= max(1 << 30, 1024 * len(data)), "9", "the file does not decode to too many bytes", "limit")
    out: dict[str, Content | str] = {}
    for t in found:
        source = found[t.same_as - 1] if t.same_as else t
        segment = data[source.start : source.start + source.size]
        if t.unknown or source.unknown:
            out[t.name] = f"unknown {t.unknown or source.unknown}"
        elif source.transform and base is None:
            out[t.name] = "it needs a base"
        elif source is not t:
            words = out[source.name]
            assert isinstance(words, Content)
            out[t.name] = Content(t.code, t.shape, words.words)
            continue
        else:
            words = (
                decode_with_base(t, segment, base) if t.transform and base is not None else decode_tensor(t, segment)
            )
            bits = DTYPES[t.code].bits
            must(not bits or not any(byte >> bits for byte in words), "R-ELEM-1", "the bits above an element are zero")
            must(
                crc32c(words) == t.content_crcs,
                "R-INDEX-14",
                f"{t.name!r} decodes to what its CRC-32C says",
                "checksum",
            )
            if t.positions == 0 and not t.transform:
                at, step = range(0, len(words), t.word_sizes), t.word_sizes
                counted = sum(any(words[i : i + step]) for i in at)
                must(t.nonzeros == counted, "R-INDEX-13", f"{t.name!r} has as many nonzeros as the index says")
            out[t.name] = Content(t.code, t.shape, words)
            continue
        for _ in chunk_bytes(source, segment):
            pass  # the stored bytes can be verified all the same
    for name, target in columns["aliases"].items():
        out[name] = out[target]
    return out, columns


def numpy_dtype(name: str) -> Any:
    """The little-endian type."""
    try:
        return np.dtype(name).newbyteorder("<")
    except TypeError:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))


def load(data: bytes, base: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
    """All tensors by name that can be read, as arrays, and the metadata."""
    by_name = {dtype.name: code for code, dtype in DTYPES.items()}
    contents = None
    if base is not None:
        contents = {n: Content(by_name[a.dtype.name], list(a.shape), a.tobytes()) for n, a in base.items()}
    found, columns = read(data, contents)
    arrays = {}
    for name, each in found.items():
        if isinstance(each, Content):
            dtype = numpy_dtype(DTYPES[each.code].name)
            arrays[name] = np.frombuffer(bytearray(each.words), dtype).reshape(each.shape)
    return arrays, columns["metadata"]


def lines(path: str, base_path: str | None = None) -> list[dict[str, Any]]:
    """What the conformance protocol prints of a file; of one that is refused, only that."""
    try:
        base = None
        if base_path:
            with open(base_path, "rb") as file:
                base = {name: each for name, each in read(file.read())[0].items() if isinstance(each, Content)}
        with open(path, "rb") as file:
            found, _ = read(file.read(), base)
    except Refused as error:
        return [{"error": error.kind, "message": str(error)}]
    out: list[dict[str, Any]] = []
    for name, each in found.items():
        if isinstance(each, str):
            out.append({"name": name, "unsupported": each})
        else:
            crc = f"{crc32c(each.words):08x}"
            out.append({"name": name, "dtype": each.code, "shape": each.shape, "content_crc32c": crc})
    return out


def main() -> int:
    """The conformance protocol."""
    parser = argparse.ArgumentParser(description="Print the tensors of a dcz file as lines of JSON.")
    parser.add_argument("file")
    parser.add_argument("--base", help="the file that this one holds differences to")
    options = parser.parse_args()
    found = lines(options.file, options.base)
    for line in found:
        print(json.dumps(line))
    return int(any("error" in line for line in found))


if __name__ == "__main__":
    raise SystemExit(main())
