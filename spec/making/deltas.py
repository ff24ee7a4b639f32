"""Vectors of files with a base (SPEC 8)."""

from __future__ import annotations

from collections.abc import Iterator

from making.tensors import ALL, BITMAP, CODEBOOK, PLANES, REPLACE, STEP, XOR, build
from making.vectors import Vector, elements, pattern, valid

BASE = "delta-base"
HALVES = elements("F16", 600)
FLOATS = pattern(1300, density=0.9)
BASES = {
    "w": build("w", "F32", (13, 100), FLOATS),
    "h": build("h", "F16", (600,), HALVES),
    "i": build("i", "I32", (4,), [0, 1, 0x7FFFFFFF, 0xFFFFFFFF]),
    "f8": build("f8", "F8_E4M3", (256,), list(range(256))),
    "f4": build("f4", "F4", (16,), list(range(16))),
    "c": build("c", "C64", (3,), elements("C64", 3)),
    "e": build("e", "F32", (0, 2), []),
}


def moved(words: list[int], every: int, by: int = 1, mask: int = 0xFFFFFFFF) -> list[int]:
    """Some of them changed."""
    return [(word + by) & mask if i % every == 0 else word for i, word in enumerate(words)]


def copy(name: str, of: str = "") -> object:
    """A copy of a base's tensor."""
    b = BASES[of or name]
    words = [int.from_bytes(b.content[i : i + b.word_size], "little") for i in range(0, len(b.content), b.word_size)]
    return build(name, b.dtype, b.shape, words, transform=1, base_name=of)


