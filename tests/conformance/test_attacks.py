"""Each attack of ATTACKS.md is answered by tests and vectors that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from support.conformance import SPEC

ROOT = Path(__file__).parents[2]
TEXT = (SPEC / "ATTACKS.md").read_text()
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| attack ")]


def names(text: str) -> list[str]:
    return re.findall(r"`((?:tests|valid|invalid)/[^`]+)`", text)


def exists(name: str) -> bool:
    """A vector, or a test function of a file."""
    if not name.startswith("tests/"):
        return (SPEC / "vectors" / f"{name}.dcz").is_file()
    path, _, function = name.partition("::")
    file = ROOT / path
    if not file.is_file():
        return False
    tree = ast.parse(file.read_text())
    return function.startswith("test_") and any(
        isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body
    )


def test_what_answers_an_attack_exists() -> None:
    assert len(ROWS) >= 35
    for row in ROWS:
        answers = names(row)
        assert answers, f"nothing answers: {row:.80}"
        for name in answers:
            assert exists(name), name


def test_a_name_that_does_not_exist_is_found() -> None:
    assert exists("invalid/two-files") and not exists("invalid/three-files")
    assert exists("tests/safe/test_reader.py::test_info")
    assert not exists("tests/safe/test_reader.py::test_nothing") and not exists("tests/safe/test_nothing.py::test_info")


def test_requirements_that_are_named_exist() -> None:
    """Nor is there a section on security that is not looked at: each kind of attack has a heading."""
    known = set(re.findall(r"^\*\*(R-[A-Z]+-\d+)\*\*", (SPEC / "SPEC.md").read_text(), re.M))
    named = set(re.findall(r"R-[A-Z]+-\d+", TEXT))
    assert named and named <= known
    assert len(re.findall(r"^## ", TEXT, re.M)) == 5


def test_names_of_tests_outside_of_rows_are_none() -> None:
    assert sorted(names(TEXT)) == sorted(name for row in ROWS for name in names(row))
