"""Jobs that end early and go on: what is finished is checked and kept, and the result is that of one run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import jobs
from dcz.cli.streams import Stopped
from dcz.errors import ChecksumError, DczError
from dcz.jobs import making
from support.sharded import SHARD, Source, content, write


def pack(source: Source, target: Path, **options: object) -> jobs.Done:
    return jobs.pack(source.index, target, shard_size=SHARD, **options)  # type: ignore[arg-type]


def scratch(target: Path) -> Path:
    """The folder of a job that is not finished."""
    found = [path for path in target.parent.iterdir() if ".job-" in path.name]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def ended(source: Source, target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that was interrupted when it had made two files."""
    made = making.DczFile._make
    count = 0

    def once(self: making.DczFile) -> object:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return made(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(making.DczFile, "_make", once)
        pack(source, target)
    return target


def test_one_run_is_that_of_the_command(source: Source, target: Path) -> None:
    done = pack(source, target)
    assert (done.tensors, done.kept, len(done.files)) == (21, 0, len(source.files) - 1)
    assert content(target.parent) == source.files
    assert [path.name for path in target.parent.iterdir() if "job" in path.name] == ["model.dcz.job.json"]


def test_a_single_file(source: Source, target: Path, dcz_: Callable) -> None:
    jobs.pack(source.index, target.parent / "job.dcz")
    assert dcz_("pack", source.index, target.parent / "run.dcz").code == 0
    assert (target.parent / "job.dcz").read_bytes() == (target.parent / "run.dcz").read_bytes()


def test_finished_files_are_kept(source: Source, ended: Path) -> None:
    assert sorted(path.name for path in scratch(ended).iterdir()) == sorted(source.files)[:2]
    before = {path.name: path.stat().st_ino for path in scratch(ended).iterdir()}
    done = pack(source, ended, resume=True)
    assert done.kept == 2 and content(ended.parent) == source.files
    assert {name: (ended.parent / name).stat().st_ino for name in before} == before


def test_files_that_are_not_whole_are_made_again(source: Source, ended: Path) -> None:
    first, second = sorted(scratch(ended).iterdir())
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 1
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:-1])
    done = pack(source, ended, resume=True)
    assert done.kept == 0 and content(ended.parent) == source.files


def _identities(folder: Path) -> dict[str, tuple[int, ...]]:
    """What changes when a file is replaced or written to; not when it is read, as st_atime does."""
    found = {path.name: path.stat() for path in folder.iterdir() if not path.name.endswith("job.json")}
    return {name: (own.st_ino, own.st_size, own.st_mtime_ns, own.st_ctime_ns) for name, own in found.items()}


def test_a_finished_job_keeps_all(source: Source, target: Path) -> None:
    pack(source, target)
    before = _identities(target.parent)
    done = pack(source, target, resume=True)
    assert done.kept == len(done.files) and _identities(target.parent) == before
    damaged = target.parent / done.files[0]
    damaged.write_bytes(damaged.read_bytes().replace(b"model", b"medal", 1)[:-1] + b"x")
    assert pack(source, target, resume=True).kept == len(done.files) - 1
    assert content(target.parent) == source.files


def test_a_missing_index_is_written_again(source: Source, target: Path) -> None:
    pack(source, target)
    target.unlink()
    assert pack(source, target, resume=True).kept == len(source.files) - 1
    assert content(target.parent) == source.files


