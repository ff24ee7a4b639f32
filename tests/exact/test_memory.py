"""Where tensors are decoded to: lines, pages and blocks of memory, and none of it another's."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz import kernels
from dcz.container.memory import fresh
from dcz.kernels import Kernels

RNG = np.random.default_rng(3)
SIZES = [0, 1, 63, 64, 65, 4096, 1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (6 << 20) - 5]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spare", [0, 1 << 21])
def test_fresh_memory_is_writable_to_its_last_byte(size: int, spare: int) -> None:
    memory = fresh(size, spare)
    assert memory.shape == (size,) and memory.flags.writeable
    assert size == 0 or memory.ctypes.data % 64 == 0
    memory[:] = 7
    assert (memory == 7).all()


def test_small_tensors_share_blocks_and_do_not_overlap() -> None:
    tensors = {f"t{i:03d}": RNG.integers(0, 255, n, np.uint8) for i, n in enumerate(RNG.integers(0, 300_000, 120))}
    tensors["own"] = RNG.integers(0, 255, 5 << 20, np.uint8)
    found = dcz.load(dcz.save(tensors))
    assert all(found[name].tobytes() == array.tobytes() for name, array in tensors.items())
    ranges = sorted((a.ctypes.data, a.ctypes.data + a.nbytes) for a in found.values() if a.nbytes)
    assert all(end <= begin for (_, end), (begin, _) in zip(ranges, ranges[1:]))
    assert all(begin % 64 == 0 for begin, _ in ranges)
    owners = {id(a.base.base if isinstance(a.base, np.ndarray) else a.base) for a in found.values()}
    assert len(owners) < 8  # 18 MB of small tensors in blocks of eight
    for i, array in enumerate(found.values()):
        array[...] = i % 251
    assert all((array == i % 251).all() for i, array in enumerate(found.values()))


def test_a_tensor_alone_does_not_hold_a_block() -> None:
    reader = dcz.open(dcz.save({f"t{i}": np.full(1000, i, "f4") for i in range(9)}))
    base = reader["t3"].base
    assert (base if base.base is None else base.base).nbytes < 4200


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_pages_are_touched_within_each_part_only(kernel_set: Kernels, threads: int) -> None:
    """Large outputs in parts, by several threads, into memory that already has values, at odd offsets of a page."""
    weights = np.where(RNG.random(3_000_000) < 0.4, RNG.standard_normal(3_000_000), 0).astype("f4")
    data = dcz.save({"w": weights, "b": RNG.integers(0, 256, 9 << 20, np.uint8)})
    expected = dcz.load(data)["w"]
    assert expected.tobytes() == weights.tobytes()
    with kernels.use(kernel_set):
        for offset in (0, 1, 1000, 524_287):
            room = np.full(3_000_000 + (1 << 19) + 64, np.float32(9))
            part = room[offset : offset + 3_000_000]
            dcz.load_file(data, names=["w"], out={"w": part}, threads=threads)
            assert part.tobytes() == weights.tobytes()
            assert (room[:offset] == 9).all() and (room[offset + 3_000_000 :] == 9).all()
