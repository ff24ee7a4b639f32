"""The short form of each campaign finds no fault. That of `kernels` runs with the sanitizers
(`tests/sanitized.py`), that of `branches` by itself (`.ci/run`)."""

from __future__ import annotations

import importlib
import re

import pytest

from campaign import results
from campaign.campaigns import CAMPAIGNS

SHORT = [name for name in CAMPAIGNS if name not in ("kernels", "branches", "mutants")]


@pytest.mark.parametrize("name", SHORT)
def test_it_finds_no_fault(name: str) -> None:
    result = importlib.import_module(f"campaign.{name}").run(full=False, scale=1.0, seed=0)
    assert result.faults == []
    assert any(type(value) is int and value > 0 for value in result.figures.values()), "it did nothing"


def test_the_table_is_written_by_the_programs() -> None:
    """Each line is of a campaign that there is, says how many faults, and names the commit."""
    lines = [line for line in results.PATH.read_text().splitlines() if re.match(r"\| [a-z]+ \|", line)]
    names = [line.split("|")[1].strip() for line in lines[1:]]
    assert set(names) <= set(CAMPAIGNS) and len(set(names)) == len(names)
    for line in lines[1:]:
        assert re.search(r"\| \d+ \| [\d,]+ \| dcz ", line), line
