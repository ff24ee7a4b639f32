"""All readers make of all vectors what is expected, and no vector is missing or has changed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys

import pytest
from conformance import BUILT_IN, FOLDER, Outcome, Vector, built_in, c_compiler, command, compare, readers, run, vectors
from reference_codes import Refused
from reference_decoder import read
from reference_tensors import Content

from support.conformance import FEW, SPEC
from support.kernel_sets import NATIVE_SETS

VECTORS = list(vectors())
# Of `spec/vectors/SHA256SUMS`: how many lines it had when version 1 was frozen, and the SHA-256 of these lines.
FROZEN = 992, "f2b723c80b455436d876b63abf8c1586dc3ae1527350b3d09df20ebc87aa3946"


def test_no_vector_is_missing_or_other() -> None:
    """Nor is there one that the list lacks. `spec/make_vectors.py` makes them; this only looks."""
    listed = dict(reversed(line.split("  ")) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    files = [path for path in FOLDER.glob("*/*") if path.is_file()]
    found = {path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert found == listed
    assert sum(name.endswith(".dcz") and name.startswith("valid/") for name in found) >= 160
    assert sum(name.endswith(".dcz") and name.startswith("invalid/") for name in found) >= 300


def test_the_frozen_vectors_are_as_they_were() -> None:
    """New lines follow those of the freeze; none of these may change (`spec/CHANGES.md`)."""
    count, digest = FROZEN
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()[:count]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


def test_each_vector_names_its_rule_and_is_small() -> None:
    sizes = [vector.path.stat().st_size for vector in VECTORS]
    assert sorted(sizes)[len(sizes) // 2] <= 1024
    for vector in VECTORS:
        assert vector.expected["requirement"] and vector.expected["about"], vector.name
        assert ("error" in vector.expected) == vector.name.startswith("invalid/")
        assert vector.word or "error" not in vector.expected, f"{vector.name}: what must the library's message say?"


def test_each_requirement_has_a_vector() -> None:
    """Every vector names what SPEC.md has, and each requirement of readers is broken by one."""
    spec = (SPEC / "SPEC.md").read_text()
    requirements = re.findall(r"^\*\*(R-[A-Z]+-\d+)\*\*", spec, re.M)
    sections = {heading.strip("#. ") for heading in re.findall(r"^##+ [\d.]+", spec, re.M)}
    broken = {name for vector in VECTORS if "error" in vector.expected for name in vector.expected["requirement"]}
    named = {name for vector in VECTORS for name in vector.expected["requirement"]}
    assert len(requirements) >= 59
    assert named <= {*requirements, *sections}
    assert set(requirements) - broken == {"R-VERSION-1", "R-VERSION-2"}, "of what is read all the same"
    assert set(requirements) <= named


@pytest.mark.parametrize("vector", [v for v in VECTORS if "error" in v.expected], ids=lambda vector: vector.path.stem)
def test_the_requirement_is_the_one_that_is_broken(vector: Vector) -> None:
    base = read(vector.base.read_bytes())[0] if vector.base else None
    contents = {name: each for name, each in (base or {}).items() if isinstance(each, Content)}
    with pytest.raises(Refused) as refused:
        read(vector.path.read_bytes(), contents if base else None)
    assert [refused.value.section] == vector.expected["requirement"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_reader_agrees(name: str) -> None:
    if name == "native":
        pytest.importorskip("dcz.kernels._native", reason="this install has no compiled kernels")
    if name == "c" and c_compiler() is None:
        pytest.skip("no C compiler with libzstd")
    outcome = run(built_in(name), VECTORS, is_library=name in ("native", "pure"))
    assert outcome == Outcome(right=len(VECTORS))


def test_the_lines_of_the_table() -> None:
    names = ["reference", f"other={sys.executable} -c pass", f"{sys.executable} x=y"]
    assert list(readers(names)) == ["reference", "other", names[2]]
    lacks = {"c": not c_compiler(), "native": not NATIVE_SETS}
    assert list(readers([])) == [name for name in BUILT_IN if not lacks.get(name)]


@pytest.mark.parametrize("program", ["readers/library.py", "reference_decoder.py"])
def test_a_program_agrees(program: str) -> None:
    """The protocol itself, on a few."""
    few = [vector for vector in VECTORS if vector.name in FEW]
    assert len(few) == len(FEW)
    outcome = run(command(f"{sys.executable} {SPEC / program}"), few)
    assert outcome == Outcome(right=len(few))


def test_differences_are_found() -> None:
    """A reader that takes everything, one that refuses everything, one that crashes, one that reads other words."""
    expected = json.loads((FOLDER / "valid/index-raw.json").read_text())
    lines = expected["tensors"]
    assert compare(expected, lines) == ""
    assert "is refused" in compare(expected, [{"error": "format", "message": "no"}])
    assert "the tensors are" in compare(expected, lines[:1])
    assert "the tensors are" in compare(expected, lines[::-1])
    assert "expected" in compare(expected, [{**lines[0], "content_crc32c": "00000000"}, *lines[1:]])
    assert "expected" in compare(expected, [{"name": lines[0]["name"], "unsupported": "?"}, *lines[1:]])
    refused = {"requirement": ["2"], "error": "truncated"}
    assert "is read" in compare(refused, lines)
    assert "class format" in compare(refused, [{"error": "format", "message": "bytes"}])
    assert "does not say" in compare(refused, [{"error": "truncated", "message": "no"}], is_library=True, word="bytes")
    either = {"requirement": ["R-INDEX-9"], "error": ["format", "limit"]}
    assert [compare(either, [{"error": kind, "message": "words"}]) for kind in ("format", "limit")] == ["", ""]
    assert "expected format or limit" in compare(either, [{"error": "checksum", "message": "words"}])
    limit = {"requirement": ["9"], "error": "limit"}
    assert compare(limit, lines) == "left out"  # another reader's limits may be higher
    assert "is read" in compare(limit, lines, is_library=True)
    assert "is read" in compare({**limit, "requirement": ["R-LIMIT-1"]}, lines)
    crash = command(f"{sys.executable} -c 'raise SystemExit(3)'")
    assert run(crash, VECTORS[:1]).differences


def test_the_command_line_fails_on_a_difference() -> None:
    few = f"{sys.executable} -c pass"  # prints nothing: right for the files without tensors alone
    code = "import sys, conformance as c; whole = c.vectors; c.vectors = lambda: list(whole())[:3]; sys.exit(c.main())"
    done = subprocess.run([sys.executable, "-c", code, few], capture_output=True, text=True, cwd=SPEC)
    assert done.returncode == 1 and "different" in done.stdout
