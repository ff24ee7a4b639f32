"""DFloat11 made from its published description: the exponents of bfloat16, Huffman-coded."""

from __future__ import annotations

import heapq
from collections import Counter

import ml_dtypes
import numpy as np

BF16 = ml_dtypes.bfloat16
Parts = dict[str, np.ndarray]


def code_lengths(counts: dict[int, int]) -> dict[int, int]:
    """Lengths of a Huffman code of these symbols and one for the end, which is -1."""
    heap = [(count, symbol, {symbol: 0}) for symbol, count in sorted({**counts, -1: 1}.items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        joined_ = {symbol: n + 1 for each in (one, other) for symbol, n in each[2].items()}
        heapq.heappush(heap, (one[0] + other[0], min(one[1], other[1]), joined_))
    return heap[0][2]


def codes_of(lengths: dict[int, int]) -> dict[int, str]:
    """Canonical codes as text of bits."""
    out, code, before = {}, 0, 0
    for symbol, n in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
        code <<= n - before
        out[symbol], code, before = format(code, f"0{n}b"), code + 1, n
    return out


def encode(words: np.ndarray, lengths: dict[int, int] | None = None) -> Parts:
    """The tensors of a module over all its weights."""
    exponents = (words >> 7 & 0xFF).tolist()
    codes = codes_of(lengths or code_lengths(Counter(exponents)))
    gaps, positions, at = [], [], 0
    for number, exponent in enumerate(exponents):
        if at // 64 >= len(gaps):
            gaps.append(at % 64)
        if at // (64 * 512) >= len(positions):
            positions.append(number)
        at += len(codes[exponent])
    bits = "".join(codes[exponent] for exponent in exponents)
    if len(bits) % 8:  # filled by the end's code
        bits += (codes[-1] + "0" * 8)[: -len(bits) % 8]
        if at // 64 >= len(gaps):
            gaps.append(at % 64)
    positions.append(len(exponents))
    lanes = 512 * -(-len(bits) // (64 * 512))
    gaps += [0] * (lanes - len(gaps))
    prefixes = sorted({code[: (len(code) - 1) // 8 * 8] for code in codes.values()} | {""}, key=len)
    for code in codes.values():
        assert all(code[:n] in prefixes for n in range(0, len(code), 8))
    luts = np.zeros((len(prefixes) + 1, 256), np.uint8)
    for symbol, code in codes.items():
        if symbol < 0:
            continue
        luts[-1, symbol] = len(code)
        for n in range(0, len(code), 8):
            rest, table = code[n : n + 8], prefixes.index(code[:n])
            if len(code) > n + 8:
                luts[table, int(rest, 2)] = 256 - prefixes.index(code[: n + 8])
            else:
                first = int(rest.ljust(8, "0"), 2)
                luts[table, first : first + (1 << 8 - len(rest))] = symbol
    return {
        "encoded_exponent": np.packbits(np.array([*bits], np.uint8)),
        "sign_mantissa": (words >> 8 & 0x80 | words & 0x7F).astype(np.uint8),
        "luts": luts,
        "gaps": np.packbits([int(bit) for gap in gaps for bit in format(gap, "05b")]),
        "output_positions": np.array(positions, "<u4").view(np.uint8),
    }


def weights(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    return (rng.standard_normal(shape) * 0.02 * rng.choice([1, 1e-4], shape, p=[0.99, 0.01])).astype(BF16)


def module(dense: dict[str, np.ndarray], prefix: str, names: list[str]) -> Parts:
    parts = [dense[f"{prefix}.{name}.weight" if name else f"{prefix}.weight"].reshape(-1) for name in names or [""]]
    split = np.cumsum([len(part) for part in parts])[:-1].astype(np.int64)
    made = {**encode(np.concatenate(parts).view(np.uint16)), "split_positions": split}
    return {f"{prefix}.{name}": array for name, array in made.items()}
