"""`spec/magic`: what file(1) says of dcz files; and dcz files in git."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import dcz

MAGIC = Path(__file__).parents[2] / "spec" / "magic"


def run(*command: object, cwd: Path, **options: object) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("file") is None, reason="file(1) is not installed")
@pytest.mark.skipif(not MAGIC.exists(), reason="the tests lie apart from the source tree")
def test_what_file_says(tmp_path: Path) -> None:
    old = {"w": np.arange(5000, dtype="f4")}
    whole = dcz.save(old)
    dcz.save_delta({"w": old["w"] + (old["w"] == 7)}, delta := io.BytesIO(), base=old)
    files = {
        "whole.dcz": (whole, "dcz model weights, version 1"),
        "portable.dcz": (dcz.save(old, portable=True), "dcz model weights, version 1"),
        "delta.dcz": (delta.getvalue(), "dcz model weights, version 1, differences to a base"),
        "cut.dcz": (whole[:-9], "dcz model weights, cut off or damaged"),
    }
    for name, (data, expected) in files.items():
        (tmp_path / name).write_bytes(data)
        assert run("file", "--brief", "-m", MAGIC, name, cwd=tmp_path).strip() == expected
        kind = run("file", "--brief", "--mime-type", "-m", MAGIC, name, cwd=tmp_path).strip()
        assert kind == "application/x-dcz"
    (tmp_path / "other.dcz").write_bytes(b"\x89PNG\r\n\x1a\n" + whole[8:])
    assert "dcz" not in run("file", "--brief", "-m", MAGIC, "other.dcz", cwd=tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.skipif(shutil.which("dcz") is None, reason="the dcz command is not on the PATH")
def test_git_shows_what_changed(tmp_path: Path) -> None:
    """The recipe of docs/howto/git.md in a real repository."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*arguments: str) -> str:
        return run("git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments, cwd=tmp_path, env=environment)

    git("init", "--quiet")
    git("config", "diff.dcz.textconv", "dcz inspect --all --wide")
    (tmp_path / ".gitattributes").write_text("*.dcz diff=dcz\n")
    w = np.zeros((100, 100), "f4")
    dcz.save_file({"fc.weight": w, "same": np.ones(9)}, tmp_path / "model.dcz", {"step": "1"})
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    w[::7] = 1.5
    dcz.save_file({"fc.weight": w, "same": np.ones(9)}, tmp_path / "model.dcz", {"step": "2"})
    lines = git("diff", "--no-color", "-U0", "model.dcz").splitlines()
    removed = [line for line in lines if line.startswith("-") and not line.startswith("---")]
    added = [line for line in lines if line.startswith("+") and not line.startswith("+++")]
    assert any("fc.weight" in line and "0.0%" in line for line in removed)
    assert any("fc.weight" in line and "15.0%" in line for line in added)
    assert "-metadata step: '1'" in removed and "+metadata step: '2'" in added
    # Values alone: by a tool that compares them.
    tool = git("difftool", "--no-prompt", "--extcmd", "dcz diff", "model.dcz")
    assert "fc.weight" in tool
