"""A disk, and a standard output, that is full: each command says so in one line, and leaves files as they were."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.faulty_files import contents, folder, made

__all__ = ["folder", "made"]

# What each command that writes is to write, for disks that are full; what each that prints prints, for pipes.
WRITES = (
    "pack a.npz n.dcz", "pack a.npz n.dcz.index.json", "pack b.npz n.dcz --base c.npz", "unpack a.dcz n.npz",
    "unpack a.dcz n.safetensors", "inspect a.dcz --html n.html", "compare a.npz --html n.html",
    "compare a.npz --png n.png", "plan many.npz --target-ratio 3 -o n.toml", "merge a.dcz -o n.dcz",
    "apply a.npz ab.dcz n.npz", "fold ab.dcz bc.dcz n.dcz",
)  # fmt: skip
PRINTS = (
    "inspect a.dcz", "inspect ab.dcz --json", "compare a.npz", "verify a.dcz", "diff a.npz b.npz", "explain", "manual",
    "plan a.npz --target-ratio 3", "completion bash", "--version", "pack -h",
)  # fmt: skip


@pytest.mark.parametrize("case", WRITES)
def test_a_disk_that_is_full(folder: Path, dcz_: Callable, case: str) -> None:
    """A limit on the size of files, as a disk that is full, says so in the middle of writing."""
    if ".png" in case:
        pytest.importorskip("matplotlib", reason="figures need the plot extra")
    if "--html" in case:
        pytest.importorskip("vl_convert", reason="pages need the plot extra")
    before, limits = contents(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        run = dcz_(*case.split(), "--quiet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    target = next(word for word in case.split() if word.startswith("n."))
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(f"dcz: {target}") and run.err.endswith(": File too large\n") and run.err.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize("case", PRINTS)
def test_standard_output_that_is_full_or_gone(
    folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    code = 2 if case.startswith("diff") else 1
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        run = dcz_(*case.split())
        assert (run.code, run.err) == (code, "dcz: standard output: No space left on device\n")
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "w", encoding="utf-8") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        run = dcz_(*case.split())
        assert (run.code, run.err) == (code, "")
