"""Each kernel of each compiled set gives what its twin in Python gives, byte for byte."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz.dtypes import Dtype
from dcz.kernels import Kernels
from support.arrays import PATTERNS, make_words

# CRC-32C of RFC 3720, B.4, and of the nine digits that every catalogue of checksums lists.
KNOWN_CHECKSUMS = [
    (b"", 0x00000000),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (
        bytes.fromhex("01c00000" + "00" * 12 + "1400000000000400000000140000001828" + "00" * 7 + "02" + "00" * 7),
        0xD9963A56,
    ),
]

WORDS = st.sampled_from([1, 2, 4, 8])
# Around the block sizes of every kernel: words of 64 bits, vectors, scan blocks, lanes, checksum blocks.
SIZES = st.one_of(
    st.integers(0, 300),
    st.sampled_from(
        [511, 512, 513, 767, 768, 1023, 1024, 1025, 2047, 2048, 2049, 3071, 3072, 3073, 4096, 6150, 10_000]
    ),
)


def words_of(seed: int, n: int, word: int, density: float, distinct: int, pattern: str) -> np.ndarray:
    dtype = Dtype("", "", word, 1, False, 8 * word)
    return make_words(seed, dtype, n, density, distinct, pattern).view(np.uint8)


def bytes_of(seed: int, n: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, n, np.uint8)


@pytest.mark.parametrize(("data", "expected"), KNOWN_CHECKSUMS)
def test_known_checksums(kernel_set: Kernels, data: bytes, expected: int) -> None:
    assert kernel_set.crc32c(np.frombuffer(data, np.uint8)) == expected


@given(seed=st.integers(0, 99), n=SIZES, cut=st.floats(0, 1), start=st.integers(0, 7))
def test_checksums(kernel_set: Kernels, pure: Kernels, seed: int, n: int, cut: float, start: int) -> None:
    data = bytes_of(seed, n + start)[start:]
    whole = kernel_set.crc32c(data)
    assert whole == pure.crc32c(data)
    middle = int(cut * n)
    assert kernel_set.crc32c(data[middle:], kernel_set.crc32c(data[:middle])) == whole
    bounds = np.array([0, middle, middle, n], np.int64)
    rows = kernel_set.crc32c_rows(data, bounds)
    assert rows.dtype == np.uint32
    assert rows.tolist() == [kernel_set.crc32c(data[:middle]), 0, kernel_set.crc32c(data[middle:])]


@given(seed=st.integers(0, 99), counts=st.lists(SIZES, min_size=1, max_size=4), top=st.integers(1, 256))
def test_histograms(kernel_set: Kernels, seed: int, counts: list[int], top: int) -> None:
    symbols = (bytes_of(seed, sum(counts)).astype(np.uint16) % top).astype(np.uint8)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    found = kernel_set.histograms(symbols, bounds)
    expected = [np.bincount(part, minlength=256) for part in np.split(symbols, bounds[1:-1])]
    assert found.dtype == np.uint32 and np.array_equal(found, expected)


@given(seed=st.integers(0, 99), n=SIZES, word=WORDS, density=st.floats(0, 1), pattern=st.sampled_from(PATTERNS))
def test_bitmap_and_nonzeros(kernel_set: Kernels, seed: int, n: int, word: int, density: float, pattern: str) -> None:
    data = words_of(seed, n, word, density, 50, pattern)
    values = data.view(f"<u{word}")
    bits, count = kernel_set.bitmap(data, word)
    assert bits.tobytes() == np.packbits(values != 0, bitorder="little").tobytes()
    assert count == np.count_nonzero(values)
    assert kernel_set.nonzeros(data, word, count).tobytes() == values[values != 0].tobytes()


@given(seed=st.integers(0, 99), n=SIZES, word=WORDS, rotate=st.booleans())
def test_split_and_merge(kernel_set: Kernels, pure: Kernels, seed: int, n: int, word: int, rotate: bool) -> None:
    rotate = rotate and word > 1  # rotated words are floats of two bytes at least
    data = bytes_of(seed, n * word)
    planes = kernel_set.split(data, word, rotate)
    assert planes.shape == (word, n)
    assert np.array_equal(planes, pure.split(data, word, rotate))
    if not rotate:
        assert np.array_equal(planes, data.reshape(n, word).T)
    assert kernel_set.merge(planes, rotate).tobytes() == data.tobytes()
    assert pure.merge(planes, rotate).tobytes() == data.tobytes()


@pytest.mark.parametrize(("word", "value", "rotated"), [(2, 0x8001, 0x0003), (4, 0xBF800000, 0x7F000001), (8, 1, 2)])
def test_rotation_puts_the_sign_lowest(kernel_set: Kernels, word: int, value: int, rotated: int) -> None:
    planes = kernel_set.split(np.frombuffer(value.to_bytes(word, "little"), np.uint8), word, True)
    assert planes.reshape(-1).tobytes() == rotated.to_bytes(word, "little")


@given(
    seed=st.integers(0, 99),
    n=SIZES,
    word=st.sampled_from([2, 4, 8]),
    density=st.floats(0, 1),
    distinct=st.sampled_from([1, 2, 255, 256, 257, 3000]),
    limit=st.sampled_from([1, 2, 255, 256, 257, 1000, 65_536]),
    pattern=st.sampled_from(PATTERNS),
)
def test_scan(
    kernel_set: Kernels, seed: int, n: int, word: int, density: float, distinct: int, limit: int, pattern: str
) -> None:
    if word == 2 and limit > 256:
        limit = 256
    data = words_of(seed, n, word, density, distinct, pattern)
    values = data.view(f"<u{word}")
    nonzeros = values[values != 0].tolist()
    keys = list(dict.fromkeys(nonzeros))  # in order of first appearance
    found = kernel_set.scan(data, word, limit)
    if len(keys) > limit:
        assert found is None
        return
    assert found is not None
    assert found.keys.dtype == np.uint64 and found.keys.tolist() == keys
    assert found.ids.dtype == (np.uint8 if limit <= 256 else np.uint16)
    assert [keys[i] for i in found.ids.tolist()] == nonzeros
    assert found.bitmap.tobytes() == np.packbits(values != 0, bitorder="little").tobytes()


@pytest.mark.parametrize("shift", [0, 16, 32, 45, 48])
def test_scan_takes_no_longer_for_words_that_differ_in_few_bits(native_set: Kernels, shift: int) -> None:
    """Doubles made from half the bits have zeros below: a poor hash put all of them into a handful of slots."""
    values = np.random.Generator(np.random.PCG64(shift)).integers(1, 60_000, 1 << 19).astype("<u8") << np.uint64(shift)
    begin = time.process_time()
    found = native_set.scan(values.view(np.uint8), 8, 65_536)
    assert time.process_time() - begin < 2
    assert found is not None and len(found.keys) == len(np.unique(values))


@given(
    seed=st.integers(0, 99),
    n=st.integers(1, 6000),
    density=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 1.0]),
    bits=st.sampled_from([4, 5, 8]),
    chunk=st.sampled_from([512, 1024, 2048, 8192]),
)
def test_gaps(kernel_set: Kernels, pure: Kernels, seed: int, n: int, density: float, bits: int, chunk: int) -> None:
    set_ = np.random.Generator(np.random.PCG64(seed)).random(n) < density
    bitmap = np.packbits(set_, bitorder="little")
    symbols, entries = kernel_set.gaps(bitmap, n, chunk, bits, int(set_.sum()))
    twin, twin_entries = pure.gaps(bitmap, n, chunk, bits, int(set_.sum()))
    assert symbols.tobytes() == twin.tobytes() and entries.tolist() == twin_entries.tolist()
    assert entries.sum() == len(symbols)
    assert positions(symbols.tolist(), entries.tolist(), bits, chunk) == np.flatnonzero(set_).tolist()


def positions(symbols: list[int], entries: list[int], bits: int, chunk: int) -> list[int]:
    """The paper's rule (3.1): a gap counts the zeros before a weight, the top symbol stands for zeros alone."""
    out, stream = [], iter(symbols)
    for number, count in enumerate(entries):
        at = number * chunk
        for _ in range(count):
            gap = next(stream)
            at += gap
            if gap != (1 << bits) - 1:
                out.append(at)
                at += 1
    return out
