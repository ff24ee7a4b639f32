"""Files with rows that do not decode: codes, lanes, frames, positions."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import zstandard
from reference_codes import crc32c

from making.bad import bad, edited
from making.files import frame
from making.rows import packed_lengths, run_frame
from making.tensors import ALL, BITMAP, BYTES, Stored, build
from making.vectors import Vector


def rows() -> Iterator[Vector]:
    def row(
        name: str, section: str, about: str, symbols: Sequence[int], code: Any, data: bytes, word: str = "chunk 0"
    ) -> Vector:
        return bad(f"row-{name}", section, about, "format", word, stored(symbols, code, data))

    six, three = [1, 2, 3, 0, 1, 2], packed_lengths([2, 2, 2, 2])
    yield row("raw-short", "5", "a raw row that lacks a byte", six, "raw", bytes(six[1:]))
    yield row("raw-long", "5", "a raw row with a byte more", six, "raw", bytes([*six, 0]))
    yield row("packed-short", "5.1", "a packed row that lacks a byte", six, "packed2", b"\1")
    yield row("packed-long", "5.1", "a packed row with a byte more", six, "packed2", b"\1\1\0")
    yield row("packed-end", "5.1", "bits behind the last symbol of a packed row", six, "packed2", b"\1\x11")
    yield row("huffman-short", "5.3", "a lane that lacks a symbol", six, three, b"\1")
    yield row("huffman-long", "5.3", "a lane that ends before its last byte", six, three, b"\1\1\0")
    yield row("huffman-end", "5.3", "bits behind the last code of a lane", six, three, b"\1\x11")
    yield row("single-symbol-bytes", "5.2", "bytes of a row of a single symbol", [0] * 6, packed_lengths([1]), b"\0")
    long = [i % 4 for i in range(2400)]
    lanes = [b"\0" * 100] * 6
    lengths = struct.pack("<5H", *[100] * 5)
    yield row("lanes-no-lengths", "5.3", "a row of six lanes that is shorter than their lengths", long, three, bytes(9))
    yield row(
        "lanes-too-long",
        "5.3",
        "lanes that are longer than the row",
        long,
        three,
        struct.pack("<5H", *[150] * 5) + b"".join(lanes),
    )
    yield row(
        "lanes-first-short",
        "5.3",
        "a first lane that lacks a byte",
        long,
        three,
        struct.pack("<5H", 99, *[100] * 4) + b"".join(lanes)[1:],
    )
    yield row(
        "lanes-last-long", "5.3", "a last lane that has a byte more", long, three, lengths + b"".join(lanes) + b"\0"
    )
    yield row("lanes-one-of-2048", "5.3", "one lane where there must be six", [0] * 2048, three, bytes(512))
    yield row(
        "lanes-six-of-2047",
        "5.3",
        "six lanes where there must be one",
        [0] * 2047,
        three,
        struct.pack("<5H", *[86] * 5) + bytes(86 * 5 + 82),
    )
    yield row(
        "longer-than-262080",
        "5.3",
        "a Huffman row of 262,081 symbols",
        [0] * 262_081,
        packed_lengths([1, 1]),
        struct.pack("<5H", *[5461] * 5) + bytes(5 * 5461 + 5457),
    )
    good = frame(bytes(six))
    for name, about, data in (
        ("empty", "no bytes instead of a frame", b""),
        ("cut", "a frame that ends early", good[:-1]),
        ("more", "a byte behind the frame", good + b"\0"),
        ("of-7", "a frame of seven symbols", frame(bytes(7))),
        ("of-5", "a frame of five symbols", frame(bytes(5))),
        ("no-size", "a frame that does not state its size", frame(bytes(six), write_content_size=False)),
        ("checksum", "a frame with a checksum", frame(bytes(six), write_checksum=True)),
        ("skippable", "a skippable frame in front", b"\x50\x2a\x4d\x18\0\0\0\0" + good),
        ("dictionary-0", "a frame with a dictionary ID of 0", run_frame(b"\x21\0\6", 6)),
        ("window-above-8-mib", "a frame of a window of 9 MiB", run_frame(b"\x80\x69\6\0\0\0", 6)),
        ("dictionary", "a frame with a dictionary", frame(bytes(six), dict_data=_dictionary())),
    ):
        yield row(f"zstd-{name}", "5", about, six, "zstd", data, "zstd")
    for name, about, code in (
        ("incomplete", "code lengths that sum to less than 1", packed_lengths([1, 2])),
        ("oversubscribed", "code lengths that sum to more than 1", packed_lengths([1, 1, 1])),
        ("13-bits", "a code of 13 bits", packed_lengths([*range(1, 13), 13, 13])),
        ("single-of-2", "a single symbol of length 2", packed_lengths([0, 2])),
        ("empty", "a code of no bytes", b""),
        ("zeros", "a code of zeros", b"\0\0"),
        ("trailing-zero", "a last byte of zero", packed_lengths([1, 1]) + b"\0"),
        ("129-bytes", "a code of 129 bytes", packed_lengths([8] * 256) + b"\1"),
    ):
        yield row(f"code-{name}", "5.2", about, six, code, b"", "codes")
    yield edited("code-list", "5", "a code that is a list", "codes", lambda plain: plain["codes"].append([]))
    yield edited("code-number", "5", "a code that is a number", "codes", lambda plain: plain["codes"].append(5))
    yield edited(
        "code-twice",
        "7.2",
        "a code that is listed twice",
        "codes",
        lambda plain: plain["codes"].append(plain["codes"][0]),
    )
    t = build("w", "U8", (1024,), [0] * 1023 + [1], BITMAP, codes=[["raw"]])
    t.rows[0] = (0, 0, crc32c(b"\0" * 65), [(0, 64), (0, 1)])
    t.segment = b"\0" * 65 + bytes(63) + b"\x80" + b"\1"
    yield bad("row-of-no-symbols", "5", "a byte of a row without symbols", "format", "chunk 0", [t])
    z = build("w", "U8", (1024,), [0] * 1023 + [1], BITMAP, codes=[["raw"], ["raw", "zstd"]])
    none = zstandard.ZstdCompressor(write_checksum=False).compress(b"")
    front = bytes(64) + none
    z.rows[0] = (0, 0, crc32c(front), [(0, 64), (1, len(none))])
    z.segment = front + z.segment[64:]
    yield bad("row-of-no-symbols-zstd", "5", "a frame of no symbols", "format", "chunk 0", [z])


def stored(symbols: Sequence[int], code: Any, data: bytes, nonzeros: int = 0, **change: Any) -> list[Stored]:
    """A tensor of bytes whose only row has these stored bytes."""
    t = build("w", "U8", (len(symbols),), symbols, chunk=-(-len(symbols) // 512) * 512, codes=[["raw"]])
    t.streams, t.segment, t.rows = [[code]], data, [(0, 0, crc32c(data), [(0, len(data))])]
    for key, value in change.items():
        setattr(t, key, value)
    return [t]


def sparse(
    name: str,
    section: str,
    about: str,
    positions: int,
    n: int,
    rows: list[bytes],
    nonzeros: int,
    fillers: int = 0,
    word: str = "chunk 0",
    error: str = "format",
) -> Vector:
    """A tensor of n bytes of one chunk, of these rows, all raw."""
    data = b"".join(rows)
    t = build("w", "U8", (n,), [0] * n, BITMAP, chunk=1024)
    t.positions, t.nonzeros, t.segment = positions, nonzeros, data
    t.streams = [["raw"]] * len(rows)
    t.rows = [(nonzeros, fillers, crc32c(data), [(0, len(row)) for row in rows])]
    return bad(name, section, about, error, word, [t])


def positions_and_values() -> Iterator[Vector]:
    yield sparse("bitmap-behind-end", "3", "a bit behind the last weight", BITMAP, 5, [b"\x20", b"\1"], 1)
    yield sparse("bitmap-more-bits", "3", "more bits than nonzeros", BITMAP, 5, [b"\3", b"\1"], 1)
    yield sparse("bitmap-fewer-bits", "3", "fewer bits than nonzeros", BITMAP, 5, [b"\1", b"\1\1"], 2)
    yield sparse("relative4-above-filler", "3.1", "a symbol of five bits", 4, 40, [b"\x10", b"\1"], 1)
    yield sparse("relative5-above-filler", "3.1", "a symbol of six bits", 5, 80, [b"\x20", b"\1"], 1)
    yield sparse("relative4-leaves", "3.1", "an index that leaves the chunk", 4, 5, [b"\5", b"\1"], 1)
    yield sparse(
        "relative4-filler-leaves", "3.1", "a filler that leaves the chunk", 4, 20, [b"\3\x0f\x0f", b"\1"], 1, 2
    )
    yield sparse("relative4-fewer-fillers", "4", "fewer fillers than the row says", 4, 40, [b"\3\3", b"\1"], 1, 1)
    yield sparse("relative4-more-fillers", "4", "more fillers than the row says", 4, 40, [b"\x0f\3", b"\1\1"], 2, 0)
    yield sparse(
        "relative16-leaves", "3.1", "an index of 16 bits that leaves the chunk", 16, 600, [b"\0", b"\3", b"\1"], 1
    )
    yield sparse(
        "relative16-one-stream",
        "3",
        "indices of 16 bits without high bytes",
        16,
        600,
        [b"\0", b"\1"],
        1,
        word="streams",
    )
    yield sparse("bytes-sparse", "3", "values of bytes with a bitmap", BITMAP, 5, [b"\1"], 1, word="streams")
    for dtype in ("U4", "I2", "F6_E2M3", "F4"):
        t = build("w", dtype, (3,), [1, 2, 3])
        words = [1, 2, 1 << 6]
        high = build("w", dtype, (3,), words)
        assert t.dtype == high.dtype
        yield bad(
            f"high-bits-{dtype.lower().replace('_', '-')}",
            "2",
            f"bits above an element of {dtype}",
            "format",
            "bits",
            [high],
        )
    t = build("w", "U16", (3,), [1, 2, 3], ALL, BYTES)
    t.streams = [[packed_lengths([8] * 256)]]
    yield bad("bytes-huffman", "3", "words as they are, Huffman-coded", "format", "bytes", [t])
    t = build("w", "U8", (3,), [1, 2, 3], ALL, BYTES)
    t.streams = [["raw", "packed7"]]
    yield bad(
        "bytes-packed-unused", "3", "words as they are with a packed code, which no row uses", "format", "bytes", [t]
    )
    t = build("w", "U8", (3,), [1, 2, 3])
    t.nonzeros = 2
    yield bad("nonzeros-less", "7.2", "fewer nonzeros than there are", "format", "nonzeros", [t])


def _dictionary() -> zstandard.ZstdCompressionDict:
    samples = [bytes([i % 7, i % 5, i % 3]) * 20 for i in range(200)]
    return zstandard.train_dictionary(400, samples)
