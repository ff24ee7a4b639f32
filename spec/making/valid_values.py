"""Files that every reader reads, of codebooks, and of what no reader knows yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from making.rows import Code, huffman_for
from making.tensors import ALL, BITMAP, CODEBOOK, PLANES, Stored, build
from making.vectors import SHAPE, WORDS, Vector, pattern, valid


def codebooks() -> Iterator[Vector]:
    yield valid(
        "codebook-1", "3.2", "a codebook of one entry", build("w", "F32", (700,), [0, 5] * 350, BITMAP, CODEBOOK)
    )
    yield valid(
        "codebook-0",
        "3.2",
        "a codebook without entries, as nothing is stored",
        build("w", "F32", (700,), [0] * 700, BITMAP, CODEBOOK, codes=[["raw"]]),
    )
    for n in (256, 257):
        yield valid(
            f"codebook-{n}",
            "3.2",
            f"a codebook of {n} entries",
            build("w", "U32", (n,), list(range(3, n + 3)), ALL, CODEBOOK),
        )
    yield valid(
        "codebook-two-bytes",
        "3.2",
        "256 words of two bytes",
        build("w", "BF16", (300,), [i % 256 * 256 for i in range(300)], ALL, CODEBOOK),
    )
    yield valid(
        "codebook-8-bytes",
        "3.2",
        "words of eight bytes",
        build("w", "F64", (700,), pattern(700, bits=64), BITMAP, CODEBOOK),
    )
    yield valid(
        "codebook-complex",
        "3.2",
        "a codebook of real and imaginary parts",
        build("w", "C128", (350,), pattern(700, bits=64), 4, CODEBOOK),
    )
    books = [[3, 3, 9, 9, 9]]
    yield valid(
        "codebook-equal-entries",
        "3.2",
        "neighbours that are equal",
        build("w", "I32", (40,), [3, 9] * 20, ALL, CODEBOOK, books=books),
    )
    yield valid(
        "codebook-raw-planes",
        "3.2",
        "planes of a codebook raw, packed or Huffman-coded",
        build("w", "I32", SHAPE, WORDS, BITMAP, CODEBOOK, book_code=_each("raw", None, "raw")),
    )
    grouped = [64 * (i // 64) + i % 3 for i in range(700)]
    yield valid(
        "groups-64",
        "3.2",
        "a codebook for each 64 weights, the last for 60",
        build("w", "U32", (700,), grouped, ALL, CODEBOOK, group=64),
    )
    yield valid(
        "groups-across-chunks",
        "3.2",
        "groups that chunks cut",
        build("w", "U32", (1400,), grouped * 2, 8, CODEBOOK, group=192),
    )
    yield valid(
        "groups-larger-than-tensor",
        "3.2",
        "one group of more weights than there are",
        build("w", "U32", (700,), grouped, BITMAP, CODEBOOK, group=6400),
    )
    yield valid(
        "groups-of-halves",
        "3.2",
        "groups of rotated words",
        build("w", "F16", (700,), [32_768 + v for v in grouped], ALL, CODEBOOK, group=128),
    )
    wide = [i % 300 + 1000 * (i // 640) for i in range(1280)]
    yield valid(
        "groups-two-index-planes",
        "3.2",
        "groups of 300 entries",
        build("w", "U32", (1280,), wide, ALL, CODEBOOK, group=640),
    )
    yield valid(
        "codebook-65536",
        "3.2",
        "the largest codebook",
        build("w", "U32", (65_536,), list(range(1, 65_537)), ALL, CODEBOOK, 65_536, codes=[[huffman_for(range(256))]]),
    )
    for n in (4095, 4096):
        ones = [list(range(1, 65))] * n
        ones = [[1 + e for e in range(64)] for _ in range(n)]
        yield valid(
            f"codebook-planes-of-{64 * n}",
            "3.2",
            "planes of a row, or of one and a short one",
            build("w", "U16", (64 * n,), [1] * (64 * n), ALL, CODEBOOK, 262_144, group=64, books=ones),
        )


def unknown() -> Iterator[Vector]:
    known = build("known", "F32", SHAPE, WORDS, BITMAP, CODEBOOK)

    def changed(key: str, value: object) -> Stored:
        t = build("other", "F32", SHAPE, WORDS, 8, PLANES)
        setattr(t, key, value)
        t.unsupported = True
        return t

    yield valid(
        "unknown-dtype",
        "R-VERSION-1 7.2",
        "a dtype that no reader knows, beside one that all do",
        [known, changed("dtype", "X128"), known.copied("last", 0)],
    )
    yield valid(
        "unknown-positions", "R-VERSION-1 7.2", "positions that no reader knows", [changed("positions", 9), known]
    )
    yield valid(
        "unknown-positions-300",
        "R-VERSION-1 7.2",
        "the same, of a number of two bytes",
        [changed("positions", 300), known],
    )
    yield valid("unknown-values", "R-VERSION-1 7.2", "values that no reader knows", [changed("values", 3), known])
    yield valid(
        "unknown-code",
        "R-VERSION-1 7.2",
        "a code that no reader knows",
        [changed("streams", [["lz9"], *[["raw"]] * 4]), known],
    )
    book = build("other", "F32", SHAPE, WORDS, BITMAP, CODEBOOK)
    book.book[0], book.unsupported = ("lz9", book.book[0][1]), True
    yield valid("unknown-code-of-codebook", "R-VERSION-1 7.2", "the same for a row of a codebook", [book, known])
    layout = changed("positions", 77)
    layout.values, layout.chunk, layout.entries, layout.group, layout.nonzeros = 50, 7, 3, 5, 1 << 40
    layout.rows = [(1 << 40, 9, crc, pairs) for _, _, crc, pairs in layout.rows]
    yield valid("unknown-everything", "R-VERSION-1 7.2", "numbers that mean nothing yet", [layout, known])
    far = changed("dtype", "Q3")
    far.word_size, far.words, far.shape = 3, 77, (5, 5)
    yield valid(
        "unknown-word-size", "R-VERSION-1 7.2", "words of three bytes, as many as the shape does not say", [far, known]
    )
    yield valid(
        "unknown-same-as",
        "R-VERSION-1 7.2",
        "a tensor that is the same as one that no reader knows",
        [far, far.copied("same", 0), known],
        aliases={"also": "same"},
    )


def _each(*codes: Code | None) -> Callable[[list[int]], Code]:
    following = iter(codes)
    return lambda symbols: next(following, None) or huffman_for(symbols)
