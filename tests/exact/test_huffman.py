"""Huffman codes are optimal, complete, and coded alike by all kernel sets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from bitarray import bitarray
from bitarray.util import canonical_decode, canonical_huffman, huffman_code
from hypothesis import given
from hypothesis import strategies as st

from dcz import kernels
from dcz.entropy import Code
from dcz.kernels import KernelError, Kernels, Status
from dcz.kernels.interface import CODE_RECORD, HUFFMAN, LANE_THRESHOLD, LANES

COUNTS = st.dictionaries(
    st.integers(0, 255), st.one_of(st.integers(1, 9), st.integers(1, 10**6), st.integers(1, 2**40)), max_size=256
)


def histogram(counts: dict[int, int]) -> np.ndarray:
    out = np.zeros(256, np.uint64)
    out[list(counts)] = list(counts.values())
    return out


def lengths_of(counts: dict[int, int], limit: int = 12) -> np.ndarray:
    return kernels.active().code_lengths(histogram(counts), limit)


def record_of(lengths: np.ndarray) -> np.ndarray:
    return np.frombuffer(Code.huffman(lengths).record, np.uint8)


def code(symbols: np.ndarray, record: np.ndarray, kernel_set: Kernels) -> np.ndarray:
    """One row, coded."""
    bounds, use = np.array([0, len(symbols)], np.int64), np.zeros(1, np.uint8)
    lanes = kernel_set.lane_sizes(symbols, bounds, use, record)
    size = int(lanes.sum()) + (2 * (LANES - 1) if len(symbols) >= LANE_THRESHOLD and lanes.any() else 0)
    out = np.full(size, 0xAA, np.uint8)
    kernel_set.encode(symbols, bounds, use, record, lanes, out, np.zeros(1, np.int64))
    return out


@given(counts=COUNTS)
def test_lengths_are_optimal_where_no_limit_binds(counts: dict[int, int]) -> None:
    lengths = lengths_of(counts)
    if len(counts) < 2:
        assert {s: lengths[s] for s in counts} == dict.fromkeys(counts, 1)
        return
    optimal = {symbol: len(bits) for symbol, bits in huffman_code(counts).items()}
    total = sum(count * int(lengths[symbol]) for symbol, count in counts.items())
    least = sum(count * optimal[symbol] for symbol, count in counts.items())
    if max(optimal.values()) <= 12:
        assert total == least
    else:
        assert total >= least


@given(counts=COUNTS, limit=st.integers(8, 12))
def test_lengths_make_a_complete_code_within_the_limit(counts: dict[int, int], limit: int) -> None:
    lengths = lengths_of(counts, limit)
    present = lengths[lengths > 0].astype(int)
    assert sorted(np.flatnonzero(lengths)) == sorted(counts)
    if len(counts) > 1:
        assert present.max() <= limit
        assert (1 << (limit - present)).sum() == 1 << limit  # Kraft's sum is one
        order = sorted(counts, key=lambda symbol: (counts[symbol], symbol))
        assert (np.diff(lengths[order].astype(int)) <= 0).all()  # who is rarer is not shorter


@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=6), limit=st.integers(1, 4))
def test_limited_lengths_are_optimal_by_brute_force(counts: list[int], limit: int) -> None:
    if len(counts) > 1 << limit:
        with pytest.raises(KernelError) as refusal:
            lengths_of(dict(enumerate(counts)), limit)
        assert refusal.value.status is Status.ARGUMENT
        return
    lengths = lengths_of(dict(enumerate(counts)), limit)[: len(counts)].astype(int)
    least = min(
        sum(c * n for c, n in zip(counts, tried))
        for tried in product(range(1, limit + 1), repeat=len(counts))
        if sum(2.0**-n for n in tried) <= 1
    )
    assert sum(c * n for c, n in zip(counts, lengths)) == least


@given(counts=COUNTS, limit=st.integers(0, 13))
def test_all_kernel_sets_find_the_same_lengths(native_set: Kernels, pure: Kernels, counts: dict, limit: int) -> None:
    try:
        expected = pure.code_lengths(histogram(counts), limit)
    except KernelError as refusal:
        assert refusal.status is Status.ARGUMENT
        with pytest.raises(KernelError) as other:
            native_set.code_lengths(histogram(counts), limit)
        assert other.value.status is Status.ARGUMENT
    else:
        assert native_set.code_lengths(histogram(counts), limit).tolist() == expected.tolist()


def test_canonical_numbers_are_those_of_bitarray() -> None:
    """The stored bits of one lane, read back by an independent decoder: last symbol first, first bit lowest."""
    rng = np.random.Generator(np.random.PCG64(3))
    symbols = (rng.geometric(0.3, 1500) - 1).clip(0, 20).astype(np.uint8)
    counts = dict(zip(*(a.tolist() for a in np.unique(symbols, return_counts=True))))
    _, count, order = canonical_huffman(counts)
    lengths = np.zeros(256, np.uint8)
    lengths[order] = np.repeat(np.arange(len(count)), count)
    stream = bitarray(endian="little")
    stream.frombytes(code(symbols, record_of(lengths), kernels.active()).tobytes())
    used = int(lengths[symbols].astype(int).sum())
    order = sorted(counts, key=lambda symbol: (lengths[symbol], symbol))
    assert list(canonical_decode(stream[:used], count, order))[::-1] == symbols.tolist()
    assert not stream[used:].any()


ROWS = st.one_of(st.integers(0, 40), st.sampled_from([2046, 2047, 2048, 2049, 2053, 2054, 4095, 4096, 6144, 10_007]))


@given(seed=st.integers(0, 999), n=ROWS, alphabet=st.sampled_from([1, 2, 3, 16, 255, 256]), skew=st.floats(0.5, 30))
def test_rows_come_back(kernel_set: Kernels, pure: Kernels, seed: int, n: int, alphabet: int, skew: float) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    symbols = (rng.random(n) ** skew * alphabet).astype(np.uint8)
    extra = dict.fromkeys(range(alphabet), 1) if seed % 2 else {}  # symbols of the code that the row does not have
    counts = extra | {s: c + 1 for s, c in zip(*(a.tolist() for a in np.unique(symbols, return_counts=True)))}
    record = record_of(lengths_of(counts or {0: 1}))
    coded = code(symbols, record, kernel_set)
    assert coded.tobytes() == code(symbols, record, pure).tobytes()
    for reader in (kernel_set, pure):
        out = np.full(n, 0xAA, np.uint8)
        reader.decode(record, coded, out)
        assert out.tobytes() == symbols.tobytes()


JOINED = {
    "one bit each": [1, 1],
    "one bit, and longer and longer": [*range(1, 12), 12, 12],
    "one bit, and eleven": [1, 2, 3, *[11] * 252, 9],
    "two bits each": [2] * 4,
    "two bits, and twelve": [2, 2, 2, *range(3, 13), 12],
    "as Gaussian weights": [7, 7, 6, 5, 4, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 7],
    "six bits each": [6] * 64,
    "eight bits each": [8] * 256,
}


@pytest.mark.parametrize("n", [6000, 65_536, 65_537])
@pytest.mark.parametrize("name", JOINED)
def test_several_symbols_a_lookup(kernel_set: Kernels, name: str, n: int) -> None:
    """Long rows, whose tables say as many symbols as fit: of every likelihood, and runs of one symbol."""
    lengths = np.zeros(256, np.uint8)
    lengths[: len(JOINED[name])] = JOINED[name]
    rng = np.random.Generator(np.random.PCG64(n))
    likely = 0.5 ** lengths[lengths > 0].astype(float)
    rows = [rng.choice(len(likely), n, p=likely / likely.sum()), rng.integers(0, len(likely), n)]
    rows += [np.full(n, np.argmin(JOINED[name])), np.repeat(rng.integers(0, len(likely), n), 97)[:n]]
    record = record_of(lengths)
    for row in rows:
        symbols = row.astype(np.uint8)
        out = np.full(n, 0xAA, np.uint8)
        kernel_set.decode(record, code(symbols, record, kernel_set), out)
        assert out.tobytes() == symbols.tobytes()


@pytest.mark.parametrize("bits", range(1, 8))
@given(seed=st.integers(0, 99), n=ROWS)
def test_packed_rows_come_back(kernel_set: Kernels, pure: Kernels, bits: int, seed: int, n: int) -> None:
    symbols = np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << bits, n, np.uint8)
    record = np.zeros(CODE_RECORD, np.uint8)
    record[0] = bits
    bounds, use = np.array([0, n], np.int64), np.zeros(1, np.uint8)
    memory = np.full(-(-n * bits // 8) + 16, 0xAA, np.uint8)
    kernel_set.encode(symbols, bounds, use, record, np.zeros((1, LANES), np.int64), memory, np.zeros(1, np.int64))
    out = memory[:-16]
    expected = sum(int(s) << (bits * i) for i, s in enumerate(symbols)).to_bytes(len(out), "little")
    assert out.tobytes() == expected  # little-endian, no gaps
    assert (memory[-16:] == 0xAA).all()  # the next row may be there already
    for reader in (kernel_set, pure):
        found = np.full(n, 0xAA, np.uint8)
        reader.decode(record, out, found)
        assert found.tobytes() == symbols.tobytes()


def test_packed_and_raw_are_always_codes(kernel_set: Kernels) -> None:
    for kind in range(HUFFMAN):
        record = np.zeros(CODE_RECORD, np.uint8)
        record[0] = kind
        assert kernel_set.check_codes(record) == 1


@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("short", ["output", "first lane", "last lane", "offset"])
def test_places_that_do_not_fit_are_refused(kernel_set: Kernels, n: int, short: str) -> None:
    """Each row goes to a place of exactly known size: another size is a mistake, never an overrun."""
    symbols = (np.arange(n) % 5).astype(np.uint8)
    record = record_of(lengths_of(dict.fromkeys(range(5), 1)))
    bounds, use = np.array([0, n], np.int64), np.zeros(1, np.uint8)
    lanes = kernel_set.lane_sizes(symbols, bounds, use, record)
    memory = np.full(n + 64, 0xA5, np.uint8)
    size = len(code(symbols, record, kernel_set)) - (short == "output")
    used = np.flatnonzero(lanes[0])
    if short in ("first lane", "last lane"):
        lanes[0, used[0 if short == "first lane" else -1]] -= 1
    offsets = np.array([size + 1 if short == "offset" else 0], np.int64)
    with pytest.raises(KernelError) as refusal:
        kernel_set.encode(symbols, bounds, use, record, lanes, memory[:size], offsets)
    assert refusal.value.status in (Status.ARGUMENT, Status.LENGTH)
    assert (memory[size:] == 0xA5).all()


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize(("n", "at"), [(1, 0), (2, 1), (8, 7), (9, 8), (100, 0), (100, 40), (100, 99)])
def test_a_symbol_too_wide_for_packed_is_refused(kernel_set: Kernels, bits: int, n: int, at: int) -> None:
    record = np.zeros(CODE_RECORD, np.uint8)
    record[0] = bits
    symbols = np.full(n, (1 << bits) - 1, np.uint8)
    symbols[at] = 1 << bits
    with pytest.raises(KernelError) as refusal:
        kernel_set.encode(
            symbols, np.array([0, n]), np.zeros(1, np.uint8), record,
            np.zeros((1, LANES), np.int64), np.zeros(-(-n * bits // 8), np.uint8), np.zeros(1, np.int64),
        )  # fmt: skip
    assert refusal.value.status is Status.INDEX


def nibbles(lengths: list[int]) -> np.ndarray:
    record = np.zeros(CODE_RECORD, np.uint8)
    record[0] = HUFFMAN
    for symbol, length in enumerate(lengths):
        record[1 + symbol // 2] |= length << (4 * (symbol % 2))
    return record


MALFORMED = {
    "no symbol": nibbles([]),
    "a single symbol of length two": nibbles([0, 2]),
    "incomplete": nibbles([2, 2, 2]),
    "two symbols, one bit string left over": nibbles([1, 2]),
    "overfull": nibbles([1, 1, 1]),
    "overfull at the end": nibbles([1, 2, 3, 3, 12]),
    "length thirteen": nibbles([1, *range(2, 14), 13]),
    "length fifteen": nibbles([15] * 256),
    "all of length seven": nibbles([7] * 256),
    "an unknown kind": np.concatenate([[9], nibbles([1, 1])[1:]]).astype(np.uint8),
    "the last kind": np.concatenate([[255], nibbles([1, 1])[1:]]).astype(np.uint8),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_codes_are_refused(kernel_set: Kernels, name: str) -> None:
    record = MALFORMED[name]
    symbols, bounds, use = np.zeros(4, np.uint8), np.array([0, 4], np.int64), np.zeros(1, np.uint8)
    assert kernel_set.check_codes(record) == 0
    for work in (
        lambda: kernel_set.decode(record, np.zeros(1, np.uint8), np.zeros(8, np.uint8)),
        lambda: kernel_set.lane_sizes(symbols, bounds, use, record),
        lambda: kernel_set.encode(
            symbols, bounds, use, record, np.ones((1, LANES), np.int64), np.zeros(9, np.uint8), np.zeros(1, np.int64)
        ),
    ):
        with pytest.raises(KernelError) as refusal:
            work()
        assert refusal.value.status is Status.CODE


@given(lengths=st.lists(st.integers(0, 15), max_size=256))
def test_all_kernel_sets_judge_codes_alike(native_set: Kernels, pure: Kernels, lengths: list[int]) -> None:
    present = [n for n in lengths if n]
    valid = present == [1] or (
        len(present) > 1 and max(present) <= 12 and sum(1 << (12 - n) for n in present) == 1 << 12
    )
    records = np.concatenate([nibbles([1]), nibbles(lengths), nibbles([1, 1])])
    assert native_set.check_codes(records) == pure.check_codes(records) == (3 if valid else 1)
