"""A decoder of dcz files to learn from: written from SPEC.md alone, in its order, as plainly as possible.

It is slow (seconds for a million symbols), keeps no limits of its own (SPEC 9) and shares no code with the library: two
readers that agree say more about SPEC.md than one. This file has the sections 6, 7 and 10, `reference_codes.py` 1 and
5, `reference_tensors.py` 2, 3 and 4, `reference_deltas.py` 8. Needs numpy, msgpack, zstandard and, for the dtypes that
numpy lacks, ml_dtypes.

    python spec/reference_decoder.py model.dcz
    python spec/reference_decoder.py step.dcz base.dcz
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator

import msgpack
import numpy as np
from reference_codes import Refused, ceil_div, check_code, crc32c, frame, must
from reference_deltas import decode_with_base
from reference_tensors import DTYPES, Row, Tensor, check_stored, check_tensor, decode_tensor, finished

__all__ = ["DTYPES", "Refused", "load"]

# -- 6. The file

VERSION = 1
HAS_BASE = 1


def trailer(data: bytes) -> tuple[int, int, int, int, int]:
    """6.2: where the index begins, its coder, its length decompressed, its CRC-32C, and the feature bits."""
    last = data[-40:]
    must(len(data) >= 48 and last[36:] == b"ZCD\x89", "6.2", "the file ends with the magic")
    length, features, stored, plain, crc, version, coder, zero, own = struct.unpack("<QQIIIHBBI", last[:36])
    must(own == crc32c(last[:32]), "6.2", "the trailer matches its CRC-32C")
    must(version == VERSION and zero == 0, "6.2", f"the version is {VERSION}, the reserved byte is zero")
    must(features & ~HAS_BASE == 0, "6.2", "no feature bit is set but that of a base")
    must(length == len(data), "6.2", "the length is that of the file")
    must(len(data) - 40 - stored >= 8, "6.2", "the index fits the file")
    must(coder in (0, 1), "6.2", "the index is stored raw or by zstd")
    must(coder == 1 or stored == plain, "6.2", "a raw index has one length")
    must(plain <= 2**19 + 2 * length, "6.2", "the index is not too large for the file")
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
LISTS = {"names": [str], "dtypes": [str], "codes": [str, bytes], "base_names": [str]}


def decode_index(stored: bytes, coder: int, size: int, features: int) -> dict:
    """7.1: the map of columns."""
    raw = stored
    if coder == 1:
        raw = frame(stored, size)
    try:
        columns = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as error:
        raise Refused(f"SPEC 7.1: the index is msgpack: {error}") from None
    must(msgpack.packb(columns, use_bin_type=True) == raw, "7.1", "the msgpack is canonical")
    keys = (*KEYS, *(DELTA_KEYS if features & HAS_BASE else ()), *MAPS)
    must(isinstance(columns, dict) and tuple(columns) == keys, "7.2", "the map has these keys in this order")
    must(containers(columns) <= 65_536 + len(raw) // 16, "9", "there are not too many lists and maps")
    for key, kinds in LISTS.items():
        right = type(columns.get(key, [])) is list and all(type(each) in kinds for each in columns.get(key, []))
        must(right, "7.2", f"`{key}` is a list of what it is to be")
    must(all(dtype.isascii() for dtype in columns["dtypes"]), "7.2", "dtypes are ASCII")
    must(all(all_strings(columns[key]) for key in MAPS), "7.3", "maps have strings as keys")
    must(all(map(all_strings, columns["tensor_metadata"].values())), "7.3", "metadata of a tensor is a map")
    must(all(type(name) is str for name in columns["aliases"].values()), "7.2", "an alias names a tensor")
    must(all(columns["tensor_metadata"].values()), "7.2", "metadata of tensors is not empty")
    for key in MAPS:
        must(list(columns[key]) == sorted(columns[key]), "7.1", f"{key} are in ascending order")
    must(set(columns["tensor_metadata"]) <= set(columns["names"]), "7.2", "metadata is of tensors that are there")
    return columns


def most(name: str) -> int:
    """7.2: the largest number that a column may have."""
    if name.endswith("crcs"):
        return 2**32 - 1
    return 2**32 if name.endswith("lengths") else 2**63 - 2 if name == "dims" else 2**48


def containers(value: object) -> int:
    """9: lists and maps."""
    if isinstance(value, dict):
        return 1 + sum(map(containers, value.values()))
    return 1 + sum(map(containers, value)) if isinstance(value, list) else 0


def all_strings(what: object) -> bool:
    """Whether this is a map and all its keys are strings."""
    return type(what) is dict and all(type(key) is str for key in what)


class Column:
    """A column of integers, from which tensor after tensor takes its part."""

    def __init__(self, name: str, stored: bytes) -> None:
        must(isinstance(stored, bytes) and stored[:1] in (b"\1", b"\2", b"\4", b"\x08"), "7.2", f"`{name}` has a width")
        width, planes = stored[0], stored[1:]
        count = len(planes) // width
        must(len(planes) == count * width, "7.2", f"`{name}` has as many bytes in each plane")
        self._values = [int.from_bytes(planes[i::count], "little") for i in range(count)]
        must(max(self._values, default=0) >> 4 * width > 0 or width == 1, "7.2", f"`{name}` is no wider than it needs")
        must(max(self._values, default=0) <= most(name), "7.2", f"no number of `{name}` is too large")
        self._name, self._at = name, 0

    def take(self, n: int) -> list[int]:
        """The next n."""
        self._at += n
        must(self._at <= len(self._values), "7.2", f"`{self._name}` is long enough")
        return self._values[self._at - n : self._at]

    def end(self) -> None:
        """Nothing may be left."""
        must(self._at == len(self._values), "7.2", f"nothing is left of `{self._name}`")


def tensors(columns: dict) -> Iterator[Tensor]:
    """7.2: what the columns say of each tensor."""
    names, codes, dtypes = columns["names"], columns["codes"], columns["dtypes"]
    for each, what in ((names, "names"), (codes, "codes"), (dtypes, "dtypes")):
        must(len(set(each)) == len(each), "7.2", f"{what} are there once")
    for code in codes:
        check_code(code)
    integers = [key for key in (*KEYS, *DELTA_KEYS) if key in columns and key not in LISTS]
    column = {key: Column(key, columns[key]) for key in integers}

    def take(key: str, n: int = 1) -> list[int]:
        return column[key].take(n)

    def take_codes(key: str, n: int) -> list[str | bytes]:
        places = take(key, n)
        must(all(place < len(codes) for place in places), "7.2", "a code is one of the list")
        return [codes[place] for place in places]

    for number, name in enumerate(names):
        about = {key: take(key)[0] for key in PER_TENSOR}
        must(about["dtype_numbers"] < len(dtypes), "7.2", "a dtype is one of the list")
        t = Tensor(name, dtypes[about.pop("dtype_numbers")], take("dims", about.pop("ranks")), **about)
        if "transforms" in column:
            (t.transform,) = take("transforms")
            t.base_name = columns["base_names"][number]
            must(
                not t.base_name or (t.transform and t.base_name != name),
                "8.1",
                "a base's name is there if it is needed",
            )
        if t.book_rows:
            (t.book_crc,) = take("book_crcs")
            t.book = list(zip(take_codes("book_codes", t.book_rows), take("book_lengths", t.book_rows)))
        t.codes = [take_codes("numbers", count) for count in take("counts", t.streams)]
        must(all(1 <= len(each) <= 16 for each in t.codes), "5", "a stream names 1 to 16 codes")
        for _ in range(t.rows):
            counts = (take(key)[0] for key in ("row_nonzeros", "row_fillers", "row_crcs"))
            t.directory.append(Row(*counts, list(zip(take("row_codes", t.streams), take("row_lengths", t.streams)))))
        if t.transform:
            t.base_crcs, t.result_crcs = take("row_base_crcs", t.rows), take("row_result_crcs", t.rows)
        must(t.segments == t.size, "7.2", f"the segment of {name!r} has the bytes that its rows have")
        must(t.same_as <= number, "7.2", "a tensor is the same as an earlier one")
        yield t
    for each in column.values():
        each.end()


# -- 10. The whole


def load(data: bytes, base: dict[str, np.ndarray] | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """All tensors by name that are known here, and the metadata; without a base, none that is made of it."""
    must(data[:8] == b"\x89DCZ\r\n\x1a\n", "6", "the file begins with the magic")
    begin, coder, plain, crc, features = trailer(data)
    stored = data[begin:-40]
    must(crc == crc32c(stored), "6.2", "the index matches its CRC-32C")
    columns = decode_index(stored, coder, plain, features)
    out: dict[str, np.ndarray] = {}
    found: list[Tensor] = []
    at = 8
    for t in tensors(columns):
        start = ceil_div(at, 64) * 64 if t.aligned else at
        must(not any(data[at:start]), "6.1", "the bytes skipped are zero")
        at = start + t.size
        must(at <= begin, "6.1", "segments fit the file")
        found.append(t)
        source = t
        if t.same_as:
            source = found[t.same_as - 1]
            same = [(s.code, s.words, s.word_sizes, s.nonzeros, s.content_crcs) for s in (t, source)]
            must(source.same_as == 0 and same[0] == same[1], "7.2", "two tensors that are the same have the same words")
        for each in {id(t): t, id(source): source}.values():
            check_tensor(each)
        where = start if source is t else source.start
        segment = data[where : where + source.size]
        if source is t:
            check_stored(t, segment)
        if t.known and source.known and not source.transform:
            out[t.name] = decode_tensor(t, source, segment)
        elif t.known and source.known and base is not None:
            out[t.name] = finished(t, decode_with_base(source, segment, base))
        t.start = start
    must(at == begin, "6.1", "the index begins where the last segment ends")
    for name, target in columns["aliases"].items():
        must(name not in columns["names"], "7.2", "an alias is no tensor's name")
        must(target in columns["names"], "7.2", "an alias names a tensor")
        if target in out:
            out[name] = out[target]
    return out, columns["metadata"]


if __name__ == "__main__":
    made: dict[str, np.ndarray] | None = None
    about: dict = {}
    for path in reversed(sys.argv[1:]):
        with open(path, "rb") as file:
            made, about = load(file.read(), made)
    for name, array in (made or {}).items():
        print(f"{name}: {array.dtype} {array.shape}, {np.count_nonzero(array)} nonzeros")
    print(about)
