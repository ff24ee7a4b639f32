"""The kernels for files that have a base: comparing, listing and changing in place, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dcz
from dcz.container.file import OpenFile
from dcz.kernels import Kernels
from dcz.kernels.interface import REPLACE, STEP, XOR, KernelError, Status
from support.arrays import hostile_words
from support.changes import change, compare, crc_pairs, listed
from support.jobs import Job

WORDS = st.sampled_from([1, 2, 4, 8])
TRANSFORMS = st.sampled_from([(STEP, True), (STEP, False), (XOR, False), (REPLACE, False)])
DENSITIES = st.sampled_from([0.0, 0.0005, 0.01, 0.05, 0.3, 0.9, 1.0])
PROFILES = st.sampled_from(["auto", "csr", "bitmap", "dense", "paper", "raw"])
SIZES = st.one_of(st.integers(1, 300), st.sampled_from([511, 512, 1023, 1024, 1025, 2048, 5000, 70_001]))


def pair(seed: int, n: int, word: int, density: float, few: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Words of a base, hostile ones among them, and others of which a share differs by anything at all."""
    rng = np.random.Generator(np.random.PCG64(seed))
    kind = np.dtype(f"<u{word}")
    base = rng.integers(0, np.iinfo(kind).max, n, kind, endpoint=True)
    odd = rng.random(n) < 0.2
    base[odd] = rng.choice(np.append(hostile_words(word), kind.type(0)), int(odd.sum()))
    now = base.copy()
    at = np.flatnonzero(rng.random(n) < density)
    if few:
        now[at] += rng.choice(np.array([1, 2, 250], kind), len(at))
    else:
        now[at] = rng.choice(np.append(hostile_words(word), rng.integers(0, 200, 9).astype(kind)), len(at))
    return base, now


def ordered(word: int, size: int, magnitude: bool) -> int:
    """SPEC's rule in numbers without end."""
    top = 1 << (8 * size - 1)
    signed = word - 2 * top if word >= top else word
    if not magnitude or signed >= 0:
        return signed
    return -1 - (word - top)


def step(now: int, base: int, size: int, magnitude: bool) -> int:
    ones = (1 << (8 * size)) - 1
    distance = (ordered(now, size, magnitude) - ordered(base, size, magnitude)) & ones
    signed = distance - ones - 1 if distance >> (8 * size - 1) else distance
    return 2 * signed if signed >= 0 else -2 * signed - 1


@given(seed=st.integers(0, 99), n=SIZES, word=WORDS, transform=TRANSFORMS, density=DENSITIES)
def test_compare(
    kernel_set: Kernels, seed: int, n: int, word: int, transform: tuple[int, bool], density: float
) -> None:
    base, now = pair(seed, n, word, density)
    kind, magnitude = transform
    bitmap, found = kernel_set.compare(now.view(np.uint8), base.view(np.uint8), word, kind, magnitude)
    where = np.flatnonzero(now != base)
    assert bitmap.tobytes() == np.packbits(now != base, bitorder="little").tobytes()
    if kind == STEP:
        expected = [step(int(now[i]), int(base[i]), word, magnitude) for i in where]
    else:
        expected = (now[where] ^ base[where] if kind == XOR else now[where]).tolist()
    assert found.view(base.dtype).tolist() == expected


@pytest.mark.parametrize("word", [1, 2, 4, 8])
def test_order_is_that_of_numbers(kernel_set: Kernels, word: int) -> None:
    """Neighbours are one apart: the least float above zero, zero, minus zero, the first below it."""
    top = 1 << (8 * word - 1)
    line = np.array([top + 2, top + 1, top, 0, 1, 2], f"<u{word}")
    _, steps = kernel_set.compare(line[1:].view(np.uint8), line[:-1].copy().view(np.uint8), word, STEP, True)
    assert steps.view(line.dtype).tolist() == [2] * 5
    _, steps = kernel_set.compare(line[:-1].copy().view(np.uint8), line[1:].copy().view(np.uint8), word, STEP, True)
    assert steps.view(line.dtype).tolist() == [1] * 5


