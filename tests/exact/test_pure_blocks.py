"""The pure kernels take words in blocks: the bytes are those of the whole, and memory is bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dcz.kernels import Kernels
from dcz.kernels.interface import STEP, XOR
from dcz.kernels.pure import words
from support.memory import at_most

N = 1 << 20
CALLS: dict[str, Callable[[Kernels, np.ndarray], object]] = {
    "bitmap": lambda k, data: k.bitmap(data, 2),
    "nonzeros": lambda k, data: k.nonzeros(data, 2, int(np.count_nonzero(data.view("<u2")))),
    "split": lambda k, data: k.split(data, 2, True),
    "scan of 2 bytes": lambda k, data: k.scan(data, 2, 1 << 16),
    "scan of 8 bytes": lambda k, data: k.scan(data[:32_000], 8, 1 << 16),
    "scan, too many": lambda k, data: k.scan(data, 2, 256),
    "gaps": lambda k, data: k.gaps(data[: N // 8], N, 1 << 18, 4, int(np.unpackbits(data[: N // 8]).sum())),
    "wide gaps": lambda k, data: k.gaps(data[: N // 8], N, 1 << 18, 16, int(np.unpackbits(data[: N // 8]).sum())),
    "histograms": lambda k, data: k.histograms(data, np.array([0, 5, 5, N, len(data)])),
    "differences": lambda k, data: k.compare(data, data[::-1].copy(), 4, STEP, True),
    "equal words": lambda k, data: k.compare(data, data.copy(), 2, XOR, False),
}


def data(seed: int, density: float) -> np.ndarray:
    """2 N bytes: random 16-bit words and zeros, and a long run of zeros."""
    rng = np.random.Generator(np.random.PCG64(seed))
    found = np.where(rng.random(N) < density, rng.integers(0, 5000, N), 0).astype("<u2")
    found[N // 3 : N // 2] = 0
    return found.view(np.uint8)


def plain(result: object) -> object:
    """Arrays as their bytes, to compare."""
    if isinstance(result, np.ndarray):
        return result.dtype.str, result.shape, result.tobytes()
    if isinstance(result, tuple):
        return [plain(each) for each in result]
    return [plain(result.keys), plain(result.ids), plain(result.bitmap)] if hasattr(result, "ids") else result


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("block", [1000, 1 << 16])
def test_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch, pure: Kernels, name: str, block: int) -> None:
    given = data(1, 0.1)
    monkeypatch.setattr(words, "BLOCK", 1 << 30)
    whole = plain(CALLS[name](pure, given))
    monkeypatch.setattr(words, "BLOCK", block)
    assert plain(CALLS[name](pure, given)) == whole


@pytest.mark.parametrize("name", CALLS)
def test_memory_is_that_of_the_result(pure: Kernels, name: str) -> None:
    """At most what the input takes, twice, and some blocks."""
    given = data(2, 0.9)
    CALLS[name](pure, given)
    with at_most(2 * given.nbytes + (4 << 20)):
        CALLS[name](pure, given)
