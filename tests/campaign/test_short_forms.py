"""The short form of each campaign finds no fault. That of `kernels` runs with the sanitizers
(`tests/sanitized.py`), that of `branches` by itself (`.ci/run`)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from campaign import results
from campaign.campaigns import CAMPAIGNS
from campaign.faults import NO_COMPILER
from campaign.jobs import MISSING

SHORT = [name for name in CAMPAIGNS if name not in ("kernels", "branches", "mutants")]
TESTS = Path(__file__).parents[1]
# In a process of its own: campaigns fork, and here are the threads of every framework that other tests import.
PROGRAM = """
import importlib, json, sys
result = importlib.import_module("campaign." + sys.argv[1]).run(full=False, scale=1.0, seed=0)
print(json.dumps([result.faults, {name: value for name, value in result.figures.items() if type(value) is int}]))
"""


@pytest.mark.parametrize("name", SHORT)
def test_it_finds_no_fault(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    faults, counts = json.loads(done.stdout.splitlines()[-1])
    assert faults == []
    if list(counts) == [NO_COMPILER] or list(counts) == [MISSING]:
        pytest.skip(f"no {NO_COMPILER}" if NO_COMPILER in counts else MISSING)
    assert any(count > 0 for count in counts.values()), "it did nothing"


def test_the_table_is_written_by_the_programs() -> None:
    """Each line is of a campaign that there is, says how many faults, and names the commit."""
    lines = [line for line in results.PATH.read_text().splitlines() if re.match(r"\| [a-z]+ \|", line)]
    names = [line.split("|")[1].strip() for line in lines[1:]]
    assert set(names) <= set(CAMPAIGNS) and len(set(names)) == len(names)
    for line in lines[1:]:
        assert re.search(r"\| \d+ \| [\d,]+ \| dcz ", line), line
