"""Arrays of every kind a file must hold: any shape, dtype, density, number of values, and memory order."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dcz.dtypes import DTYPES, Dtype

CODES = tuple(DTYPES)
WIDE_CODES = tuple(code for code, dtype in DTYPES.items() if dtype.word > 1)

# How an array lies in memory. All hold the same elements in the same logical order.
MEMORY = ("C", "F", "strided", "reversed", "transposed", "unaligned", "read-only", "big-endian")

# Where distinct bit patterns come from.
PATTERNS = ("random", "float", "counter", "hostile")


def hostile_words(word: int) -> np.ndarray:
    """Bit patterns that break codecs which look at values: negative zero, NaN payloads, denormals, all ones."""
    top = np.uint64(1) << np.uint64(8 * word - 1)
    ones = np.uint64((1 << (8 * word)) - 1)
    exponent = {1: 0x78, 2: 0x7C00, 4: 0x7F800000, 8: 0x7FF0000000000000}[word]
    patterns = [
        top,
        ones,
        ones - top,
        1,
        top | np.uint64(1),
        exponent,
        exponent | 1,
        exponent | int(top),
        exponent | int(top) | 2,
    ]
    if word == 2:
        patterns += [0x7F80, 0x7F81, 0xFF80, 0xFFC1, 0x0080]  # bfloat16's infinities and NaNs
    return np.array([int(p) for p in patterns], np.uint64).astype(f"<u{word}")


def distinct_words(rng: np.random.Generator, word: int, count: int, pattern: str) -> np.ndarray:
    """About `count` bit patterns of `word` bytes; fewer where there are not so many."""
    kind = np.dtype(f"<u{word}")
    if pattern == "counter":
        return np.arange(1, count + 1).astype(kind)
    if pattern == "hostile":
        base = hostile_words(word)
        flips = np.arange(count).astype(kind) // kind.type(len(base)) << kind.type(4 * (word - 1))
        return base[np.arange(count) % len(base)] ^ flips
    if pattern == "float" and word > 1:
        if word == 2:  # bfloat16: the upper half of a float32
            return rng.standard_normal(count).astype("<f4").view("<u4").__rshift__(16).astype("<u2")
        return rng.standard_normal(count).astype(f"<f{word}").view(kind)
    return rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True)


def make_words(seed: int, dtype: Dtype, words: int, density: float, distinct: int, pattern: str) -> np.ndarray:
    """`words` bit patterns of which about a fraction `density` is not zero."""
    rng = np.random.Generator(np.random.PCG64(seed))
    pool = distinct_words(rng, dtype.word, max(1, distinct), pattern)
    if len(pool) > 4096:
        index = rng.permutation(words) % len(pool)  # as many of them as fit
    else:
        index = (rng.random(words) ** 3 * len(pool)).astype(np.int64)  # some frequent, some rare: as real weights
    chosen = pool[index]
    if density < 1:
        chosen[rng.random(words) >= density] = 0
    return chosen & chosen.dtype.type((1 << dtype.bits) - 1)


def make_array(
    seed: int,
    code: str,
    shape: tuple[int, ...],
    density: float = 0.5,
    distinct: int = 16,
    pattern: str = "random",
    memory: str = "C",
) -> np.ndarray:
    """A seeded array; `memory` is one of MEMORY and does not change its elements."""
    dtype = DTYPES[code]
    words = make_words(seed, dtype, int(np.prod(shape)) * dtype.words, density, distinct, pattern)
    return lay_out(words.view(dtype.numpy()).reshape(shape), memory)


def lay_out(array: np.ndarray, memory: str) -> np.ndarray:
    """The same elements, differently in memory."""
    if memory == "F":
        return np.asfortranarray(array)
    if memory == "strided" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if memory == "reversed" and array.ndim:
        back = (slice(None, None, -1),) * array.ndim
        return np.ascontiguousarray(array[back])[back]
    if memory == "transposed":
        return np.ascontiguousarray(array.T).T
    if memory == "unaligned":
        buffer = np.zeros(array.nbytes + 1, np.uint8)
        buffer[1:] = np.frombuffer(array.tobytes(), np.uint8)
        return buffer[1:].view(array.dtype).reshape(array.shape)
    if memory == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if memory == "big-endian" and array.dtype.kind in "iufc" and array.dtype.itemsize > 1:
        return array.byteswap().view(array.dtype.newbyteorder(">"))
    return array


def shapes(most: int = 6000) -> st.SearchStrategy[tuple[int, ...]]:
    """Scalars, empty arrays, and one to five dimensions of at most `most` elements in all."""
    several = st.lists(st.integers(0, 9), min_size=2, max_size=5).map(tuple)
    return st.one_of(st.just(()), st.tuples(st.integers(0, most)), several)


@st.composite
def arrays(draw: st.DrawFn, most: int = 6000, codes: tuple[str, ...] = CODES) -> np.ndarray:
    """Any array of up to `most` elements."""
    return make_array(
        seed=draw(st.integers(0, 2**32 - 1)),
        code=draw(st.sampled_from(codes)),
        shape=draw(shapes(most)),
        density=draw(st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9, 0.99, 1.0])),
        distinct=draw(st.sampled_from([1, 2, 3, 15, 16, 17, 200, 255, 256, 257, 300, 5000, 70_000])),
        pattern=draw(st.sampled_from(PATTERNS)),
        memory=draw(st.sampled_from(MEMORY)),
    )


# Arrays of many chunks: about 32K symbols make one.
LARGE = {
    "pruned and clustered float32": ("F32", (2400, 1000), 0.1, 31, "float"),
    "very sparse float32": ("F32", (2_500_000,), 0.002, 15, "float"),
    "dense palette float32": ("F32", (300, 401), 1.0, 256, "float"),
    "wide codebook float32": ("F32", (250_001,), 0.5, 3000, "float"),
    "too many values for a codebook": ("F32", (700_000,), 1.0, 70_000, "random"),
    "70,000 values and zeros": ("F64", (200_000,), 0.8, 70_000, "random"),
    "dense bfloat16": ("BF16", (257, 513), 1.0, 60_000, "float"),
    "sparse bfloat16": ("BF16", (500_000,), 0.2, 60_000, "float"),
    "clustered float16": ("F16", (300_003,), 0.7, 250, "random"),
    "sparse bytes": ("I8", (1_300_001,), 0.1, 200, "random"),
    "dense bytes": ("U8", (120_000,), 1.0, 70_000, "random"),
    "complex": ("C64", (160_000, 2), 0.4, 20, "float"),
    "int64": ("I64", (140_001,), 0.6, 400, "counter"),
    "hostile doubles": ("F64", (132_000,), 0.9, 40, "hostile"),
    "all zeros": ("F32", (1000, 1000), 0.0, 1, "random"),
    "constant": ("F32", (1000, 500), 1.0, 1, "float"),
    "just over a chunk of zeros": ("F32", (1_100, 1_001), 0.0, 1, "random"),
    "just over a chunk, nearly empty": ("F16", (1_400_000,), 0.0001, 5, "random"),
    "just over a chunk of random bytes": ("U8", (1_500_000,), 1.0, 70_000, "random"),
    "booleans": ("BOOL", (1_200_000,), 0.3, 1, "counter"),
}


def large(name: str) -> np.ndarray:
    """One of LARGE."""
    code, shape, density, distinct, pattern = LARGE[name]
    return make_array(len(name), code, shape, density, distinct, pattern)