@given(
    seed=st.integers(0, 99), n=SIZES, word=WORDS, transform=TRANSFORMS, density=DENSITIES, profile=PROFILES,
    few=st.booleans(), shift=st.integers(0, 9),
)  # fmt: skip
def test_change_and_list(
    kernel_set: Kernels,
    seed: int,
    n: int,
    word: int,
    transform: tuple[int, bool],
    density: float,
    profile: str,
    few: bool,
    shift: int,
) -> None:
    base, now = pair(seed, n, word, density, few)
    kind, magnitude = transform
    if kind == REPLACE:  # what is stored here are the words that are not zero: those alone are replaced
        now[now == 0] = base[now == 0]
    file = dcz.save({"w": compare(now, base, kind, magnitude)}, profile=profile)
    assume(not OpenFile(file).index.columns.inflated)  # zstd is none of the kernels' codes
    job = Job.whole(file)
    pairs = crc_pairs(base, now, job["chunk"])
    stored = listed(kernel_set, job, n)
    if job["positions"]:
        assert stored[0].tolist() == np.flatnonzero(now != base).tolist()
    else:
        assert stored[0].tolist() == list(range(n))
    assert stored[1].tolist() == compare(now, base, kind, magnitude)[stored[0]].tolist()
    if kind == REPLACE and not job["positions"]:
        return  # zeros are stored, and would be replaced by
    assert change(kernel_set, job, base, kind, magnitude, crcs=pairs, shift=shift).tobytes() == now.tobytes()
    assert change(kernel_set, job, base, kind, magnitude).tobytes() == now.tobytes()
    if kind == REPLACE:
        with pytest.raises(KernelError) as caught:
            change(kernel_set, job, now, kind, magnitude, backward=True)
        assert caught.value.status is Status.ARGUMENT
    else:
        back = change(kernel_set, job, now, kind, magnitude, backward=True, crcs=pairs[:, ::-1], shift=shift)
        assert back.tobytes() == base.tobytes()


@given(seed=st.integers(0, 99), word=WORDS, density=st.sampled_from([0.0005, 0.02, 0.5, 1.0]), chunk=st.integers(0, 9))
def test_a_chunk_of_a_wrong_result_is_left_alone(
    kernel_set: Kernels, seed: int, word: int, density: float, chunk: int
) -> None:
    base, now = pair(seed, 300_000, word, density, few=True)
    job = Job.whole(dcz.save({"w": compare(now, base, STEP, False)}))
    pairs = crc_pairs(base, now, job["chunk"])
    chunk %= len(pairs)
    pairs[chunk, 1] ^= 1 << (seed % 32)
    out = base.copy()
    with pytest.raises(KernelError) as caught:
        change(kernel_set, job, base, STEP, False, crcs=pairs, into=out)
    assert (caught.value.status, caught.value.row) == (Status.RESULT, chunk)
    first = chunk * job["chunk"]
    assert out[:first].tobytes() == now[:first].tobytes() and out[first:].tobytes() == base[first:].tobytes()


@given(seed=st.integers(0, 99), word=st.sampled_from([2, 4, 8]), density=st.sampled_from([0.05, 1.0]))
def test_codebooks_of_groups(kernel_set: Kernels, seed: int, word: int, density: float) -> None:
    """Steps of a few values in each row and many in all."""
    rng = np.random.Generator(np.random.PCG64(seed))
    kind = np.dtype(f"<u{word}")
    own = rng.integers(1, 50_000, (64, 9)).astype(kind)
    steps = own[np.arange(64)[:, None], rng.integers(0, 9, (64, 1024))]
    steps[rng.random(steps.shape) >= density] = 0
    base = rng.integers(0, np.iinfo(kind).max, steps.size, kind, endpoint=True)
    job = Job.whole(dcz.save({"w": steps}))
    now = base ^ steps.reshape(-1)
    pairs = crc_pairs(base, now, job["chunk"])
    assert job["group"] < steps.size, "the case that this is a test of"
    assert change(kernel_set, job, base, XOR, False, crcs=pairs).tobytes() == now.tobytes()
    assert (listed(kernel_set, job, steps.size)[1] == steps.reshape(-1)[listed(kernel_set, job, steps.size)[0]]).all()


@pytest.mark.parametrize("gap", [1, 254, 255, 256, 1023, 1024, 1025, 40_000, 1_048_000])
@pytest.mark.parametrize("word", [1, 2, 4, 8])
def test_checksums_over_any_distance(kernel_set: Kernels, gap: int, word: int) -> None:
    """The CRC-32C of a result is computed from that of the base and the changes alone."""
    n = 1 << 20
    base = np.arange(n).astype(f"<u{word}")
    now = base.copy()
    now[[0, gap, n - 1]] += base.dtype.type(3)
    job = Job.whole(dcz.save({"w": compare(now, base, STEP, False)}, profile="csr"))
    pairs = crc_pairs(base, now, job["chunk"])
    assert change(kernel_set, job, base, STEP, False, crcs=pairs).tobytes() == now.tobytes()