def test_a_kill_between_moves(source: Source, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dcz.jobs import job

    def some(scratch: str, folder: str, files: list[str], indexes: list[str]) -> None:
        os.replace(os.path.join(scratch, files[0]), os.path.join(folder, files[0]))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(job, "publish_together", some)
        pack(source, target)
    assert not target.exists()
    assert pack(source, target, resume=True).kept == len(source.files) - 1
    assert content(target.parent) == source.files


def test_what_is_another_job_is_refused(source: Source, ended: Path, tmp_path: Path) -> None:
    def refused(message: str, **options: object) -> None:
        before = content(ended.parent / scratch(ended))
        with pytest.raises(DczError, match=message):
            pack(source, ended, resume=True, **options)
        assert content(ended.parent / scratch(ended)) == before

    refused('begun with profile "auto", found "csr"', profile="csr")
    refused('begun with recipe null, found {"n_bits": 4}', recipe={"n_bits": 4})
    with pytest.raises(DczError, match="not finished; --resume goes on with it, --force starts anew"):
        pack(source, ended)
    record = ended.parent / "model.dcz.job.json"
    text = record.read_text()
    for key, value, message in (
        ("dcz", "0.0.9", "begun by dcz 0.0.9, this is "),
        ("format", 7, "begun by format version 7, this is 1"),
        ("verb", "unpack", "is to unpack, not to pack"),
        ("sources", 3, "is not the record of a job"),
    ):
        record.write_text(json.dumps({**json.loads(text), key: value}))
        refused(message)
    record.write_text(text)
    shard = source.index.parent / "model-00002-of-00003.safetensors"
    os.utime(shard, ns=(1, 1))
    refused("another source: 'model-00002-of-00003.safetensors' has been written since; finish it with that source")
    index = shutil.copy2(source.index, tmp_path / "index")
    shutil.rmtree(source.index.parent)
    write(source.index.parent, rows=61)
    shutil.copy2(index, source.index)
    refused("another source: 'model-0000.-of-00003.safetensors' had .* bytes, it has")
    assert pack(source, ended, replace=True).kept == 0
    assert not [path for path in ended.parent.iterdir() if ".job-" in path.name]


def test_one_bad_tensor_leaves_the_others(source: Source, target: Path, dcz_: Callable) -> None:
    packed = dcz.save_sharded(dcz.load_file(_to_dcz(source, target.parent)), target.parent, shard_size=SHARD, name="in")
    poisoned = sorted(target.parent.glob("in-*.dcz"))[1]
    data = bytearray(poisoned.read_bytes())
    data[100] ^= 1
    poisoned.write_bytes(data)
    out = target.parent / "again.dcz.index.json"
    with pytest.raises(ChecksumError, match=r"again-00002-of-00003.dcz: .*; 2 of 3 files are made; --resume"):
        jobs.pack(packed, out, shard_size=SHARD)
    run = dcz_("pack", packed, out, "--shard-size", "150kB", "--resume")
    assert (
        run.code == 1
        and "in-00002-of-00003.dcz: tensor 'model.layers" in run.err
        and "2 of 3 files are made" in run.err
    )
    data[100] ^= 1
    status = poisoned.stat()
    poisoned.write_bytes(data)
    os.utime(poisoned, ns=(status.st_atime_ns, status.st_mtime_ns))
    run = dcz_("pack", packed, out, "--shard-size", "150kB", "--resume")
    assert run.code == 0 and "2 of 3 files were made before" in run.out


def _to_dcz(source: Source, folder: Path) -> str:
    jobs.pack(source.index, folder / "whole.dcz")
    return str(folder / "whole.dcz")


def test_unpacking(source: Source, target: Path, tmp_path: Path, dcz_: Callable) -> None:
    pack(source, target)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    name = "model.safetensors.index.json"
    assert dcz_("unpack", target, tmp_path / "a" / name, "--shard-size", "150kB").code == 0
    run = dcz_("unpack", target, tmp_path / "b" / name, "--shard-size", "150kB", "--resume")
    assert (run.code, run.err) == (0, "")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    shard = next((tmp_path / "b").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    assert jobs.unpack(target, tmp_path / "b" / name, shard_size=SHARD, resume=True).kept == 2
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_differences(source: Source, target: Path, tmp_path: Path, dcz_: Callable) -> None:
    base = write(tmp_path / "base", seed=0)
    with np.errstate(all="ignore"):
        arrays = {n: a.copy() for n, a in dcz.load_file(_to_dcz(source, tmp_path)).items()}
    arrays["model.layers.1.mlp.0.weight"][:3] += 1
    new = dcz.save_sharded(arrays, tmp_path, name="new", shard_size=SHARD)
    options = ("--base", base, "--shard-size", "150kB")
    (tmp_path / "one").mkdir()
    assert dcz_("pack", new, tmp_path / "one" / target.name, *options).code == 0
    assert dcz_("pack", new, target, *options, "--resume").code == 0
    assert content(target.parent) == content(tmp_path / "one")


def test_recipes(source: Source, target: Path, tmp_path: Path, dcz_: Callable) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"density": 0.2, "n_bits": 3, "tensors": {"*.1.mlp.0.weight": {"n_bits": 2}}}))
    options = ("--recipe", recipe, "--shard-size", "150kB")
    (tmp_path / "one").mkdir()
    one = dcz_("pack", source.index, tmp_path / "one" / target.name, *options)
    job = dcz_("pack", source.index, target, *options, "--resume")
    assert job.code == 0 and job.out.split("\n")[1:] == one.out.split("\n")[1:]
    assert content(target.parent) == content(tmp_path / "one")
    recipe.write_text(json.dumps({"density": 0.2, "scope": "global"}))
    run = dcz_("pack", source.index, target, *options, "--resume", "--force")
    assert run.code == 1


