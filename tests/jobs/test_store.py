"""Jobs that read from and write to a store, an S3 API server, which fails in its own ways."""

from __future__ import annotations

from typing import Any

import pytest
from test_cluster import pack, stored, upload

import dcz
from dcz import jobs
from dcz.errors import DczError, TruncatedError
from dcz.jobs import places, tasks
from dcz.jobs.lock import Lock
from support.s3 import S3
from support.sharded import SHARD, Source

OUT = "s3://models/out/model.dcz.index.json"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here s3fs tries twice, and jobs wait for moments."""
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    monkeypatch.setattr(tasks, "WAITS", (0.01, 0.02, 0.04))


def test_from_store_to_store(source: Source, s3: S3, client: Any) -> None:
    url = upload(source)
    assert pack(url, OUT, client).kept == 0
    assert stored("models/out") == source.files
    assert pack(url, OUT, client, resume=True).kept == len(source.files) - 1
    with dcz.open(OUT) as model:
        assert len(model) == 21


def test_in_this_process(source: Source, s3: S3, dcz_: Any) -> None:
    run = dcz_("pack", upload(source), OUT, "--shard-size", "150kB")
    assert (run.code, run.err) == (0, "") and stored("models/out") == source.files
    run = dcz_("pack", upload(source), OUT, "--shard-size", "150kB")
    assert run.code == 1 and "already exists" in run.err


@pytest.mark.parametrize("manner", ["500", "503", "truncated"])
def test_failures_that_pass(source: Source, s3: S3, client: Any, manner: str) -> None:
    url = upload(source)
    done = pack(url, OUT, client, progress=fails_twice(s3, manner))
    assert done.tensors == 21 and stored("models/out") == source.files
    assert s3.failed == 2


def fails_twice(s3: S3, manner: str) -> Any:
    """A progress that makes the store fail twice, once the plan is made."""

    def report(done: int, total: int) -> None:
        if done == 0:
            s3.behave(manner, "model-00002-of-00003.safetensors", healthy_after=2)

    return report


@pytest.mark.parametrize("manner", ["500", "503", "truncated"])
def test_failures_that_last(source: Source, s3: S3, manner: str) -> None:
    url = upload(source)

    def fail(done: int, total: int) -> None:
        if done == 0:
            s3.behave(manner, "model-00003-of-00003.safetensors")

    with pytest.raises(
        DczError, match=r"source/model-00003-of-00003.safetensors: .*; 1 of 3 files are made; --resume"
    ) as caught:
        jobs.pack(url, OUT, shard_size=SHARD, progress=fail)
    assert isinstance(caught.value, TruncatedError) == (manner == "truncated")
    s3.behave()
    assert jobs.pack(url, OUT, shard_size=SHARD, resume=True).kept == 1
    assert stored("models/out") == source.files


def test_a_store_that_takes_nothing(source: Source, s3: S3) -> None:
    s3.behave("503", "out/model.dcz.job-")
    with pytest.raises(DczError, match=r"s3://models/out/model.dcz.job-.*/model-00001-of-00003.dcz: .*; 0 of 3 files"):
        jobs.pack(source.index, OUT, shard_size=SHARD)


def test_a_lock_in_a_store(source: Source, s3: S3) -> None:
    lock = Lock("s3://models/out/model.dcz.job.lock", OUT)
    with pytest.raises(DczError, match="another job writes to it"):
        jobs.pack(source.index, OUT, shard_size=SHARD)
    lock.release()
    assert jobs.pack(source.index, OUT, shard_size=SHARD).kept == 0


def test_creating_alone(s3: S3) -> None:
    assert places.create("s3://models/x", b"1")
    assert not places.create("s3://models/x", b"2")
    assert places.read_bytes("s3://models/x") == b"1"


def test_what_is_tried_again() -> None:
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError(103, "no", "s3://models/x")
        return 7

    assert tasks.persistently(work) == 7 and len(calls) == 3
    for error in (OSError(5, "no", "here/x"), TruncatedError("here/x: short"), OSError(2, "no", "s3://models/x")):
        assert not tasks.is_transient(error)
    assert tasks.is_transient(TruncatedError("s3://models/x: short"))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may be silent for a third of a second; file systems connect anew to know it."""
    import s3fs

    monkeypatch.setenv("DCZ_TIMEOUT", "0.3")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("manner", ["silent", "stalled"])
def test_a_silent_store(source: Source, s3: S3, hasty: None, manner: str) -> None:
    url = upload(source)
    assert jobs.pack(url, OUT, shard_size=SHARD, progress=fails_twice(s3, manner)).tensors == 21
    assert s3.failed == 2 and stored("models/out") == source.files

    def fail(done: int, total: int) -> None:
        if done == 0:
            s3.behave(manner, "model-00003-of-00003.safetensors")

    again = OUT.replace("out/", "again/")
    said = r"source/model-00003-of-00003.safetensors: The server .* DCZ_TIMEOUT .*; 1 of 3 files are made; --resume"
    with pytest.raises(DczError, match=said):
        jobs.pack(url, again, shard_size=SHARD, progress=fail)
    assert 1 < s3.failed < 20
    s3.behave()
    assert jobs.pack(url, again, shard_size=SHARD, resume=True).kept == 1
    assert stored("models/again") == source.files


def test_a_store_that_is_silent_from_the_beginning(source: Source, s3: S3, hasty: None, dcz_: Any) -> None:
    url = upload(source)
    s3.behave("silent")
    run = dcz_("pack", url, OUT, "--resume")
    assert run.code == 1 and run.err.count("\n") == 1 and "DCZ_TIMEOUT" in run.err and "s3://models" in run.err
