"""Figures of the campaign: a table in `tests/RESULTS.md` that the programs alone write."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

import dcz
from campaign import ROOT
from dcz import kernels

PATH = ROOT / "tests" / "RESULTS.md"
HEAD = """# What the campaign found

Each line is written by the run that it describes: `python -m tests.campaign NAME --full`. *faults* are inputs or
moments at which the library did what it must not, in that run; a run with faults ends
with exit code 1. The faults that earlier runs found are mended, and each has a test.

| campaign | figures | faults | seconds | of | when |
|---|---|---|---|---|---|
"""


@dataclass
class Result:
    """What a campaign did: `figures`, each with what it counts, and `faults`, a sentence each."""

    figures: dict[str, object] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def count(self, what: str, more: int = 1) -> None:
        """Adds to a figure."""
        self.figures[what] = int(self.figures.get(what, 0)) + more  # type: ignore[call-overload]

    def most(self, what: str, value: float) -> None:
        """Keeps the largest of a figure."""
        self.figures[what] = max(float(self.figures.get(what, 0.0)), value)  # type: ignore[arg-type]

    def fault(self, sentence: str) -> None:
        """Notes a fault."""
        self.faults.append(sentence)


def line(name: str, result: Result) -> str:
    """A campaign's line of the table."""
    figures = "; ".join(f"{_shown(value)} {what}" for what, value in result.figures.items())
    seconds = time.monotonic() - result.began
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return f"| {name} | {figures} | {len(result.faults)} | {seconds:,.0f} | {_versions()} | {today} |"


def record(name: str, result: Result) -> None:
    """Puts a campaign's line into the table, in the place of an earlier one, if there is one."""
    lines = PATH.read_text().splitlines() if PATH.exists() else HEAD.splitlines()
    found = line(name, result)
    at = next((i for i, each in enumerate(lines) if each.startswith(f"| {name} |")), None)
    if at is None:
        rows = [i for i, each in enumerate(lines) if each.startswith("|")]
        lines.insert(rows[-1] + 1, found)
    else:
        lines[at] = found
    PATH.write_text("\n".join(lines) + "\n")


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if isinstance(value, float) else str(value)


def _versions() -> str:
    sets = "+".join(kernels.available())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"dcz {dcz.__version__} {revision()}, {python}, numpy {np.__version__}, {sets}"


def revision() -> str:
    """The commit that was run, as git has it; a star where the tree differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "without git"
    status = subprocess.run([*git, "status", "--porcelain", "codec", "spec"], capture_output=True, text=True)
    return head.stdout.strip() + ("*" if status.stdout.strip() else "")


def figures(values: Mapping[str, object]) -> Result:
    """A result of known figures."""
    return Result(dict(values))
