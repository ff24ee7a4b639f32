"""Two jobs at one place: one is refused, and a killed one is in nobody's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dcz import jobs
from dcz.errors import DczError
from dcz.jobs.lock import Lock
from support.sharded import SHARD, Source, content


def test_the_second_is_refused(source: Source, target: Path) -> None:
    lock = Lock(str(target.parent / "model.dcz.job.lock"), str(target))
    with pytest.raises(DczError, match=rf"another job writes to it: process {os.getpid()} of .*, since 20.*; wait"):
        jobs.pack(source.index, target, shard_size=SHARD)
    assert sorted(path.name for path in target.parent.iterdir()) == ["model.dcz.job.lock"]
    lock.release()
    jobs.pack(source.index, target, shard_size=SHARD)
    assert content(target.parent) == source.files


def test_one_of_many_gets_it(tmp_path: Path) -> None:
    path = str(tmp_path / "x.job.lock")

    def take(_: int) -> Lock | None:
        try:
            return Lock(path, "x")
        except DczError:
            return None

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            taken = [lock for lock in pool.map(take, range(8)) if lock is not None]
            assert len(taken) == 1
            taken[0].release()
            assert not os.path.exists(path)


def _dead(path: Path) -> None:
    """The lock of a process that was killed."""
    program = "import os, sys; from dcz.jobs.lock import Lock; Lock(sys.argv[1], 'x'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9
    assert path.exists()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.job.lock"
    _dead(path)
    text = path.read_bytes()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            path.write_bytes(text)
            taken = [lock for lock in pool.map(lambda _: _try(path), range(8)) if lock is not None]
            assert len(taken) == 1
            taken[0].release()


def _try(path: Path) -> Lock | None:
    try:
        return Lock(str(path), "x")
    except DczError:
        return None


def test_a_lock_of_another_machine_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.job.lock"
    _dead(path)
    owner = json.loads(path.read_text())
    for text in (json.dumps({**owner, "place": owner["place"] ^ 1, "host": "far"}), "", "not JSON", "[]"):
        path.write_text(text)
        with pytest.raises(DczError, match=r"remove .*x\.job\.lock if it has ended"):
            Lock(str(path), "x")
        assert path.read_text() == text


def test_a_lock_that_could_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that fails at the end leaves a lock that is in nobody's way, not even in this process's."""
    path = str(tmp_path / "x.job.lock")
    first = Lock(path, "x")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no"):
        patch.setattr("dcz.jobs.places.remove", _fails)
        first.release()
    assert os.path.exists(path)
    Lock(path, "x").release()
    assert not os.path.exists(path)


def _fails(path: str) -> None:
    raise OSError(5, "no")


def test_the_cause_is_told(source: Source, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.jobs.lock.places.remove", _fails)
    with pytest.raises(DczError, match="^the cause$"):
        with jobs.job.Job(str(target), jobs.record.Record("pack", {}, {}), resume=True, replace=False):
            raise DczError("the cause")
