"""Kernels take any bytes: they refuse or decode, all kernel sets alike, and never touch other memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz import kernels
from dcz.entropy import Code
from dcz.kernels import KernelError, Kernels, Status
from dcz.kernels.interface import CODE_RECORD, LANE_THRESHOLD, LANES

GUARD = 0xA5
ROWS = st.one_of(st.integers(0, 40), st.sampled_from([100, 1000, 2047, 2048, 2049, 2054, 3000, 6150]))


def huffman_record(rng: np.random.Generator, alphabet: int) -> np.ndarray:
    counts = np.zeros(256, np.uint64)
    counts[rng.permutation(256)[:alphabet]] = (2 ** (rng.random(alphabet) * 20)).astype(np.uint64)
    return np.frombuffer(Code.huffman(kernels.active().code_lengths(counts, 12)).record, np.uint8)


def packed_record(bits: int) -> np.ndarray:
    record = np.zeros(CODE_RECORD, np.uint8)
    record[0] = bits
    return record


def coded(rng: np.random.Generator, record: np.ndarray, n: int) -> bytes:
    """A row of n symbols that the code can say."""
    if record[0] < 8:
        allowed = np.arange(1 << int(record[0]) if record[0] else 256)
    else:
        pairs = record[1:]
        allowed = np.flatnonzero(np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1))
    symbols = rng.choice(allowed, n).astype(np.uint8)
    bounds, use = np.array([0, n], np.int64), np.zeros(1, np.uint8)
    kernel = kernels.active()
    lanes = kernel.lane_sizes(symbols, bounds, use, record)
    size = {0: n}.get(int(record[0]), -(-n * int(record[0]) // 8))
    if record[0] == 8:
        size = int(lanes.sum()) + (2 * (LANES - 1) if n >= LANE_THRESHOLD and lanes.any() else 0)
    out = np.zeros(size, np.uint8)
    kernel.encode(symbols, bounds, use, record, lanes, out, np.zeros(1, np.int64))
    return out.tobytes()


def damaged(rng: np.random.Generator, data: bytes, how: str) -> bytes:
    if how == "random":
        return rng.bytes(len(data))
    if how == "shorter":
        return data[: int(rng.integers(0, len(data) + 1))]
    if how == "longer":
        return data + rng.bytes(int(rng.integers(1, 20)))
    if how == "zeros":
        return bytes(len(data))
    if how == "flipped" and data:
        out = bytearray(data)
        out[int(rng.integers(len(out)))] ^= 1 << int(rng.integers(8))
        return bytes(out)
    if how == "head" and len(data) > 12:  # sizes of lanes that do not fit
        return rng.bytes(10) + data[10:]
    return data


def outcome(kernel_set: Kernels, record: np.ndarray, data: bytes, n: int) -> object:
    """What came out, or the refusal; the memory on both sides of the output stays as it was."""
    memory = np.full(n + 128, GUARD, np.uint8)
    out = memory[64 : 64 + n]
    try:
        kernel_set.decode(record, np.frombuffer(data, np.uint8), out)
        result: object = out.tobytes()
    except KernelError as refusal:
        result = refusal.status
    assert (memory[:64] == GUARD).all() and (memory[64 + n :] == GUARD).all()
    return result


@given(
    seed=st.integers(0, 2**32 - 1),
    n=ROWS,
    kind=st.sampled_from(["huffman", "huffman", "huffman", "packed", "raw"]),
    alphabet=st.sampled_from([1, 2, 3, 16, 100, 256]),
    how=st.sampled_from(["whole", "random", "shorter", "longer", "zeros", "flipped", "head"]),
)
def test_one_row(seed: int, n: int, kind: str, alphabet: int, how: str) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    bits = {"raw": 0, "packed": 1 + seed % 7}.get(kind)
    record = huffman_record(rng, alphabet) if bits is None else packed_record(bits)
    data = damaged(rng, coded(rng, record, n), how)
    outcomes = {name: outcome(kernel_set, record, data, n) for name, kernel_set in kernels.available().items()}
    assert len(set(outcomes.values())) == 1, outcomes
    if how == "whole":
        assert isinstance(outcomes["pure"], bytes)


@pytest.mark.parametrize("alphabet", [2, 3, 16, 256])
@pytest.mark.parametrize("n", [7, 50, 2048])
def test_a_row_that_ends_early(kernel_set: Kernels, alphabet: int, n: int) -> None:
    rng = np.random.Generator(np.random.PCG64(alphabet))
    record = huffman_record(rng, alphabet)
    data = coded(rng, record, n)
    assert isinstance(outcome(kernel_set, record, data, n), bytes)
    for length in {*range(min(20, len(data))), *range(len(data) // 2, len(data), 97), len(data) - 1}:
        assert outcome(kernel_set, record, data[:length], n) is Status.LENGTH


@given(record=st.binary(min_size=CODE_RECORD, max_size=CODE_RECORD), data=st.binary(max_size=80), n=st.integers(0, 99))
def test_a_row_under_an_arbitrary_code(record: bytes, data: bytes, n: int) -> None:
    outcomes = {
        name: outcome(kernel_set, np.frombuffer(record, np.uint8), data, n)
        for name, kernel_set in kernels.available().items()
    }
    assert len(set(outcomes.values())) == 1, outcomes
