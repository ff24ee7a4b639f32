"""Files that SPEC.md allows, drawn at random, are read alike by every reader; so are those refused that break a rule.

The long form is a command: `python spec/generate.py 20000`."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance import Reader, built_in
from generate import cases, difference
from making.generated import Made

from support.kernel_sets import KERNEL_SETS

COUNT, EACH = 300, 30


@pytest.fixture(scope="module")
def readers() -> dict[str, Reader]:
    return {name: built_in(name) for name in (*KERNEL_SETS, "reference")}


@pytest.mark.parametrize("first", range(0, COUNT, EACH))
def test_readers_agree(first: int, readers: dict[str, Reader], tmp_path: Path) -> None:
    """Valid files with each kernel set; of those with one rule broken, or a stored bit changed, every third."""
    for seed in range(first, first + EACH):
        for case in cases(seed) if seed % 3 == 0 else list(cases(seed))[:1]:
            assert difference(case, readers, tmp_path) == "", f"{case[0]} file of seed {seed}"


def test_differences_are_found(tmp_path: Path) -> None:
    """Of two readers; but for a damaged frame, which one of them may notice."""
    lines = [{"name": "w", "dtype": "U8", "shape": [1], "content_crc32c": "00000000"}]
    other = [{**lines[0], "content_crc32c": "00000001"}]
    frame = [{"error": "format", "message": "chunk 0: the zstd frame does not decompress"}]
    case = ("repaired", b"", b"", None)
    for found, agree in (
        ((lines, lines), True), ((lines, other), False), ((lines, [{"error": "format", "message": "no"}]), False),
        ((lines, frame), True), ((frame, lines, other), False), ((frame, frame), True),
        (([{"error": "checksum", "message": ""}], [{"error": "format", "message": ""}]), False),
    ):  # fmt: skip
        by_name = {str(i): lambda file, base, each=each: each for i, each in enumerate(found)}
        assert (difference(case, by_name, tmp_path) == "") is agree, found


def test_a_seed_makes_the_same_file_again() -> None:
    assert Made(5).data == Made(5).data != Made(6).data


def test_generated_files_cover_what_the_format_has() -> None:
    tensors = [t for seed in range(COUNT) for t in Made(seed).tensors]
    known = [t for t in tensors if t.rows and not t.unsupported]
    assert {t.positions for t in known} == {0, 1, 4, 5, 8, 16}
    assert {t.values for t in known} == {0, 1, 2}
    assert {t.transform for t in tensors} == {0, 1, 2, 3, 4}
    assert any(t.same_as for t in tensors) and any(t.unsupported for t in tensors) and any(t.group for t in known)
    assert len({t.dtype for t in known}) >= 29
    codes = {code for t in known for stream in t.streams for code in stream}
    assert {"raw", "zstd", *(f"packed{bits}" for bits in range(1, 8))} <= codes
    assert any(isinstance(code, bytes) for code in codes)
