"""Files made by hand, with right checksums and whatever index: what a hostile writer can do."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from unittest.mock import patch

import msgpack
import numpy as np
import zstandard

from dcz import kernels
from dcz.format import index, integers, prelude, trailer
from dcz.format.directory import ROW_KEYS
from dcz.tensor import chunking, encode, to_words
from support.arrays import make_array
from support.layouts import Stored, encodings, in_layout, stored, with_frames


def crc(data: bytes) -> int:
    return kernels.active().crc32c(np.frombuffer(data, np.uint8))


def plain_index(tensors: Mapping[str, Stored]) -> dict:
    """The index of these tensors, before it is packed."""
    return index.flatten([each.record(name) for name, each in tensors.items()], {}, {})


def segments(tensors: Mapping[str, Stored]) -> bytes:
    """Prelude and segments, each where the index will look for it."""
    out = bytearray(prelude.MAGIC)
    for each in tensors.values():
        out += bytes(index.aligned(len(out), len(each.segment), each.words * each.dtype.word) - len(out))
        out += each.segment
    return bytes(out)


def compressed(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_content_size=True).compress(raw)


def finish(
    front: bytes, raw: bytes, stored_index: bytes | None = None, features: int = 0, is_raw: bool = False
) -> bytes:
    """Magic and segments, an index of these bytes, and a trailer that fits them."""
    stored_index = compressed(raw) if stored_index is None else stored_index
    end = trailer.Trailer.of(len(front), features, stored_index, len(raw), not is_raw)
    return front + stored_index + end.pack()


def encoded(plain: dict) -> bytes:
    """An index as msgpack: columns of integers as the format has them, where they are integers at all."""
    out = dict(plain)
    for key in index.INTEGERS & set(plain):
        column = plain[key]
        if type(column) is list and all(type(n) is int and 0 <= n < 1 << 64 for n in column):
            out[key] = integers.pack(column)
    return msgpack.packb(out, use_bin_type=True)


def forge(
    tensors: Mapping[str, Stored],
    edit: Callable[[dict], object] = lambda index: None,
    features: int = 0,
    raw: bool = False,
) -> bytes:
    """A file of these tensors, its index changed by `edit` and stored `raw` or compressed."""
    plain = plain_index(tensors)
    edit(plain)
    index_ = encoded(plain)
    return finish(segments(tensors), index_, index_ if raw else None, features, raw)


def reindexed(data: bytes, edit: Callable[[dict], object]) -> bytes:
    """The same file with its index changed by `edit`, columns of integers as lists."""
    end = trailer.Trailer.parse(np.frombuffer(data, np.uint8), len(data))
    stored = data[end.index_offset : end.index_offset + end.index_stored]
    raw = zstandard.ZstdDecompressor().decompress(stored) if end.index_coder == trailer.ZSTD_INDEX else stored
    plain = msgpack.unpackb(raw)
    for key in index.INTEGERS & set(plain):
        planes = np.frombuffer(plain[key], np.uint8, offset=1).reshape(plain[key][0], -1).astype(np.uint64)
        plain[key] = sum(plane << np.uint64(8 * i) for i, plane in enumerate(planes)).tolist()
    edit(plain)
    return finish(data[: end.index_offset], encoded(plain), features=end.features)


def expand(plain: dict, chunks: int) -> None:
    """Makes a tensor of one chunk one of many, all alike."""
    plain["dims"][0], plain["words"][0], plain["rows"][0] = chunks << 20, chunks << 20, chunks
    for key in ROW_KEYS:
        plain[key] *= chunks


def with_trailer(data: bytes, **changes: int) -> bytes:
    """The same file with another trailer, its checksum right."""
    names = (
        "file_length", "features", "index_stored", "index_bytes", "index_crc32c", "version", "coder", "reserved",
    )  # fmt: skip
    fields = dict(zip(names, struct.unpack("<QQIIIHBB", data[-trailer.SIZE : -8])))
    head = struct.pack("<QQIIIHBB", *{**fields, **changes}.values())
    return data[: -trailer.SIZE] + head + struct.pack("<I4s", crc(head), trailer.MAGIC)


def zoo() -> dict[str, Stored]:
    """Small tensors in every kind of layout and under every kind of code there is."""
    few = make_array(1, "F32", (4, 8), 0.4, 5, "float")
    out = {f"few, {each.kind}": each for each in (stored(few, encoding) for encoding in encodings(few))}
    del out["few, relative4 x planes, packed+raw"], out["few, relative5 x planes, packed+raw"]  # as with 8 bits
    frames = make_array(4, "F16", (40,), 0.4, 6)
    for encoding in encodings(frames):
        if (encoding.positions, encoding.values) in (("bitmap", "codebook"), ("all", "bytes")):
            each = stored(frames, with_frames(encoding))
            out[f"frames, {each.kind}"] = each
    with patch.object(chunking, "TARGET_SYMBOLS", 8):  # several chunks, with fillers
        out["rows"] = in_layout(make_array(5, "F32", (1100,), 0.02, 3, "float"), "relative4", "codebook")
    out["wide"] = in_layout(np.arange(257, dtype="<u4"), "all", "codebook")
    out["complex"] = in_layout(make_array(2, "C64", (3, 5), 0.5, 4, "hostile"), "bitmap", "planes")
    out["bytes"] = in_layout(make_array(3, "U8", (30,), 0.3, 9), "bitmap", "planes")
    for name, array in (("scalar", np.float64(-0.0)), ("empty", np.zeros((0, 3), "<f4")), ("zeros", np.zeros(99))):
        words = to_words(array, name)
        encoded = encode(words)
        segment = b"".join(part.tobytes() for part in encoded.parts())
        out[name] = Stored(words.dtype, words.shape, encoded.nonzeros, encoded.layout(), segment, crc(words.data))
    return out
