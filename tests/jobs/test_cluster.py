"""Jobs by worker processes of a Dask cluster: the same bytes, and what happens when one of them, or the scheduler, is
lost."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dcz
from dcz import jobs
from dcz.errors import ChecksumError, DczError
from dcz.jobs import cluster as runner
from support.cluster import Cluster, client_of, cluster
from support.s3 import S3
from support.sharded import SHARD, Source, content

TASK = 50_000  # two tensors


def pack(source: Source | str, target: Path | str, client: Any, **options: Any) -> jobs.Done:
    index = source if isinstance(source, str) else source.index
    return jobs.pack(index, target, client=client, shard_size=SHARD, task_bytes=TASK, **options)


def upload(source: Source) -> str:
    import s3fs

    s3fs.S3FileSystem().put(str(source.index.parent), "models/source", recursive=True)
    return f"s3://models/source/{source.index.name}"


def stored(folder: str) -> dict[str, bytes]:
    import s3fs

    fs = s3fs.S3FileSystem()
    fs.invalidate_cache()
    paths = fs.find(folder)
    return {p.rpartition("/")[2]: fs.cat_file(p) for p in paths if not p.endswith(".job.json")}


def test_the_bytes_of_one_run(source: Source, target: Path, client: Any) -> None:
    seen: list[tuple[int, int]] = []
    done = pack(source, target, client, progress=lambda *numbers: seen.append(numbers))
    assert (done.tensors, done.kept) == (21, 0) and content(target.parent) == source.files
    assert seen[-1] == (done.nbytes, done.nbytes) and len(seen) > len(done.files) and seen == sorted(seen)
    assert pack(source, target, client, resume=True).kept == len(done.files)


def test_the_command_line(source: Source, target: Path, workers: Cluster, dcz_: Callable) -> None:
    options = ("--scheduler", workers.address, "--shard-size", "150kB")
    run = dcz_("pack", source.index, target, *options)
    assert (run.code, run.err) == (0, "") and content(target.parent) == source.files
    run = dcz_("pack", source.index, target, *options)
    assert run.code == 1 and "already exists" in run.err
    back = target.parent / "model.safetensors"
    assert dcz_("unpack", target, back, "--scheduler", workers.address).code == 0
    assert dcz_("diff", source.index, back).code == 0


def test_names_in_the_dashboard(source: Source, target: Path, client: Any) -> None:
    from distributed import get_task_stream

    with get_task_stream(client) as stream:
        pack(source, target, client)
    names = {task["key"][1] for task in stream.data}
    assert {task["key"][0] for task in stream.data} == {"pack", "write", "commit"}
    assert {"pack:model.layers.1.empty and 2 more", "write:model-00001-of-00003.dcz"} <= names
    assert "commit:model.dcz.index.json" in names


def test_differences_and_recipes(source: Source, target: Path, client: Any, tmp_path: Path) -> None:
    arrays = {name: array.copy() for name, array in dcz.load_file(_packed(source, tmp_path)).items()}
    arrays["model.layers.1.mlp.0.weight"][:3] += 1
    new = dcz.save_sharded(arrays, tmp_path, name="new", shard_size=SHARD)
    for number, options in enumerate(
        ({"base": source.index}, {"recipe": {"n_bits": 3, "tensors": {"*.0.weight": {"n_bits": 2}}}})
    ):
        found = []
        for own in (None, client):
            folder = tmp_path / f"{number}-{own is None}"
            folder.mkdir()
            done = jobs.pack(new, folder / target.name, client=own, shard_size=SHARD, task_bytes=TASK, **options)
            found.append((content(folder), done.reports))
        assert found[0] == found[1]


def _packed(source: Source, folder: Path) -> str:
    jobs.pack(source.index, folder / "whole.dcz")
    return str(folder / "whole.dcz")


def test_other_versions_are_refused(source: Source, target: Path, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "__version__", "9.9.9")
    with pytest.raises(
        DczError, match=rf"differ: dcz 9.9.9 \(format version 1\) here, {dcz.__version__} .* at tcp://127"
    ):
        pack(source, target, client)
    assert not list(target.parent.iterdir())


def test_nobody_answers(source: Source, target: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 1.0)
    run = dcz_("pack", source.index, target, "--scheduler", "tcp://127.0.0.1:9")
    assert run.code == 1 and run.err.startswith("dcz: tcp://127.0.0.1:9: no scheduler answers there")
    assert run.err.count("\n") == 1
    assert not logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)  # Dask's traceback of a lost one


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8786", "http://127.0.0.1:8787", "tls://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://", "tcp://[::1",
     "tcp://127.0.0.1:99999", "inproc://x"],
)  # fmt: skip
def test_what_is_not_an_address(source: Source, target: Path, dcz_: Callable, address: str) -> None:
    """Dask's own client ends in a traceback for these, after 20 seconds."""
    run = dcz_("pack", source.index, target, "--scheduler", address)
    expected = f"dcz: --scheduler: expected an address such as tcp://host:8786, found '{address}'"
    assert run.code == 2 and run.err.startswith(expected) and run.err.count("\n") == 1
    assert not list(target.parent.iterdir())


