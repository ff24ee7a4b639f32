"""Whole chunks with a damaged directory, damaged bytes or an invalid job: refused, or harmless."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcz import kernels
from dcz.kernels import KernelError, Kernels, Status
from dcz.kernels.interface import CODE_RECORD
from support.arrays import make_array
from support.forging import forge
from support.jobs import ROW_HEAD, Job, crc
from support.kernel_sets import NATIVE_SETS
from support.layouts import Stored, encodings, in_layout, stored

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
def cases() -> list[tuple[Stored, bytes]]:
    """Tensors, and each alone in a file."""
    out = []
    for seed, arguments in enumerate(ARRAYS.values()):
        array = make_array(seed, *arguments)
        for encoding in encodings(array):
            each = stored(array, encoding)
            out.append((each, forge({"w": each})))
    return out


@cache
def with_fillers() -> list[tuple[Stored, bytes]]:
    """Few weights far apart, over several chunks and many of the windows that are written at a time."""
    array = make_array(99, "F32", (300_000,), 0.003, 20, "float")
    array[250_000:] = 0
    found = []
    for positions in ("relative4", "relative5", "relative8"):
        for values in ("codebook", "planes"):
            each = in_layout(array, positions, values)
            assert sum(each.layout.fillers) > 0
            found.append((each, forge({"w": each})))
    return found


CASES = st.integers(0, 10**6).map(lambda number: cases()[number % len(cases())])


def outcome(kernel_set: Kernels, job: Job) -> object:
    """What came out, or the refusal; a refusal of the compiled sets' binding is one of the arguments."""
    try:
        return job.run(kernel_set)
    except KernelError as refusal:
        return refusal.status, refusal.row


def test_every_layout_is_among_the_cases() -> None:
    found = {(each.layout.positions, each.layout.values) for each, _ in cases()}
    positions = {"all", "bitmap", "relative4", "relative5", "relative8", "relative16"}
    assert found == {(p, v) for p in positions for v in ("codebook", "planes")} | {("all", "bytes")}


def test_whole_tensors_decode(kernel_set: Kernels) -> None:
    for each, file in cases():
        found = outcome(kernel_set, Job.whole(file))
        assert isinstance(found, bytes)
        assert np.count_nonzero(np.frombuffer(found, f"<u{each.dtype.word}")) == each.nonzeros


@pytest.mark.parametrize("shift", [0, 4, 8, 16, 33])
def test_output_past_the_cache_is_the_same_wherever_it_lies(kernel_set: Kernels, shift: int) -> None:
    for each, file in [*cases(), *with_fillers()]:
        job = Job.whole(file)
        assert job.with_fields(stream=1).run(kernel_set, shift) == job.run(kernel_set), each.layout


def test_chunks_are_the_parts_of_the_whole(kernel_set: Kernels) -> None:
    for each, file in cases():
        parts = [outcome(kernel_set, Job.chunk(file, i)) for i in range(len(each.layout.crc32c))]
        assert b"".join(parts) == outcome(kernel_set, Job.whole(file))


@given(case=CASES, seed=st.integers(0, 2**32 - 1), how=st.sampled_from(["bytes", "counts", "lengths", "codes"]))
def test_damage_that_checksums_do_not_see(case: tuple[Stored, bytes], seed: int, how: str) -> None:
    """A chunk that a faulty or hostile encoder wrote, with the right checksum: all kernel sets say the same."""
    rng = np.random.Generator(np.random.PCG64(seed))
    each, file = case
    job = Job.chunk(file, int(rng.integers(len(each.layout.crc32c))))
    row, data = job.rows()[0], bytearray(job.data)
    streams = (job.width - ROW_HEAD) // 2
    if how == "bytes":
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif how == "counts":
        row[int(rng.integers(2))] += int(rng.integers(-3, 4))
    elif how == "lengths":
        row[ROW_HEAD + 1 + 2 * int(rng.integers(streams))] += int(rng.integers(-9, 9))
    else:
        row[ROW_HEAD + 2 * int(rng.integers(streams))] = int(rng.integers(-1, 20))
    row[2] = crc(bytes(data[: max(0, int(row[ROW_HEAD + 1 :: 2].sum()))]))
    job = job.with_rows(row).with_data(bytes(data))
    outcomes = {name: outcome(kernel_set, job) for name, kernel_set in kernels.available().items()}
    assert len(set(outcomes.values())) == 1, outcomes


