"""Runs a file of tests in a process of its own, and tells what became of each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

_TIMEOUT = 600  # seconds, of one file


def outcomes(file: str, folder: Path, options: tuple[str, ...] = ()) -> dict[str, str]:
    """Names of tests to "passed", "skipped", or the first line of what went wrong. A process that dies takes the rest
    of its tests with it, so each is then run alone."""
    found, code = _run(file, folder, options)
    if code in (0, 1):
        return found
    names = _collect(file, folder, options)
    for name in names:
        one, code = _run(f"{file}::{name}", folder, options)
        found[name] = one.get(name, f"the process ended with code {code}")
    return found


def _collect(file: str, folder: Path, options: tuple[str, ...]) -> list[str]:
    run = _pytest(["--collect-only", "-q", file, *options], folder)
    return [line.partition("::")[2] for line in run.stdout.splitlines() if "::" in line]


def _run(target: str, folder: Path, options: tuple[str, ...]) -> tuple[dict[str, str], int]:
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    run = _pytest(["-q", target, f"--junitxml={report}", "-o", "junit_family=xunit1", *options], folder)
    if not report.exists():
        return {}, run.returncode or -1
    found = {}
    module = target.partition("::")[0].removesuffix(".py").replace("/", ".")
    for case in ElementTree.parse(report).iter("testcase"):
        group = case.get("classname", "").removeprefix(module).lstrip(".")
        name = f"{group}::{case.get('name')}" if group else str(case.get("name"))
        problem = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        skipped = case.find("skipped")
        if problem is not None:
            found[name] = (problem.get("message") or "failed").splitlines()[0][:160]
        else:
            found[name] = "passed" if skipped is None or skipped.get("type") == "pytest.xfail" else "skipped"
    return found, run.returncode


def _pytest(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