def test_the_address_of_a_worker(source: Source, target: Path, client: Any, dcz_: Callable) -> None:
    worker = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    run = dcz_("pack", source.index, target, "--scheduler", worker)
    assert run.code == 2 and run.err.endswith(f"found '{worker}' (it is that of a worker)\n")
    assert run.err.count("\n") == 1 and not list(target.parent.iterdir())


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9])
def test_what_listens_is_not_a_scheduler(
    source: Source, target: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch, says: bytes
) -> None:
    """Such as the dashboard's port, of which Dask's own client waits for ever."""
    monkeypatch.setattr(runner, "PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed at the end
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        run = dcz_("pack", source.index, target, "--scheduler", f"tcp://127.0.0.1:{server.getsockname()[1]}")
        for each in held:
            each.close()
    assert held and run.code == 1 and run.err.count("\n") == 1
    assert "no scheduler answers there" in run.err and not list(target.parent.iterdir())


def test_a_poisoned_shard(source: Source, target: Path, workers: Cluster, dcz_: Callable) -> None:
    packed = dcz.save_sharded(dcz.load_file(_packed(source, target.parent)), target.parent, shard_size=SHARD, name="in")
    poisoned = sorted(target.parent.glob("in-*.dcz"))[1]
    data = bytearray(poisoned.read_bytes())
    data[100] ^= 1
    poisoned.write_bytes(data)
    options = (packed, target, "--scheduler", workers.address, "--shard-size", "150kB")
    run = dcz_("pack", *options)
    assert run.code == 1 and run.err.count("\n") == 1
    assert f"model-00002-of-00003.dcz: {poisoned}: tensor" in run.err and "2 of 3 files are made; --resume" in run.err


def test_a_killed_worker(source: Source, s3: S3, workers: Cluster) -> None:
    url = upload(source)
    workers.start("victim", env=s3.environment)
    with client_of(workers, 3) as client:
        victim = next(a for a, w in client.scheduler_info(n_workers=-1)["workers"].items() if w["name"] == "victim")
        s3.behave("slow", "source/", delay=0.1)
        found: list[Any] = []
        thread = threading.Thread(
            target=lambda: found.append(pack(url, "s3://models/out/model.dcz.index.json", client))
        )
        thread.start()
        until = time.monotonic() + 60
        while not client.processing().get(victim) and time.monotonic() < until:
            time.sleep(0.01)
        assert client.processing()[victim] and not found  # in mid-task
        workers.kill("victim")
        s3.behave()
        thread.join(60)
    assert [done.tensors for done in found] == [21]
    assert stored("models/out") == source.files


def test_a_lost_scheduler(source: Source, target: Path, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 2.0)
    url = upload(source)
    errors: list[BaseException] = []

    def run(client: Any) -> None:
        try:
            pack(url, target, client)
        except DczError as error:
            errors.append(error)

    with cluster("alone", env=s3.environment) as made:
        from distributed import Client

        client = Client(made.address, set_as_default=False, timeout=60)
        client.wait_for_workers(1, timeout=60)
        s3.behave("slow", "source/", delay=0.05)
        thread = threading.Thread(target=run, args=(client,))
        thread.start()
        until = time.monotonic() + 60
        while not list(target.parent.glob("model.dcz.job-*/model-?????-of-?????.dcz")) and time.monotonic() < until:
            time.sleep(0.02)
        made.scheduler.kill()
        thread.join(60)
        client.close(timeout=1)
    assert [str(error) for error in errors] == [
        f"{made.address}: the scheduler is lost; start it and its workers again, and then go on with --resume"
    ]
    s3.behave()
    assert not target.exists()
    done = pack(url, target, None, resume=True)
    assert done.kept >= 1 and content(target.parent) == source.files


def test_a_full_disk(source: Source, target: Path, workers: Cluster) -> None:
    workers.start("full", shell="ulimit -f 0")
    with client_of(workers, 3) as client:
        done = pack(source, target, client)
    workers.end("full")
    assert done.tensors == 21 and content(target.parent) == source.files


def test_all_disks_full(source: Source, target: Path) -> None:
    with cluster("full") as made:
        made.end("full")
        made.start("full", shell="ulimit -f 0")
        with client_of(made, 1) as client, pytest.raises(DczError, match="File too large .*; 0 of 3 files are made"):
            pack(source, target, client)
    assert not target.exists()


def test_a_plan_names_its_tasks_and_the_tensor_that_fails(source: Source, target: Path, client: Any) -> None:
    seen: list[tuple[int, int]] = []
    planned = jobs.plan(source.index, client=client, max_rel_error=0.1, progress=lambda *at: seen.append(at))
    assert planned.recipe == dcz.plan(dcz.load_file(_packed(source, target.parent)), max_rel_error=0.1).recipe
    assert seen[-1][0] == seen[-1][1] == len(planned.recipe["tensors"])
    with pytest.raises(DczError, match="target"):
        jobs.plan(source.index, client=client)


def test_an_error_keeps_its_kind(source: Source, target: Path, client: Any) -> None:
    packed = Path(dcz.save_sharded(dcz.load_file(_packed(source, target.parent)), target.parent, name="in"))
    document = json.loads(packed.read_text())
    (shard,) = set(document["weight_map"].values())
    data = bytearray((packed.parent / shard).read_bytes())
    data[100] ^= 1
    (packed.parent / shard).write_bytes(data)
    with pytest.raises(ChecksumError, match="do not match their CRC-32C"):
        pack(str(packed), target, client)


def test_verifying_comparing_and_planning(
    source: Source, target: Path, workers: Cluster, client: Any, dcz_: Callable
) -> None:
    pack(source, target, client)
    assert jobs.verify(target, client=client) == dcz.verify(target)
    assert repr(jobs.compare(source.index, client=client, task_bytes=TASK)) == repr(dcz.compare(source.index))
    for arguments in (
        ("verify", target),
        ("compare", source.index, "--csv"),
        ("plan", source.index, "--max-rel-error=0.2"),
    ):
        alone, together = dcz_(*arguments), dcz_(*arguments, "--scheduler", workers.address)
        assert (together.code, together.out, together.err) == (0, alone.out, "")
    shard = target.parent / "model-00002-of-00003.dcz"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    run = dcz_("verify", target, "--scheduler", workers.address)
    assert run.code == 1 and str(shard) in run.err and run.err.count("\n") == 1
