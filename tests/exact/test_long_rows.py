"""Rows as long as Huffman's lanes can say, and longer ones, which are coded otherwise (SPEC 5.3 and 3.2)."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.entropy import Symbols, coding
from dcz.entropy.code import Code
from dcz.kernels import Kernels
from dcz.kernels.interface import MAX_ROW, KernelError, Status
from support.bits import assert_same_bits


def record(code: Code) -> np.ndarray:
    return np.frombuffer(code.record, np.uint8)


def deep_code() -> Code:
    """Lengths 1, 2, ..., 11, 12, 12."""
    lengths = np.zeros(256, np.uint8)
    lengths[:13] = [*range(1, 13), 12]
    return Code.huffman(lengths)


def encoded(symbols: np.ndarray, code: Code) -> np.ndarray:
    bounds, use = np.array([0, len(symbols)]), np.zeros(1, np.uint8)
    lanes = kernels.active().lane_sizes(symbols, bounds, use, record(code))
    out = np.empty(int(lanes.sum()) + 10, np.uint8)
    kernels.active().encode(symbols, bounds, use, record(code), lanes, out, np.zeros(1, np.int64))
    return out


def test_the_longest_row_of_the_longest_codes(kernel_set: Kernels) -> None:
    symbols = np.full(MAX_ROW, 12, np.uint8)
    with kernels.use(kernel_set):
        data = encoded(symbols, deep_code())
        assert len(data) == 10 + 6 * 65_520
        out = np.empty(MAX_ROW, np.uint8)
        kernels.active().decode(record(deep_code()), data, out)
    assert np.array_equal(out, symbols)


def test_a_symbol_more_is_refused(kernel_set: Kernels) -> None:
    symbols = np.zeros(MAX_ROW + 1, np.uint8)  # of a bit each: it would fit
    data = encoded(symbols, deep_code())
    with kernels.use(kernel_set), pytest.raises(KernelError) as raised:
        kernels.active().decode(record(deep_code()), data, np.empty(MAX_ROW + 1, np.uint8))
    assert raised.value.status is Status.LENGTH


def skewed(n: int) -> np.ndarray:
    return (np.random.Generator(np.random.PCG64(1)).random(n) ** 6 * 256).astype(np.uint8)


@pytest.mark.parametrize(("n", "kind"), [(MAX_ROW, "huffman"), (MAX_ROW + 1, "raw")])
@pytest.mark.parametrize("rows", [1, 2])
def test_what_the_writer_takes(n: int, kind: str, rows: int) -> None:
    symbols = skewed(rows * n)
    found = coding.choose(Symbols.even(symbols, n))
    assert {found.codes[use].kind for use in found.use.tolist()} == {kind}


def test_a_constant_row_may_be_longer(kernel_set: Kernels) -> None:
    symbols = np.full(3 * MAX_ROW, 7, np.uint8)
    found = coding.choose(Symbols.one_row(symbols))
    assert (found.codes[0].kind, int(found.sizes.sum())) == ("huffman", 0)
    out = np.empty(len(symbols), np.uint8)
    with kernels.use(kernel_set):
        kernels.active().decode(record(found.codes[0]), np.empty(0, np.uint8), out)
    assert np.array_equal(out, symbols)


def test_codebooks_with_planes_of_several_rows(kernel_set: Kernels) -> None:
    """4,200 runs of 512 weights, each with 65 values of its own: a plane of 273,000 symbols."""
    rng = np.random.Generator(np.random.PCG64(3))
    books = np.cumsum(rng.random((4200, 65), np.float32), axis=1, dtype=np.float32) + 1
    index = rng.integers(0, 65, (4200, 512))
    index[:, :65] = np.arange(65)
    array = np.take_along_axis(books, index, axis=1)
    data = dcz.save({"w": array}, profile="dense")
    with dcz.open(data) as reader, kernels.use(kernel_set):
        book = reader.info("w").layout.codebook
        assert (book.entries, book.group, len(book.codes)) == (65, 512, 8)
        assert_same_bits(reader["w"], array)
        assert_same_bits(reader.get_slice("w")[4000:4003], array[4000:4003])