def raw_row(each: Stored, *streams: bytes, nonzeros: int = 0, fillers: int = 0) -> Job:
    """One chunk whose streams are these bytes, as they are."""
    data = b"".join(streams)
    row = [nonzeros, fillers, crc(data)]
    for stream in streams:
        row += [0, len(stream)]
    job = Job.chunk(forge({"w": each}), 0).with_rows(np.array(row, np.int64)).with_data(data)
    count = len(streams)
    return job.with_columns(
        records=np.zeros(CODE_RECORD, np.uint8), counts=np.ones(count, np.int64), numbers=np.zeros(count, np.int64)
    )


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
    for name, (job, status) in cases.items():
        found = outcome(kernel_set, job)
        if status is None:
            assert isinstance(found, bytes), name
        else:
            assert found == (status, 0), name


def test_a_second_plane_beyond_the_codebook(kernel_set: Kernels) -> None:
    wide = in_layout(np.arange(300, dtype="<f4"), "all", "codebook")
    low, high = np.arange(300).astype(np.uint8).tobytes(), (np.arange(300) >> 8).astype(np.uint8).tobytes()
    assert outcome(kernel_set, raw_row(wide, low, high)) == np.arange(300, dtype="<f4").tobytes()
    assert outcome(kernel_set, raw_row(wide, low, high[:-1] + b"\x02")) == (Status.INDEX, 0)


def test_outputs_that_are_too_small(kernel_set: Kernels) -> None:
    for each, file in cases()[::5]:
        job = Job.whole(file)
        small = Job(job.fields, job.columns, job.words, job.data, job.size - each.dtype.word)
        assert outcome(kernel_set, small) == (Status.ARGUMENT, len(each.layout.crc32c) - 1)


def test_a_wrong_checksum(kernel_set: Kernels) -> None:
    for each, file in cases():
        job = Job.whole(file)
        rows = job.rows()
        rows[-1, 2] ^= 1
        assert outcome(kernel_set, job.with_rows(rows)) == (Status.CHECKSUM, len(rows) - 1)


NUMBERS = st.one_of(
    st.integers(-2, 70), st.sampled_from([255, 256, 257, 512, 4096, 65_535, 65_536, 65_537, 1 << 20, 1 << 32, 1 << 62])
)
FIELDS = st.sampled_from(["positions", "values", "word", "rotate", "planes", "weights", "chunk", "entries", "group"])
PLACES = st.sampled_from(["rows", "first", "count", "streams", "numbers", "book", "words", "data", "size", "stream"])


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
@given(
    case=CASES,
    whole=st.booleans(),
    field=st.one_of(FIELDS, PLACES),
    number=NUMBERS,
    size=st.sampled_from([0, 1, 64, 100_000]),
)
def test_jobs_that_make_no_sense(case: tuple[Stored, bytes], whole: bool, field: str, number: int, size: int) -> None:
    """The compiled kernels check what their memory safety rests on, whoever filled in the job."""
    job = Job.whole(case[1]) if whole else Job.chunk(case[1], 0)
    changed = job.with_fields(**{field: number})
    check_compiled_sets(Job(changed.fields, changed.columns, changed.words, changed.data, size))


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
@given(
    case=CASES,
    whole=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
    what=st.sampled_from(["records", "counts", "numbers", "rows", "books", "words", "data"]),
)
def test_buffers_that_do_not_fit_the_job(case: tuple[Stored, bytes], whole: bool, seed: int, what: str) -> None:
    """Cut off anywhere, or with one number or byte changed."""
    rng = np.random.Generator(np.random.PCG64(seed))
    job = Job.whole(case[1]) if whole else Job.chunk(case[1], 0)
    if what == "data":
        job = Job(job.fields, job.columns, job.words, job.data[: int(rng.integers(len(job.data) + 1))], job.size)
    elif what == "words":
        words = job.words[: int(rng.integers(len(job.words) + 1))]
        job = Job(job.fields, job.columns, words, job.data, job.size)
    else:
        column = getattr(job.columns, what).copy()
        if rng.random() < 0.5 and len(column):
            column[int(rng.integers(len(column)))] = int(rng.integers(256))
        else:
            keep = int(rng.integers(len(column) + 1))
            column = column[: keep // CODE_RECORD * CODE_RECORD if what == "records" else keep]
        job = job.with_columns(**{what: column})
    check_compiled_sets(job)


def check_compiled_sets(job: Job) -> None:
    outcomes = set()
    for name in NATIVE_SETS:
        try:
            outcomes.add(outcome(kernels.available()[name], job))
        except (ValueError, TypeError, MemoryError) as refusal:
            outcomes.add(str(refusal))
    assert len(outcomes) == 1
