"""Files that are wrong before their index is looked at: magic, trailer, padding, frames and msgpack."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from reference_decoder import MAGIC

from making.bad import bad, edited, whole
from making.files import frame
from making.tensors import ALL, BYTES, build
from making.vectors import Vector, elements


def frame_of_the_file() -> Iterator[Vector]:
    data = whole()
    yield bad("empty", "6", "no bytes", "truncated", "ends after 0 bytes", b"")
    yield bad("magic-half", "6", "half of the magic", "truncated", "ends after 4 bytes", MAGIC[:4])
    yield bad("magic-alone", "6.2", "the magic and nothing else", "truncated", "trailer", MAGIC)
    yield bad("magic-wrong", "6", "another magic number", "format", "magic", b"PK\x03\x04" + data[4:])
    yield bad(
        "magic-lines", "6", "line ends that were converted", "format", "magic", MAGIC.replace(b"\r\n", b"\n") + data[8:]
    )
    yield bad("truncated-by-1", "6.2", "the last byte is missing", "truncated", "trailer", data[:-1])
    yield bad("truncated-trailer", "6.2", "the trailer is missing", "truncated", "trailer", data[:-40])
    yield bad("truncated-half", "6.2", "the second half is missing", "truncated", "trailer", data[: len(data) // 2])
    yield bad("truncated-front", "6.2", "bytes are missing behind the magic", "truncated", "bytes", MAGIC + data[20:])
    yield bad("appended", "6.2", "a byte behind the trailer", "truncated", "trailer", data + b"\0")
    yield bad("two-files", "6.2", "two files joined", "format", "joined", data + data)
    for name, error, word, about, fields in (
        ("crc", "checksum", "trailer", "a trailer of another CRC-32C", {"own": 1}),
        ("version-0", "unsupported", "version", "version 0", {"version": 0}),
        ("version-2", "unsupported", "version 2", "version 2", {"version": 2}),
        ("reserved", "format", "reserved", "a reserved byte that is not zero", {"zero": 1}),
        ("feature-1", "unsupported", "bit 1", "an unknown feature bit", {"features": 2}),
        ("feature-63", "unsupported", "bit 63", "the highest feature bit", {"features": 1 << 63}),
        ("length-less", "format", "bytes", "a length that is less than the file's", {"length": 100}),
        ("length-more", "truncated", "bytes", "a length that is more than the file's", {"length": 1 << 40}),
        ("index-too-long", "format", "index", "an index that is longer than the file", {"stored": 1 << 20}),
        ("index-over-magic", "format", "index", "an index that begins in the magic", {"stored": len(data) - 44}),
        ("index-crc", "checksum", "index", "an index of another CRC-32C", {"crc": 5}),
        ("coder-2", "format", "coder", "an index coder that does not exist", {"coder": 2}),
        ("plain-too-much", "format", "index", "an index that is too large for the file", {"plain": 1 << 21}),
        ("plain-33-mib", "format limit", "index", "an index of 33 MiB", {"plain": 33 << 20}),
        ("plain-wrong", "format", "zstd", "a frame of another size", {"plain": 700}),
        ("coder-of-raw", "format", "index", "a frame that is said to be raw", {"coder": 0}),
    ):  # fmt: skip
        yield bad(f"trailer-{name}", "6.2", about, error, word, trailer=fields)
    yield bad("index-not-zstd", "5 7.1", "bytes that are no frame", "format", "zstd", wrap=lambda raw: b"\0" * 40)
    yield bad("index-frame-cut", "5 7.1", "a frame that ends early", "format", "zstd", wrap=lambda raw: frame(raw)[:-3])
    yield bad(
        "index-frame-header",
        "5 7.1",
        "the magic number of a frame alone",
        "format",
        "index",
        wrap=lambda raw: frame(raw)[:4],
    )
    yield bad(
        "index-frame-and-more",
        "5 7.1",
        "bytes behind the frame",
        "format",
        "zstd",
        wrap=lambda raw: frame(raw) + b"\0",
    )
    yield bad(
        "index-two-frames",
        "5 7.1",
        "two frames",
        "format",
        "index",
        wrap=lambda raw: frame(raw[:99]) + frame(raw[99:]),
    )
    yield bad(
        "index-frame-no-size",
        "5 7.1",
        "a frame that does not state its size",
        "format",
        "how much",
        wrap=lambda raw: frame(raw, write_content_size=False),
    )
    yield bad(
        "index-frame-checksum",
        "5 7.1",
        "a frame with a checksum",
        "format",
        "checksum",
        wrap=lambda raw: frame(raw, write_checksum=True),
    )
    yield bad(
        "index-frame-skippable",
        "5 7.1",
        "a skippable frame in front",
        "format",
        "zstd",
        wrap=lambda raw: b"\x50\x2a\x4d\x18\1\0\0\0\0" + frame(raw),
    )
    yield bad("index-frame-window", "5 7.1", "a frame with a window of 16 MiB", "format", "window", wrap=_window)
    padded = [build("b", "U8", (9,), list(range(9))), build("w", "U8", (4096,), elements("U8", 4096), ALL, BYTES, 4096)]
    yield bad("padding-not-zero", "6.1", "padding that is not zero", "format", "padding", padded, front=_padding)
    yield bad(
        "padding-missing",
        "6.1",
        "no padding where there must be some",
        "format",
        "segments",
        padded,
        front=lambda front: front[:17] + front[64:],
    )
    yield bad(
        "padding-too-much",
        "6.1",
        "padding of a segment that has none",
        "format",
        "segments",
        front=lambda front: front + bytes(8),
    )
    yield bad(
        "bytes-behind-magic",
        "6.1",
        "the first segment does not begin at byte 8",
        "format",
        "segments",
        front=lambda front: MAGIC + b"\0" + front[8:],
    )


def msgpack_and_keys() -> Iterator[Vector]:
    def repacked(
        name: str, about: str, word: str, repack: Callable[[bytes], bytes], requirement: str = "7.1"
    ) -> Vector:
        return bad(f"msgpack-{name}", requirement, about, "format", word, repack=repack)

    yield repacked("empty", "an index without bytes", "msgpack", lambda raw: b"")
    yield repacked("list", "a list instead of a map", "map", lambda raw: b"\x90")
    yield repacked("nil", "nil instead of a map", "map", lambda raw: b"\xc0")
    yield repacked("cut", "a map that ends early", "msgpack", lambda raw: raw[:-1])
    yield repacked("more", "a byte behind the map", "msgpack", lambda raw: raw + b"\0")
    yield repacked(
        "long-map",
        "a map with a length of 32 bits",
        "canonical",
        lambda raw: b"\xdf" + struct.pack(">I", int.from_bytes(raw[1:3], "big")) + raw[3:],
    )
    yield repacked(
        "long-string",
        "a key with a length of 8 bits",
        "canonical",
        lambda raw: raw.replace(b"\xa5names", b"\xd9\5names", 1),
    )
    yield repacked("never-used", "the byte C1", "msgpack", lambda raw: b"\xc1" + raw[1:])
    yield repacked(
        "not-utf8", "a name that is not UTF-8", "msgpack", lambda raw: raw.replace(b"\xa1a\xa1b", b"\xa1\xff\xa1b", 1)
    )
    yield repacked(
        "surrogate",
        "a name that is half a pair of surrogates",
        "msgpack",
        lambda raw: raw.replace(b"\xa1a\xa1b", b"\xa3\xed\xa0\x80\xa1b", 1),
    )
    yield repacked(
        "number-key", "a key that is a number", "msgpack", lambda raw: raw.replace(b"\xaaextensions", b"\x01", 1)
    )
    yield repacked(
        "key-twice",
        "a key that is there twice",
        "canonical",
        lambda raw: raw.replace(b"\xa8metadata\x80", b"\xa7aliases\x80", 1),
    )
    yield repacked(
        "float-32",
        "a float of 32 bits",
        "canonical",
        lambda raw: raw.replace(b"\xa8metadata\x80", b"\xa8metadata\x81\xa1x\xca\x3f\0\0\0", 1),
    )
    yield repacked(
        "extension-type",
        "an extension type",
        "metadata",
        lambda raw: raw.replace(b"\xa8metadata\x80", b"\xa8metadata\x81\xa1x\xd4\5\0", 1),
        "7.1 7.3",
    )
    yield repacked(
        "timestamp",
        "a time",
        "metadata",
        lambda raw: raw.replace(b"\xa8metadata\x80", b"\xa8metadata\x81\xa1x\xd6\xff\0\0\0\1", 1),
        "7.1 7.3",
    )
    yield bad(
        "msgpack-deep",
        "9",
        "lists 6,000 deep",
        "limit",
        "deep",
        repack=lambda raw: raw.replace(b"\xa8metadata\x80", b"\xa8metadata\x81\xa1x" + b"\x91" * 6000 + b"\x90", 1),
    )
    yield edited("keys-missing", "7.2", "a key is missing", "keys", lambda plain: plain.pop("groups"))
    yield edited("keys-more", "7.2", "a key that does not exist", "keys", lambda plain: plain.update(more=1))
    yield edited(
        "keys-order", "7.2", "keys in another order", "keys", lambda plain: plain.update(names=plain.pop("names"))
    )
    yield bad(
        "keys-of-a-base",
        "8.3",
        "columns of a base without its feature bit",
        "format",
        "keys",
        based=True,
        trailer={"features": 0},
    )
    yield bad(
        "keys-without-base", "8.3", "a feature bit without its columns", "format", "keys", trailer={"features": 1}
    )


def _padding(front: bytes) -> bytes:
    return front[:20] + b"\1" + front[21:]


def _window(raw: bytes) -> bytes:
    """A frame whose header asks for 16 MiB, of one block that is stored raw."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0x80, 14 << 3]) + struct.pack("<I", len(raw))
    return header + struct.pack("<I", 1 | len(raw) << 3)[:3] + raw
