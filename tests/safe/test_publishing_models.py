"""The files of a model in several are replaced together, or none of them is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dcz

SHARDED = {name: np.arange(n, n + 40) for n, name in enumerate("abc")}


OTHER = {name: array + 1 for name, array in SHARDED.items()}


@pytest.fixture
def shards(tmp_path: Path) -> str:
    """The index of a model in three files."""
    return dcz.save_sharded(SHARDED, tmp_path, shard_size=400)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("number", range(12))
def test_files_of_one_model_are_replaced_together(
    shards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, links: bool
) -> None:
    """The n-th move fails: all files are as before."""
    before, move, calls = contents(tmp_path), os.replace, 0

    def replace(*paths: str) -> None:
        nonlocal calls
        calls += 1
        if calls == number + 1:
            raise OSError(5, "Input/output error")
        move(*paths)

    def no_links(*arguments: object, **options: object) -> None:
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        if not links:
            patch.setattr(os, "link", no_links)
        try:
            dcz.save_sharded(OTHER, tmp_path, shard_size=400)
        except OSError as error:
            assert error.errno == 5 and contents(tmp_path) == before
            return
    assert calls <= number and len(before) == 4 == len(os.listdir(tmp_path))
    assert {name: array.tolist() for name, array in dcz.load_file(shards).items()} == {
        name: array.tolist() for name, array in OTHER.items()
    }


def test_a_move_that_fails_leaves_no_new_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move = os.replace

    def replace(source: str, to: str) -> None:
        if to.endswith(".json"):
            raise OSError(5, "Input/output error")
        move(source, to)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="Input/output error"):
        dcz.save_sharded(OTHER, tmp_path, shard_size=400)
    assert os.listdir(tmp_path) == []


KILLED = """
import os, signal, sys, numpy, dcz
move, left = os.replace, int(sys.argv[2])
def replace(*paths):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    move(*paths)
os.replace = replace
dcz.save_sharded({name: numpy.arange(n + 1, n + 41) for n, name in enumerate("abc")}, sys.argv[1], shard_size=400)
"""


@pytest.mark.parametrize("number", [1, 5, 6, 8])
def test_a_killed_process_never_mixes_two_models(shards: str, tmp_path: Path, number: int) -> None:
    """Whatever was moved: the index is that of the old files, or there is none; and the next call leaves no litter."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path), str(number)])
    assert done.returncode == -9
    if os.path.exists(shards):
        assert dcz.load_file(shards)["a"].tolist() == SHARDED["a"].tolist()
    with pytest.raises(FileNotFoundError) if not os.path.exists(shards) else contextlib.nullcontext():
        dcz.load_file(shards)
    assert len(os.listdir(tmp_path)) > 4 - (number > 1)
    dcz.save_sharded(OTHER, tmp_path, shard_size=400)
    assert len(os.listdir(tmp_path)) == 4
    assert dcz.load_file(shards)["a"].tolist() == OTHER["a"].tolist()
