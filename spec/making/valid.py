"""Files that every reader reads: one for each thing that SPEC allows, above all those that ordinary files lack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from reference_codes import crc32c
from reference_tensors import DTYPES

from making import valid_values
from making.rows import huffman_for, packed_lengths, run_frame
from making.tensors import ALL, BITMAP, BYTES, CODEBOOK, PLANES, build
from making.vectors import SHAPE, WORDS, Vector, elements, pattern, valid


def vectors() -> Iterator[Vector]:
    """All of them."""
    yield from whole_files()
    yield from elements_and_shapes()
    yield from layouts()
    yield from codes()
    yield from valid_values.codebooks()
    yield from valid_values.unknown()


def whole_files() -> Iterator[Vector]:
    a, b = build("a", "F32", SHAPE, WORDS, BITMAP, CODEBOOK), build("b", "U8", (9,), list(range(9)))
    yield valid("no-tensors", "6", "a file without tensors", [])
    yield valid("index-raw", "6.2", "an index that is stored as it is", [a, b], portable=True)
    yield valid("index-raw-no-tensors", "6.2", "the smallest file there is", [], portable=True)
    whole = build("w", "F32", (1024,), elements("F32", 1024), ALL, BYTES, 1024)
    yield valid("padding", "6.1", "words as they are of 4,096 bytes begin at a multiple of 64", [b, whole])
    front = build("front", "U8", (56,), elements("U8", 56), ALL, BYTES)
    yield valid(
        "padding-none-needed", "6.1", "words as they are that would begin at a multiple of 64 anyway", [front, whole]
    )
    short = build("w", "U8", (4095,), elements("U8", 4095), ALL, BYTES, 4096)
    yield valid("padding-none-of-4095", "6.1", "words as they are of 4,095 bytes are not aligned", [b, short])
    planes = build("w", "F32", (1024,), elements("F32", 1024), codes=[["raw"]], chunk=1024)
    yield valid(
        "padding-of-planes", "6.1", "byte planes that take as many bytes as the words are aligned too", [b, planes]
    )
    names = [build(name, "U8", (1,), [i]) for i, name in enumerate(["z", "", "ä/..\\\u202e\n", "a", "x" * 4096])]
    yield valid("names", "7.2", "any string is a name, in any order", names)
    yield valid(
        "aliases",
        "7.2",
        "second names, in ascending order of code points",
        [a, b],
        aliases={"\U0001f600": "a", "\uff21": "b", "0": "b"},
    )
    same = [a, b, a.copied("c", 0, (1300, 1)), b.copied("d", 1)]
    yield valid("same-as", "7.2", "tensors that are the same as earlier ones, of other shapes too", same)
    yield valid(
        "same-as-alias", "7.2", "a second name of a tensor that is the same as another", same, aliases={"e": "c"}
    )
    empty = build("e", "F32", (0,), [])
    yield valid(
        "same-as-empty",
        "7.2",
        "a tensor without elements that is the same as another",
        [empty, empty.copied("f", 0, (3, 0))],
    )
    deep: dict = {}
    for _ in range(15):
        deep = {"k": deep}
    kinds = {
        "bool": [False, True], "bytes": b"\0\xff", "empty": [[], {}, "", b""],
        "float": [0.5, -0.0, 1e308, float("inf"), float("nan")],
        "int": [0, -1, 127, 128, -33, 2**63, 2**64 - 1, -(2**63)], "nil": None, "string": "\u00e9\U0001f600\n",
    }  # fmt: skip
    yield valid("metadata", "7.3", "metadata of every type", [a], metadata=kinds)
    yield valid("metadata-deep", "7.3 9", "metadata nested 16 deep", [b], metadata=deep)
    yield valid("metadata-17-maps", "7.3 9", "a map in 16 others", [b], metadata={"k": deep})
    about = [build("t", "U8", (1,), [7], metadata={"unit": "m", "x": [1, {"y": None}]}), b]
    yield valid("metadata-of-tensors", "7.2", "metadata of one tensor of two", about)
    yield valid(
        "extensions",
        "R-VERSION-2 7.2",
        "extensions, which a reader ignores",
        [b],
        extensions={"dcz.future": {"a": [1, 2]}, "x": None},
    )
    yield valid(
        "all-maps",
        "7.2",
        "aliases, metadata, metadata of tensors and extensions at once",
        [*about, a],
        aliases={"s": "t"},
        metadata=kinds,
        extensions={"": 0},
    )


def elements_and_shapes() -> Iterator[Vector]:
    for dtype in DTYPES:
        t = build("w", dtype, (3, 5), elements(dtype, 15))
        yield valid(f"dtype-{dtype.lower().replace('_', '-')}", "2", f"the dtype {dtype}", t)
    yield valid("shape-scalar", "2", "a tensor without dimensions has one element", build("w", "F64", (), [1 << 63]))
    yield valid(
        "shape-empty", "2", "tensors without elements", [build("a", "C64", (0,), []), build("b", "F32", (3, 0, 2), [])]
    )
    yield valid("shape-64", "2 9", "64 dimensions", build("w", "I16", (1,) * 62 + (3, 2), elements("I16", 6)))
    yield valid("shape-empty-wide", "2 9", "no elements, but 2^40 rows of them", build("w", "U8", (1 << 40, 0), []))
    bits = [0, 1 << 31, 1, 0x7F800001, 0xFFFFFFFF, 0x7FC00000, 0x80000001]
    yield valid("float-bits", "2", "negative zero, NaN payloads, denormals", build("w", "F32", (7,), bits, BITMAP))


def layouts() -> Iterator[Vector]:
    for number, name in ((1, "bitmap"), (4, "relative4"), (5, "relative5"), (8, "relative8"), (16, "relative16")):
        sparse = pattern(2 * 70_000 if number == 16 else 1300, density=3e-5 if number == 16 else 0.01, seed=5)
        shape, chunk = (len(sparse),), 131_072 if number == 16 else 1024
        for values, kind in ((PLANES, "planes"), (CODEBOOK, "codebook")):
            t = build("w", "F32", shape, sparse, number, values, chunk)
            yield valid(f"{name}-{kind}", "3" if number == 1 else "3.1", f"positions {name}, values {kind}", t)
    yield valid("all-codebook", "3", "positions all, values codebook", build("w", "F32", SHAPE, WORDS, ALL, CODEBOOK))
    yield valid("all-planes", "3 3.3", "positions all, values planes", build("w", "F32", SHAPE, WORDS, ALL, PLANES))
    yield valid("bytes-raw", "3", "the words as they are", build("w", "I64", (70,), elements("I64", 70), ALL, BYTES))
    yield valid(
        "bytes-zstd", "3", "the words as zstd frames", build("w", "F32", SHAPE, WORDS, ALL, BYTES, codes=[["zstd"]])
    )
    yield valid(
        "bytes-raw-and-zstd",
        "3",
        "the words raw in one chunk, as a frame in the others",
        build("w", "F32", SHAPE, WORDS, ALL, BYTES, codes=[["zstd", "raw"]], pick=_alternating()),
    )
    few = [0] * 600
    few[3], few[40] = 1, 2
    for bits in (4, 5, 8):
        yield valid(
            f"relative{bits}-filler-exact",
            "3.1",
            "a gap of exactly a filler's length",
            build("w", "U16", (600,), _at(600, 2**bits - 1, 599), bits),
        )
    yield valid(
        "relative4-trailing-filler", "3.1", "fillers behind the last index", build("w", "U16", (600,), few, 4, tail=3)
    )
    same = build("w", "U16", (600,), few, 4, chunk=1024, tail=30)
    yield valid("relative4-trailing-fillers", "3.1", "fillers behind the last index of a chunk that has indices", same)
    yield valid(
        "relative4-fillers-alone",
        "3.1",
        "a chunk of fillers alone, to its last weight",
        build("w", "U16", (600,), [0] * 600, 4, chunk=1024, tail=40),
    )
    yield valid(
        "relative8-last-weight",
        "3.1",
        "a filler that ends with the chunk",
        build("w", "U8", (255,), [0] * 255, 8, tail=1),
    )
    yield valid(
        "relative16-fillers",
        "3.1",
        "fillers of 16 bits",
        build("w", "U8", (200_000,), _at(200_000, 65_535, 199_999), 16, chunk=262_144),
    )
    yield valid(
        "stored-zero",
        "3",
        "words that are zero and stored all the same",
        build("w", "F32", (600,), few, BITMAP, stored=[0, 3, 40, 599]),
    )
    yield valid(
        "empty-chunks",
        "4 5",
        "chunks of which nothing is stored",
        build("w", "F32", (2048,), _at(2048, 600), 8, CODEBOOK),
    )
    yield valid(
        "empty-chunks-zstd",
        "5",
        "no symbols take no bytes under zstd either",
        build("w", "F32", (2048,), _at(2048, 600), 8, PLANES, codes=[["zstd"]]),
    )
    yield valid(
        "zeros",
        "3",
        "zeros alone, with a code of a single symbol",
        build("w", "F32", (5000,), [0] * 5000, ALL, PLANES, 5120),
    )
    yield valid(
        "chunk-1048576",
        "4 5.3",
        "the largest chunk, as a row of a single symbol",
        build("w", "U8", (1_048_577,), [7] * 1_048_577, chunk=1_048_576),
    )
    yield valid(
        "chunk-larger-than-tensor",
        "4",
        "a chunk of more weights than there are",
        build("w", "U8", (3,), [1, 2, 3], chunk=1_048_576),
    )
    yield valid(
        "chunks-five", "4", "five chunks, the last one short", build("w", "I32", (2100,), pattern(2100), BITMAP)
    )


def codes() -> Iterator[Vector]:
    for bits in range(1, 8):
        symbols = [i * 5 % (1 << bits) for i in range(83)]
        yield valid(
            f"packed{bits}",
            "5.1",
            f"symbols of {bits} bits",
            build("w", "U8", (83,), symbols, codes=[[f"packed{bits}"]]),
        )
    deep = packed_lengths([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12])
    yield valid(
        "huffman-12-bits",
        "5.2",
        "codes of all lengths up to 12",
        build("w", "U8", (300,), [i % 13 for i in range(300)], codes=[[deep]]),
    )
    yield valid(
        "huffman-256-symbols",
        "5.2",
        "a code of 128 bytes",
        build("w", "U8", (256,), list(range(256)), codes=[[packed_lengths([8] * 256)]]),
    )
    yield valid(
        "huffman-odd-alphabet",
        "5.2",
        "a code whose last byte has one length",
        build("w", "U8", (9,), [i % 3 for i in range(9)], codes=[[packed_lengths([1, 2, 2])]]),
    )
    yield valid(
        "huffman-unused-symbols",
        "5.2",
        "a code of symbols that do not occur",
        build("w", "U8", (40,), [200] * 40, codes=[[packed_lengths([8] * 256)]]),
    )
    yield valid(
        "huffman-highest-symbol", "5.2", "the only symbol is 255", build("w", "U8", (4000,), [255] * 4000, chunk=4096)
    )
    for n in (1, 2047, 2048, 2049, 2053):
        symbols = [i * i % 7 for i in range(n)]
        yield valid(
            f"huffman-row-{n}",
            "5.3",
            f"a row of {n} symbols",
            build("w", "U8", (n,), symbols, chunk=4096, codes=[[packed_lengths([3, 3, 3, 3, 2, 3, 3])]]),
        )
    two = packed_lengths([1, 1])
    yield valid(
        "huffman-row-262080",
        "5.3",
        "the longest row",
        build("w", "U8", (262_080,), [0] * 262_079 + [1], chunk=262_144, codes=[[two]]),
    )
    ramp = [i % 50 for i in range(2100)]
    several = ["packed6", "raw", "zstd", huffman_for(ramp)]
    yield valid(
        "several-codes",
        "5",
        "a stream of four codes, each used by a chunk",
        build("w", "U8", (2100,), ramp, codes=[several], pick=_alternating()),
    )
    sixteen = [
        *(f"packed{b}" for b in range(1, 8)),
        "raw",
        "zstd",
        *(packed_lengths([b] * (1 << b)) for b in range(1, 8)),
    ]
    yield valid(
        "sixteen-codes",
        "5",
        "a stream of sixteen codes",
        build("w", "U8", (8200,), [i % 2 for i in range(8200)], codes=[sixteen], pick=_alternating()),
    )
    yield valid(
        "same-code-twice",
        "5",
        "a stream that names a code twice",
        build("w", "U8", (1100,), ramp[:1100], codes=[["raw", "raw"]], pick=_alternating()),
    )
    zeros = build("w", "U8", (200,), [7] * 200, codes=[["zstd"]])
    frame = run_frame(b"\x80\x68\xc8\0\0\0", 200)
    zeros = replace(zeros, segment=frame, rows=[(0, 0, crc32c(frame), [(0, len(frame))])])
    yield valid("zstd-window", "5.4", "a frame of a window of 8 MiB", zeros)
    yield valid(
        "zstd-of-each-stream",
        "5",
        "positions and cluster indices as frames",
        build("w", "F32", SHAPE, WORDS, BITMAP, CODEBOOK, codes=[["zstd"], ["zstd"]]),
    )
    yield valid(
        "zstd-of-planes",
        "5",
        "each plane with other codes",
        build(
            "w", "F32", SHAPE, WORDS, ALL, PLANES, codes=[["zstd"], ["raw"], [huffman_for(range(256))], ["zstd", "raw"]]
        ),
    )


def _at(n: int, *places: int) -> list[int]:
    words = [0] * n
    for place in places:
        words[place] = place & 127 | 1
    return words


def _alternating() -> Callable[[list[int]], int]:
    count = iter(range(1 << 30))
    return lambda usable: usable[next(count) % len(usable)]
