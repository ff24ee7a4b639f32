"""Whole chunks with a damaged directory, damaged bytes or a plan that makes no sense: refused, or harmless."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz import kernels
from dcz.kernels import KernelError, Kernels, Plan, Status
from support.arrays import make_array
from support.kernel_sets import NATIVE_SETS
from support.layouts import Stored, encodings, in_layout, stored

GUARD = 0xA5
# Few values, many values, more than a byte of them, bytes; short rows and rows of several lanes.
ARRAYS = {
    "clustered": ("F32", (1500,), 0.4, 20, "float"),
    "wide": ("F32", (3000,), 0.7, 900, "random"),
    "halves": ("F16", (1100,), 0.5, 40, "random"),
    "lanes": ("F32", (9000,), 0.6, 200, "random"),
    "bytes": ("U8", (2500,), 0.3, 90, "random"),
    "doubles": ("F64", (700,), 0.2, 300, "hostile"),
}


@cache
def cases() -> list[Stored]:
    out = []
    for seed, arguments in enumerate(ARRAYS.values()):
        array = make_array(seed, *arguments)
        out += [stored(array, encoding) for encoding in encodings(array)]
    return out


CASES = st.integers(0, 10**6).map(lambda number: cases()[number % len(cases())])


def outcome(kernel_set: Kernels, plan: Plan, rows: np.ndarray, data: bytes, size: int) -> object:
    """What came out, or the refusal; the memory on both sides of the output stays as it was."""
    memory = np.full(size + 256, GUARD, np.uint8)
    out = memory[128 : 128 + size]
    try:
        kernel_set.decode_chunks(plan, rows, 0, np.frombuffer(data, np.uint8), out)
        result: object = out.tobytes()
    except KernelError as refusal:
        result = refusal.status, refusal.row
    assert (memory[:128] == GUARD).all() and (memory[128 + size :] == GUARD).all()
    return result


def test_every_layout_is_among_the_cases() -> None:
    found = {(case.layout.positions, case.layout.values) for case in cases()}
    positions = {"all", "bitmap", "relative4", "relative5", "relative8"}
    assert found == {(p, v) for p in positions for v in ("codebook", "planes")} | {("all", "bytes")}


def test_whole_chunks_decode(kernel_set: Kernels) -> None:
    for case in cases():
        decoder = case.decoder()
        size = decoder.weights * case.dtype.word
        found = outcome(kernel_set, decoder._plan, decoder._rows, case.body.tobytes(), size)
        assert isinstance(found, bytes)
        assert np.count_nonzero(np.frombuffer(found, f"<u{case.dtype.word}")) == case.nonzeros


@given(case=CASES, seed=st.integers(0, 2**32 - 1), how=st.sampled_from(["bytes", "counts", "lengths", "codes"]))
def test_damage_that_checksums_do_not_see(case: Stored, seed: int, how: str) -> None:
    """A chunk that a faulty or hostile encoder wrote, with the right checksum."""
    rng = np.random.Generator(np.random.PCG64(seed))
    decoder = case.decoder()
    number = int(rng.integers(decoder.chunks))
    plan = decoder._plan
    row = decoder._rows[number : number + 1].copy()
    data = bytearray(case.body[decoder.bounds[number] - decoder.head : decoder.bounds[number + 1] - decoder.head])
    if how == "bytes":
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif how == "counts":
        row[0, int(rng.integers(2))] += int(rng.integers(-3, 4))
    elif how == "lengths":
        row[0, 4 + 2 * int(rng.integers((row.shape[1] - 3) // 2))] += int(rng.integers(-9, 9))
    else:
        row[0, 3 + 2 * int(rng.integers((row.shape[1] - 3) // 2))] = int(rng.integers(-1, 20))
    row[0, 2] = kernels.active().crc32c(np.frombuffer(bytes(data[: max(0, int(row[0, 4::2].sum()))]), np.uint8))
    # As chunk 0 of a tensor that has no other.
    weights = min(plan.chunk, plan.weights - number * plan.chunk)
    plan = replace(plan, weights=weights, group=max(weights, 1) if plan.group >= plan.weights else plan.group)
    outcomes = {
        name: refused_by_binding(kernel_set, plan, row, bytes(data), weights * plan.word)
        for name, kernel_set in kernels.available().items()
    }
    assert len(set(outcomes.values())) == 1, outcomes


def refused_by_binding(kernel_set: Kernels, plan: Plan, rows: np.ndarray, data: bytes, size: int) -> object:
    """As `outcome`; a compiled set may refuse counts before it looks at anything else."""
    try:
        return outcome(kernel_set, plan, rows, data, size)
    except ValueError as refusal:
        assert "counts beyond the chunk" in str(refusal)
        return Status.COUNT, 0


def raw_row(each: Stored, *streams: bytes, nonzeros: int = 0, fillers: int = 0) -> tuple[Plan, np.ndarray, bytes]:
    """One chunk whose streams are these bytes, as they are."""
    plan = each.decoder()._plan
    data = b"".join(streams)
    row = [nonzeros, fillers, kernels.active().crc32c(np.frombuffer(data, np.uint8))]
    for stream in streams:
        row += [0, len(stream)]
    codes = np.zeros(129 * len(streams), np.uint8)  # raw
    plan = replace(plan, codes=codes, code_count=np.ones(len(streams), np.uint32))
    return plan, np.array([row], np.int64), data


def tiny(positions: str, values: str, weights: int = 60) -> Stored:
    array = make_array(1, "F32", (weights,), 0.3, 5, "float")
    return in_layout(array, positions, values)


def test_each_refusal(kernel_set: Kernels) -> None:
    """The smallest case of every way a chunk can be wrong behind a right checksum."""
    bits = bytes([0b101, 0, 0, 0, 0, 0, 0, 0])
    book, bitmap, gaps = tiny("all", "codebook"), tiny("bitmap", "codebook"), tiny("relative4", "codebook")
    two = bytes(2)
    cases = {
        "right": (raw_row(bitmap, bits, two, nonzeros=2), None),
        "a bit behind the last weight": (raw_row(bitmap, bits[:7] + b"\x10", two, nonzeros=2), Status.PADDING),
        "a bitmap of another count": (raw_row(bitmap, bits, two + b"\0", nonzeros=3), Status.COUNT),
        "a bitmap too short": (raw_row(bitmap, bits[:7], two, nonzeros=2), Status.LENGTH),
        "an index too few": (raw_row(bitmap, bits, b"\0", nonzeros=2), Status.LENGTH),
        "an index beyond the codebook": (raw_row(book, bytes(59) + b"\xff"), Status.INDEX),
        "a gap beyond the chunk": (raw_row(gaps, b"\x0f" * 4 + b"\x01", b"\0", nonzeros=1, fillers=4), Status.COUNT),
        "a gap up to the end": (raw_row(gaps, b"\x0e" * 4, bytes(4), nonzeros=4), None),
        "a gap wider than its bits": (raw_row(gaps, b"\x10", b"\0", nonzeros=1), Status.COUNT),
        "a filler that counts as a weight": (raw_row(gaps, b"\x0f", b"\0", nonzeros=1), Status.COUNT),
        "a weight that counts as a filler": (raw_row(gaps, b"\x00", b"", nonzeros=0, fillers=1), Status.COUNT),
    }
    for name, ((plan, rows, data), status) in cases.items():
        found = outcome(kernel_set, plan, rows, data, 240)
        if status is None:
            assert isinstance(found, bytes), name
        else:
            assert found == (status, 0), name


def test_a_second_plane_beyond_the_codebook(kernel_set: Kernels) -> None:
    wide = in_layout(np.arange(300, dtype="<f4"), "all", "codebook")
    low, high = np.arange(300).astype(np.uint8).tobytes(), (np.arange(300) >> 8).astype(np.uint8).tobytes()
    plan, rows, data = raw_row(wide, low, high)
    assert outcome(kernel_set, plan, rows, data, 1200) == np.arange(300, dtype="<f4").tobytes()
    plan, rows, data = raw_row(wide, low, high[:-1] + b"\x02")
    assert outcome(kernel_set, plan, rows, data, 1200) == (Status.INDEX, 0)


def test_outputs_that_are_too_small(kernel_set: Kernels) -> None:
    for case in cases()[::5]:
        decoder = case.decoder()
        size = decoder.weights * case.dtype.word
        refused = outcome(kernel_set, decoder._plan, decoder._rows, case.body.tobytes(), size - case.dtype.word)
        assert refused == (Status.ARGUMENT, decoder.chunks - 1)


def test_a_wrong_checksum(kernel_set: Kernels) -> None:
    for case in cases():
        decoder = case.decoder()
        rows = decoder._rows.copy()
        rows[-1, 2] ^= 1
        size = decoder.weights * case.dtype.word
        assert outcome(kernel_set, decoder._plan, rows, case.body.tobytes(), size) == (
            Status.CHECKSUM,
            len(rows) - 1,
        )


NUMBERS = st.one_of(st.integers(0, 70), st.sampled_from([255, 256, 257, 512, 4096, 65_535, 65_536, 65_537, 1 << 20]))
FIELDS = ("positions", "values", "word", "rotate", "planes", "weights", "chunk", "entries", "group")


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
@given(case=CASES, field=st.sampled_from(FIELDS), number=NUMBERS, size=st.sampled_from([0, 1, 64, 100_000]))
def test_plans_that_make_no_sense(case: Stored, field: str, number: int, size: int) -> None:
    """The compiled kernels check what their memory safety rests on, whoever filled in the plan."""
    decoder = case.decoder()
    plan = replace(decoder._plan, **{field: bool(number % 2) if field == "rotate" else number})
    check_compiled_sets(plan, decoder._rows, case.body.tobytes(), size)


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
@given(case=CASES, seed=st.integers(0, 2**32 - 1), what=st.sampled_from(["codes", "count", "codebook", "rows", "data"]))
def test_buffers_that_do_not_fit_the_plan(case: Stored, seed: int, what: str) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    decoder = case.decoder()
    plan, rows, data = decoder._plan, decoder._rows, case.body.tobytes()
    if what == "codes":
        codes = bytearray(plan.codes.tobytes())
        codes[int(rng.integers(len(codes)))] = int(rng.integers(256))
        plan = replace(plan, codes=np.frombuffer(bytes(codes)[: int(rng.integers(len(codes) + 1))], np.uint8))
    elif what == "count":
        plan = replace(plan, code_count=rng.integers(0, 4, int(rng.integers(10))).astype(np.uint32))
    elif what == "codebook":
        plan = replace(plan, codebook=plan.codebook[: int(rng.integers(len(plan.codebook) + 1))])
    elif what == "rows":
        rows = np.ascontiguousarray(rows[:, : int(rng.integers(rows.shape[1] + 1))])
    else:
        data = data[: int(rng.integers(len(data) + 1))]
    check_compiled_sets(plan, rows, data, decoder.weights * plan.word)


def check_compiled_sets(plan: Plan, rows: np.ndarray, data: bytes, size: int) -> None:
    outcomes = set()
    for name in NATIVE_SETS:
        try:
            outcomes.add(outcome(kernels.available()[name], plan, rows, data, size))
        except (ValueError, TypeError) as refusal:
            outcomes.add(str(refusal))
    assert len(outcomes) == 1
