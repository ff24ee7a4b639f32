"""Small files that ask for much: each is refused before anything is made of its numbers.

Every way to read is tried in a process of its own, whose address space may grow by 48 MiB; it may take a tenth of a
second of processor time and 32 MiB. Both forms try all bombs.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import dcz
from campaign.bomb_files import BOMBS
from campaign.isolated import Crashed, isolated, resident
from campaign.results import Result

SECONDS, BYTES, ADDRESSES = 0.1, 32 << 20, 48 << 20


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result = Result({"bombs": len(BOMBS)})
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good.dcz"
        dcz.save_file({"w": np.eye(9, dtype="f4")}, good)
        for read in READS.values():
            read(good)  # imports what it needs, once
        for bomb, make in BOMBS.items():
            folder = Path(name) / bomb.replace(" ", "_").replace("/", "_")
            folder.mkdir()
            path = make(folder)
            for way, read in READS.items():
                _try(result, f"{bomb}, {way}", read, path, strict=full)
                result.count("ways to read them")
    return result


def _try(result: Result, what: str, read: Callable[[Path], object], path: Path, *, strict: bool) -> None:
    try:
        answer, seconds, grown = isolated(_bounded, read, path)
    except Crashed as error:
        result.fault(f"{what}: {error}")
        return
    result.most("s of processor time at most", seconds)
    result.most("MiB more at most", grown / (1 << 20))
    if answer is None:
        result.fault(f"{what}: is read")
    if grown > BYTES or (strict and seconds > SECONDS):
        result.fault(f"{what}: {answer}: {seconds:.3f} s, {grown} bytes")


def _bounded(read: Callable[[Path], object], path: Path) -> tuple[str | None, float, int]:
    """The refusal, or None where there is none; seconds; and bytes more at the peak."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # begins a new peak
    before, began = resident(), time.process_time()
    try:
        read(path)
        answer = None
    except dcz.DczError as error:
        answer = f"{type(error).__name__}: {error!s:.150}"
    seconds = time.process_time() - began
    with open("/proc/self/status") as file:
        peak = next(int(row.split()[1]) for row in file if row.startswith("VmHWM")) << 10
    return answer, seconds, peak - before


def _load(path: Path) -> object:
    return dcz.load_file(path, threads=1)


def _one_by_one(path: Path) -> object:
    with dcz.open(path) as reader:
        return [reader[name] for name in reader]


def _verify(path: Path) -> object:
    return dcz.verify(path, threads=1)


READS = {"load": _load, "one by one": _one_by_one, "verify": _verify}