def test_what_is_refused_leaves_nothing(source: Source, target: Path, dcz_: Callable) -> None:
    """No record of a job that never began: the same command goes through once the cause is mended."""
    shard = sorted(source.index.parent.glob("*.safetensors"))[1]
    whole = shard.read_bytes()
    try:
        for damaged in (whole[:-100], whole[:8] + b"\xff" * 9 + whole[17:]):
            shard.write_bytes(damaged)
            run = dcz_("pack", source.index, target, "--shard-size", "150kB", "--resume")
            assert run.code == 1 and shard.name in run.err and not list(target.parent.iterdir())
    finally:
        shard.write_bytes(whole)
    with pytest.raises(DczError, match="scope: a global density"):
        pack(source, target, recipe={"density": 0.2, "scope": "global"})
    assert not list(target.parent.iterdir())
    assert dcz_("pack", source.index, target, "--shard-size", "150kB").code == 0


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stopped(15)])
def test_an_interruption_says_how_to_go_on(
    source: Source, target: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def never(*_: object, **options: object) -> object:
        raise stop

    options = (source.index, target, "--shard-size", "150kB", "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(making.DczFile, "_make", never)
        run = dcz_("pack", *options)
    assert run.code in (130, 143) and run.err.endswith("; what is finished is kept, and --resume goes on with it\n")
    assert run.err.startswith("dcz: ") and run.err.count("\n") == 1
    assert dcz_("pack", *options).code == 0
    with monkeypatch.context() as patch:  # nothing to go on with
        patch.setattr("dcz.convert.transfer", never)
        run = dcz_("pack", source.index, target.parent / "other.dcz")
    assert run.code in (130, 143) and "--resume" not in run.err


def test_a_global_rule_is_refused(source: Source, target: Path) -> None:
    with pytest.raises(DczError, match="scope: a global density"):
        pack(source, target, recipe={"density": 0.2, "scope": "global"})


def test_the_command_line_refuses(source: Source, tmp_path: Path, dcz_: Callable) -> None:
    for arguments, message in (
        (
            ("pack", source.index.parent, tmp_path / "folder", "--resume"),
            "dcz: --resume: goes with a .dcz or .dcz.index.json file",
        ),
        (("pack", source.index, tmp_path / "x.dcz", "--scheduler", "host:8786"), "an address such as tcp://host:8786"),
    ):
        run = dcz_(*arguments)
        assert run.code == 2 and message in " ".join(run.err.split())