def vectors() -> Iterator[Vector]:
    """All of them."""
    yield valid(BASE, "8", "the base of the vectors that begin with delta", list(BASES.values()))

    def delta(name: str, section: str, about: str, tensors: object, **options: object) -> Vector:
        return valid(f"delta-{name}", section, about, tensors, base=BASE, based=True, **options)  # type: ignore[arg-type]

    near = moved(FLOATS, 50)
    kinds = {STEP: "step", XOR: "xor", REPLACE: "replace"}
    for transform, kind in kinds.items():
        for positions, where in ((ALL, "all"), (BITMAP, "bitmap"), (8, "relative8")):
            for values, how in ((PLANES, "planes"), (CODEBOOK, "codebook")):
                t = build("w", "F32", (13, 100), near, positions, values, transform=transform, base=FLOATS)
                yield delta(f"{kind}-{where}-{how}", "8.1", f"{kind} of {where} words, {how}", t)
    wide = build("w", "F32", (13, 100), moved(FLOATS, 700), 16, PLANES, 1536, transform=STEP, base=FLOATS)
    yield delta("step-relative16", "8.1", "steps at relative indices of 16 bits", wide)
    yield delta("none", "8.1", "a tensor that needs no base", build("new", "U8", (3,), [1, 2, 3]))
    yield delta("copy", "8.1", "copies of the base's, one without elements", [copy("w"), copy("e"), copy("c")])
    yield delta("copy-renamed", "8.1", "a copy under another name", copy("renamed", "h"))
    shape = build("w", "F32", (1300,), near, BITMAP, transform=STEP, base=FLOATS)
    yield valid(
        "second-base",
        "8",
        "a base of a tensor without a name, and of one of two names",
        [build("", "U8", (3,), [1, 2, 3]), build("two", "U8", (2,), [4, 5])],
        aliases={"names": "two"},
    )
    odd = [
        build("", "U8", (3,), [1, 2, 4], ALL, PLANES, transform=STEP, base=[1, 2, 3]),
        build("a", "U8", (2,), [4, 6], ALL, PLANES, transform=XOR, base=[4, 5], base_name="names"),
    ]
    about = "an empty name, which is the tensor's own, and a second name of the base"
    yield valid("delta-of-odd-names", "8.1", about, odd, base="second-base", based=True)
    yield delta("reshape", "8.1", "another shape than the base's", shape)
    twice = [
        build(n, "F32", (13, 100), moved(FLOATS, k), BITMAP, transform=k % 3 + 2, base=FLOATS, base_name="w")
        for n, k in (("x", 30), ("y", 40))
    ]
    yield delta(
        "two-of-one",
        "8.1",
        "two tensors made of one, renamed",
        [*twice, twice[0].copied("z", 0)],
        aliases={"also": "z"},
    )
    zeroed = [0 if i % 90 == 0 else word for i, word in enumerate(FLOATS)]
    yield delta(
        "replace-by-zero",
        "8.1",
        "zeros that replace",
        build("w", "F32", (13, 100), zeroed, 8, transform=REPLACE, base=FLOATS),
    )
    stored = build("w", "F32", (13, 100), near, BITMAP, transform=STEP, base=FLOATS, stored=range(0, 1300, 10))
    yield delta("step-of-zero", "8.1", "steps of zero that are stored all the same", stored)
    signs = [word ^ 0x8000 for word in HALVES]
    yield delta(
        "step-across-zero",
        "8.2",
        "steps from each number to its negative",
        build("h", "F16", (600,), signs, transform=STEP, base=HALVES),
    )
    yield delta(
        "xor-of-halves",
        "8.1",
        "exclusive ors are not rotated",
        build("h", "F16", (600,), signs, ALL, CODEBOOK, transform=XOR, base=HALVES),
    )
    wrap = build(
        "i", "I32", (4,), [0xFFFFFFFF, 0x80000000, 0x80000000, 0], transform=STEP, base=[0, 1, 0x7FFFFFFF, 0xFFFFFFFF]
    )
    yield delta("step-of-integers", "8.2", "steps of integers are modulo 2^32", wrap)
    back = list(reversed(range(256)))
    yield delta(
        "step-of-f8",
        "8.2",
        "floats of eight bits have a sign",
        build("f8", "F8_E4M3", (256,), back, transform=STEP, base=list(range(256))),
    )
    four = build("f4", "F4", (16,), list(reversed(range(16))), transform=STEP, base=list(range(16)))
    yield delta("step-of-f4", "8.2", "steps of four-bit floats are those of their bytes", four)
    parts = elements("C64", 3)
    yield delta(
        "step-of-complex",
        "8.2",
        "each part is a word",
        build("c", "C64", (3,), moved(parts, 2, 12345), transform=STEP, base=parts),
    )
    grouped = build("w", "F32", (13, 100), near, BITMAP, CODEBOOK, transform=REPLACE, base=FLOATS, group=64)
    yield delta("groups", "8.1", "replacements of grouped codebooks", grouped)
    frames = build("w", "F32", (13, 100), near, ALL, PLANES, transform=STEP, base=FLOATS, codes=[["zstd"]])
    yield delta("zstd", "8.1", "steps as frames", frames)
    hints = {"base": {"name": "the base", "sha256": "0" * 64, "uri": "https://example.org/base.dcz"}}
    yield delta("hints", "8.5", "metadata that says where the base may be", shape, metadata=hints)
    other = build("w", "F32", (13, 100), near, BITMAP, transform=STEP, base=FLOATS)
    other.transform, other.unsupported = 9, True
    yield delta("unknown-transform", "R-VERSION-1 7.2 8.1", "a transform that no reader knows", [other, copy("h")])
    third = build("w", "F32", (13, 100), near, BITMAP, transform=STEP, base=FLOATS)
    third.transform, third.unsupported = 300, True
    yield delta(
        "unknown-transform-300", "R-VERSION-1 7.2 8.1", "the same, of a number of two bytes", [third, copy("h")]
    )
    none = valid(
        "without-its-base",
        "8.1",
        "read without its base, for the tensors that need none",
        [_missing(shape), build("new", "U8", (3,), [1, 2, 3])],
        based=True,
    )
    yield none


def _missing(t: object) -> object:
    t.unsupported = True  # type: ignore[attr-defined]
    return t
