"""Files with codebooks or differences that are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from reference_codes import crc32c

from making import deltas
from making.bad import as_, bad, flip
from making.files import frame
from making.rows import packed_lengths
from making.tensors import ALL, BITMAP, CODEBOOK, REPLACE, STEP, XOR, Stored, build
from making.vectors import Vector


def books() -> Iterator[Vector]:
    def book(t: Stored, head: bytes, lengths: Sequence[int] | None = None) -> Stored:
        """The same with other stored bytes of its codebooks."""
        old = sum(length for _, length in t.book)
        t.segment, t.book_crc = head + t.segment[old:], crc32c(head)
        t.book = [
            (code, length) for (code, _), length in zip(t.book, lengths or [len(head) // len(t.book)] * len(t.book))
        ]
        return t

    def small(dtype: str = "U16", entries: int = 3, **options: Any) -> Stored:
        n = 6
        return build(
            "w",
            dtype,
            (n,),
            [5 + i % entries for i in range(n)],
            ALL,
            CODEBOOK,
            book_code=lambda row: "raw",
            codes=[["raw"]],
            **options,
        )

    yield bad(
        "codebook-overflow",
        "3.2",
        "a codebook that exceeds the word",
        "format",
        "codebook",
        [book(small(), b"\0\xff\1\xff\0\1")],
    )
    yield bad(
        "codebook-row-short",
        "3.2",
        "a row of a codebook that lacks a byte",
        "format",
        "codebook",
        [book(small(), b"\5\1\1\0\0", [3, 2])],
    )
    yield bad(
        "codebook-row-long",
        "3.2",
        "a row of a codebook with a byte more",
        "format",
        "codebook",
        [book(small(), b"\5\1\1\0\0\0\0", [3, 4])],
    )
    frames = frame(b"\5\1\1") + frame(bytes(3))
    zstd = book(small(), frames)
    zstd.book = [("zstd", len(frames) // 2)] * 2
    yield bad("codebook-zstd", "3.2", "a codebook coded by zstd", "format", "zstd", [zstd])
    beyond = small()
    beyond.entries = 2
    yield bad(
        "codebook-index-beyond",
        "3.2",
        "a cluster index of the number of entries",
        "format",
        "chunk 0",
        [book(beyond, b"\5\1\0\0")],
    )
    wide = build("w", "U32", (300,), list(range(300)), ALL, CODEBOOK, book_code=lambda row: "raw", codes=[["raw"]])
    data = bytearray(wide.segment)
    data[-1] = 200
    wide.segment = bytes(data)
    head = sum(length for _, length in wide.book)
    last = wide.rows[-1]
    wide.rows[-1] = (last[0], last[1], crc32c(wide.segment[head:]), last[3])
    yield bad(
        "codebook-index-beyond-300",
        "3.2",
        "a cluster index of two bytes beyond the entries",
        "format",
        "chunk 0",
        [wide],
    )
    coded = build("w", "U16", (4,), [5, 6, 5, 6], ALL, CODEBOOK, codes=[[packed_lengths([2, 2, 2, 2])]])
    yield bad(
        "codebook-code-beyond",
        "3.2",
        "a Huffman code of a cluster beyond the entries, which no row has",
        "format",
        "cluster",
        [coded],
    )
    byte = build("w", "U8", (4,), [5, 6, 5, 6])
    byte.values, byte.entries, byte.book, byte.segment = CODEBOOK, 2, [("raw", 2)], b"\5\1" + byte.segment
    byte.book_crc = crc32c(b"\5\1")
    yield bad("codebook-of-bytes", "3.2", "a codebook of words of one byte", "format", "codebook", [byte])
    many = build("w", "U16", (600,), [i % 257 for i in range(600)])
    many.values, many.entries = CODEBOOK, 257
    yield bad("codebook-of-257-halves", "3.2", "257 entries of two bytes", "format", "entries", [many])
    yield bad(
        "codebook-more-than-words",
        "3.2",
        "more entries than words",
        "format",
        "words",
        [small("U32", 6, books=[[5, 6, 7, 8, 9, 10, 11]])],
    )
    grouped = build("w", "U32", (128,), [1] * 128, ALL, CODEBOOK, group=64, books=[list(range(1, 66))] * 2)
    yield bad(
        "codebooks-more-than-words",
        "3.2",
        "codebooks of more entries than there are words",
        "format",
        "words",
        [grouped],
    )
    one = [[1 + e for e in range(64)] for _ in range(4096)]
    rows = build("w", "U16", (262_144,), [1] * 262_144, ALL, CODEBOOK, 262_144, group=64, books=one)
    rows.book = [each for i, each in enumerate(rows.book) if i % 2 == 0]
    yield bad("codebook-planes-uncut", "3.2", "planes of 262,144 symbols in one row", "format", "book_rows", [rows])
    crc = small()
    crc.book_crc ^= 1
    yield bad("codebook-crc", "3.2", "a codebook of another CRC-32C", "checksum", "codebook", [crc])


def based() -> Iterator[Vector]:
    near, floats = deltas.moved(deltas.FLOATS, 50), deltas.FLOATS

    def step(**options: Any) -> Stored:
        return build("w", "F32", (13, 100), near, BITMAP, transform=STEP, base=floats, **options)

    def delta(
        name: str, section: str, about: str, error: str, word: str, tensors: Sequence[Stored], **options: Any
    ) -> Vector:
        return bad(f"delta-{name}", section, about, error, word, tensors, base=deltas.BASE, based=True, **options)

    yield delta("base-missing", "8.1", "a base that lacks the tensor", "base", "base", [step(base_name="nowhere")])
    yield delta(
        "base-dtype", "8.1", "a tensor of another dtype than the base's", "base", "dtype", [as_(step(), dtype="I32")]
    )
    yield delta(
        "base-words",
        "8.1",
        "a base's tensor of other words",
        "base",
        "words",
        [one_less()],
    )
    yield delta(
        "base-crc", "8.4", "words that are not the base's", "base", "CRC-32C", [step()], edit=flip("row_base_crcs", 1)
    )
    yield delta(
        "result-crc",
        "8.4",
        "words that are not the result's",
        "checksum",
        "CRC-32C",
        [step()],
        edit=flip("row_result_crcs", 1),
    )
    yield delta(
        "content-crc",
        "8.3",
        "a result of another CRC-32C",
        "checksum",
        "CRC-32C",
        [step()],
        edit=flip("content_crcs", 0),
    )
    yield delta(
        "copy-crc",
        "8.4",
        "a copy of another CRC-32C",
        "base",
        "CRC-32C",
        [deltas.copy("w")],
        edit=flip("content_crcs", 0),
    )
    yield delta(
        "copy-nonzeros", "8.1", "a copy with nonzeros", "format", "nonzeros", [as_(deltas.copy("w"), nonzeros=1)]
    )
    yield delta("copy-layout", "8.1", "a copy with chunks", "format", "layout", [as_(deltas.copy("w"), chunk=512)])
    yield delta(
        "name-not-needed", "8.1", "the name that the tensor has anyway", "format", "base name", [step(base_name="w")]
    )
    yield delta(
        "name-without-transform",
        "8.1",
        "a base's name of a tensor that needs none",
        "format",
        "base name",
        [build("n", "U8", (1,), [1], base_name="w")],
    )
    yield delta(
        "names-short",
        "8.3",
        "a base's name is missing",
        "format",
        "base_names",
        [step()],
        edit=lambda plain: plain["base_names"].pop(),
    )
    yield delta("names-4097", "9", "a base's name of 4,097 bytes", "limit", "4096", [step(base_name="w" * 4097)])
    yield delta(
        "transforms-short",
        "8.3",
        "a transform is missing",
        "format",
        "transforms",
        [step()],
        edit=lambda plain: plain["transforms"].pop(),
    )
    yield delta(
        "row-crcs-short",
        "8.3",
        "a CRC-32C of the base is missing",
        "format",
        "row_base_crcs",
        [step()],
        edit=lambda plain: plain["row_base_crcs"].pop(),
    )
    yield delta(
        "row-crcs-long",
        "8.3",
        "one more CRC-32C of the result",
        "format",
        "row_result_crcs",
        [step()],
        edit=lambda plain: plain["row_result_crcs"].append(1),
    )
    every = build("w", "F32", (13, 100), near, ALL, transform=STEP, base=floats)
    words = sum(word != 0 for word in near)
    yield delta(
        "nonzeros-of-the-result", "8.1", "as many nonzeros as the result has", "format", "nonzeros",
        [as_(every, nonzeros=words)],
    )  # fmt: skip
    for transform, kind in ((STEP, "step"), (XOR, "xor"), (REPLACE, "replace")):
        high = build("f4", "F4", (16,), [*range(15), 0x10], transform=transform, base=list(range(16)))
        yield delta(f"high-bits-{kind}", "2 8.4", "a result with bits above an element", "format", "bits", [high])
    same = step().copied("x", 0)
    same.transform = 1
    yield delta(
        "same-as-with-transform",
        "8.1",
        "a tensor that is the same as another and has a transform",
        "format",
        "transform",
        [step(), same],
    )
    yield delta(
        "nonzeros", "8.1", "nonzeros that are not those of its rows", "format", "nonzeros", [as_(step(), nonzeros=1)]
    )
    yield delta(
        "chunk-crc",
        "4",
        "stored bytes of another CRC-32C",
        "checksum",
        "chunk 1",
        [step()],
        edit=flip("row_crcs", 1),
    )
    yield bad(
        "delta-chunk-crc-without-base",
        "4 8.4",
        "the same without the base: stored bytes can be verified",
        "checksum",
        "chunk 1",
        [step()],
        based=True,
        edit=flip("row_crcs", 1),
    )


def one_less() -> Stored:
    """A tensor of which the base's has one word more."""
    near = deltas.moved(deltas.FLOATS, 50)[:1299]
    return build("w", "F32", (1299,), near, BITMAP, transform=STEP, base=deltas.FLOATS[:1299])
