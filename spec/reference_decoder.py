"""A decoder of dcz files to learn from: written from SPEC.md alone, in its order, as plainly as possible.

It is slow (seconds for a million symbols), keeps no limits (SPEC 8) and shares no code with the library: two readers
that agree say more about SPEC.md than one. This file has the sections 2, 7 and 9, `reference_codes.py` 1 and 5,
`reference_tensors.py` 3, 4 and 6. Needs numpy, msgpack, zstandard and, for the dtypes that numpy lacks, ml_dtypes.

    python spec/reference_decoder.py model.dcz
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator

import msgpack
import numpy as np
import zstandard
from reference_codes import Refused, ceil_div, check_code, crc32c, must
from reference_tensors import BYTES, CODEBOOK, DTYPES, Row, Tensor, check_tensor, decode_tensor

__all__ = ["DTYPES", "Refused", "load"]

# -- 2. The file

VERSION = 0


def prelude(data: bytes) -> tuple[int, int]:
    """2.1: the feature words."""
    must(len(data) >= 64 and data[:8] == b"\x89DCZ\r\n\x1a\n", "2.1", "the file begins with the magic")
    version, zero, must_understand, may_ignore = struct.unpack_from("<IIQQ", data, 8)
    (crc,) = struct.unpack_from("<I", data, 60)
    must(crc == crc32c(data[:60]), "2.1", "the prelude matches its CRC-32C")
    must(version == VERSION, "2.1", f"the version is {VERSION}")
    must(zero == 0 and not any(data[32:60]), "2.1", "reserved bytes are zero")
    must(must_understand == 0, "2.1", "no feature is assigned that a reader must understand")
    return must_understand, may_ignore


def trailer(data: bytes) -> tuple[int, int, int]:
    """2.4: where the index begins, its length decompressed, its CRC-32C."""
    last = data[-32:]
    must(len(data) >= 96 and last[28:] == b"ZCD\x89", "2.4", "the file ends with the magic")
    length, stored, plain, crc, version, zero, own = struct.unpack("<QIIIHHI", last[:28])
    must(own == crc32c(last[:24]), "2.4", "the trailer matches its CRC-32C")
    must(version == VERSION and zero == 0, "2.4", f"the version is {VERSION}, reserved bytes are zero")
    must(length == len(data), "2.4", "the length is that of the file")
    must(len(data) - 32 - stored >= 64, "2.4", "the index fits the file")
    return len(data) - 32 - stored, plain, crc


# -- 7. Index

KEYS = (
    "must_understand", "may_ignore", "names", "dtypes", "shapes", "nonzeros", "positions", "values", "chunks", "entries",
    "groups", "codes", "counts", "numbers", "book_crcs", "book_codes", "book_lengths", "row_nonzeros", "row_fillers",
    "row_crcs", "row_codes", "row_lengths", "aliases", "metadata",
)  # fmt: skip


def decode_index(stored: bytes, size: int) -> dict:
    """7.1: the map of columns."""
    must(zstandard.frame_content_size(stored) == size, "7.1", "the frame states its content size, that of the trailer")
    raw = zstandard.ZstdDecompressor().decompress(stored, max_output_size=size, allow_extra_data=False)
    columns = msgpack.unpackb(raw, raw=False, strict_map_key=True)
    must(msgpack.packb(columns, use_bin_type=True) == raw, "7.1", "the msgpack is canonical")
    must(isinstance(columns, dict) and tuple(columns) == KEYS, "7.2", "the map has these keys in this order")
    must(list(columns["aliases"]) == sorted(columns["aliases"]), "7.1", "aliases are in ascending order")
    return columns


class Column:
    """A column of integers, from which tensor after tensor takes its part."""

    def __init__(self, name: str, stored: bytes) -> None:
        must(isinstance(stored, bytes) and stored[:1] in (b"\1", b"\2", b"\4", b"\x08"), "7.2", f"`{name}` has a width")
        width, planes = stored[0], stored[1:]
        count = len(planes) // width
        must(len(planes) == count * width, "7.2", f"`{name}` has as many bytes in each plane")
        self._values = [int.from_bytes(planes[i::count], "little") for i in range(count)]
        must(max(self._values, default=0) >> 4 * width > 0 or width == 1, "7.2", f"`{name}` is no wider than it needs")
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
    names, codes = columns["names"], columns["codes"]
    must(len(set(names)) == len(names) and len(set(codes)) == len(codes), "7.2", "names and codes are there once")
    for code in codes:
        check_code(code)
    column = {key: Column(key, columns[key]) for key in KEYS[KEYS.index("nonzeros") : -2] if key != "codes"}

    def take(key: str, n: int) -> list[int]:
        return column[key].take(n)

    must(
        len(columns["dtypes"]) == len(columns["shapes"]) == len(names),
        "7.2",
        "columns per tensor have an entry for each",
    )
    for name, dtype, shape in zip(names, columns["dtypes"], columns["shapes"]):
        must(dtype in DTYPES, "3", f"dtype {dtype!r} is unknown")
        about = [take(key, 1)[0] for key in ("nonzeros", "positions", "values", "chunks", "entries", "groups")]
        t = Tensor(name, DTYPES[dtype], shape, *about)
        check_tensor(t)
        if t.values == CODEBOOK:
            (crc,), word = take("book_crcs", 1), t.dtype.word
            t.book = crc, list(zip((codes[n] for n in take("book_codes", word)), take("book_lengths", word)))
        t.codes = [[codes[number] for number in take("numbers", n)] for n in take("counts", t.streams)]
        must(all(1 <= len(each) <= 16 for each in t.codes), "5.1", "a stream names 1 to 16 codes")
        if t.values == BYTES:
            must(all(code in ("raw", "zstd") for each in t.codes for code in each), "6", "bytes are raw or zstd")
        for _ in range(ceil_div(t.words, t.chunk)):
            counts = (take(key, 1)[0] for key in ("row_nonzeros", "row_fillers", "row_crcs"))
            t.rows.append(Row(*counts, list(zip(take("row_codes", t.streams), take("row_lengths", t.streams)))))
        yield t
    for each in column.values():
        each.end()


# -- 9. The whole


def load(data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """All tensors by name, and the metadata."""
    features = prelude(data)
    begin, plain, crc = trailer(data)
    stored = data[begin:-32]
    must(crc == crc32c(stored), "2.4", "the index matches its CRC-32C")
    columns = decode_index(stored, plain)
    must(
        (columns["must_understand"], columns["may_ignore"]) == features, "7.2", "feature words are those of the prelude"
    )
    out: dict[str, np.ndarray] = {}
    at = 64
    for t in tensors(columns):
        start = ceil_div(at, 64) * 64 if t.mappable else at
        must(not any(data[at:start]), "2.2", "the bytes skipped are zero")
        at = start + t.size
        must(at <= begin, "2.2", "segments fit the file")
        out[t.name] = decode_tensor(t, data[start:at])
    must(at == begin, "2.2", "the index begins where the last segment ends")
    for name, target in columns["aliases"].items():
        must(name not in columns["names"], "7.2", "an alias is no tensor's name")
        must(target in columns["names"], "7.2", "an alias names a tensor")
        out[name] = out[target]
    return out, columns["metadata"]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        found, metadata = load(file.read())
    for name, array in found.items():
        print(f"{name}: {array.dtype} {array.shape}, {np.count_nonzero(array)} nonzeros")
    print(metadata)
