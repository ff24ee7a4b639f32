"""The benchmark suite runs, names every peer, and compares every bit."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("dcz", "copy", "safetensors", "zipnn")
INPUTS = ("alexnet", "palette-f16", "bf16", "pruned")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A quick run with a peer that cannot be imported: the folder of its results, and what it printed."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "zipnn.py").write_text("raise ImportError('no such peer here')\n")
    command = ["--quick", "--inputs", ",".join(INPUTS), "--peers", ",".join(PEERS), "--out", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return folder / "out", done.stdout


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "measurements.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_input_and_peer_has_a_row(run: tuple[Path, str]) -> None:
    from_csv = {(row["input"], row["peer"]) for row in rows(run[0])}
    titles = {"dcz", "bare copy in memory", "safetensors", "ZipNN"}
    assert from_csv == {(name, title) for name in INPUTS for title in titles}


def test_what_runs_is_exact_and_timed(run: tuple[Path, str]) -> None:
    measured = [row for row in rows(run[0]) if row["peer"] != "ZipNN"]
    assert measured
    for row in measured:
        assert (row["status"], row["exact"]) == ("ok", "True"), row
        assert float(row["encode_s"]) > 0 and float(row["decode_fresh_s"]) > 0 and float(row["decode_warm_s"]) > 0
        assert float(row["ratio"]) == pytest.approx(int(row["dense_bytes"]) / int(row["bytes"]), rel=1e-3)
    assert {row["threads"] for row in measured if row["peer"] == "dcz"} == {"1", "2"}


def test_a_peer_that_is_missing_is_named_with_its_reason(run: tuple[Path, str]) -> None:
    missing = [row for row in rows(run[0]) if row["peer"] == "ZipNN"]
    assert missing and {(row["status"], row["reason"]) for row in missing} == {("not installed", "no such peer here")}
    assert "| ZipNN | | not installed: no such peer here |" in run[1]


def test_the_report_has_its_sections(run: tuple[Path, str]) -> None:
    folder, printed = run
    assert (folder / "results.md").read_text().strip() == printed.strip()
    for section in (
        "Targets",
        "Sizes",
        "Where a load spends its time",
        "Huffman decoding alone",
        "Slices",
        "Whole processes",
    ):
        assert f"## {section}" in printed
    assert ("the write limit" in printed.split("## Where")[0]) == (shutil.which("cc") is not None)
    machine = json.loads((folder / "machine.json").read_text())
    assert machine["cpu"] and machine["python"] and machine["kernels"]


def test_the_stages_of_a_load_are_seen(run: tuple[Path, str]) -> None:
    """Each stage is a function of the package: one that is renamed or no longer called shows here."""
    table = run[1].split("## Where a load spends its time")[1].split("## ")[0]
    stages = {stage: float(fresh) for stage, fresh in re.findall(r"^\| ([^|]+) \| ([\d.]+) \|", table, re.MULTILINE)}
    for stage in (
        "open, read and parse the index",
        "allocate",
        "read the file",
        "checksums, Huffman and expansion (kernels)",
    ):
        assert stages[stage] > 0


def test_an_unknown_peer_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "--peers", "dcz,nobody"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "'nobody' is unknown" in done.stderr


def test_bits_are_compared_and_not_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.suite.harness.worker import _same

    zeros, nan = np.zeros(3, np.float32), np.full(3, np.nan, np.float32)
    assert _same(nan, nan.copy())
    assert not _same(zeros, -zeros)
    assert not _same(zeros, zeros.reshape(3, 1))
    assert not _same(zeros, np.zeros(3, np.float64))
    assert not _same(zeros, None)
