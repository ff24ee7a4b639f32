"""Paddle, in a process of its own: its libraries and TensorFlow's crash in one."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.frameworks import OWN_PROCESS

FILES = ("test_matrix.py", "test_common.py", "test_missing.py", "test_mlx_paddle.py")


@pytest.mark.skipif(importlib.util.find_spec("paddle") is None, reason="paddle is not installed")
def test_paddle_passes_what_all_faces_pass() -> None:
    here = Path(__file__).parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "paddle",
        *(str(here / f) for f in FILES),
    ]
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=here.parents[1], env={**os.environ, OWN_PROCESS: "1"}
    )
    assert found.returncode == 0, found.stdout[-3000:]
    passed = re.search(r"(\d+) passed", found.stdout)
    assert passed and int(passed[1]) >= 40 and "skipped" not in found.stdout, found.stdout[-500:]
