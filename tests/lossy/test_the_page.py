"""The page on training with pruning and clustering does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "train.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests lie apart from the source tree")


def run(marker: str, folder: Path) -> str:
    (program,) = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    dense, small = map(
        float, re.fullmatch(r"accuracy ([0-9.]+) dense, ([0-9.]+) small\n", run("training", tmp_path)).groups()
    )
    assert dense > 0.9 and small > dense - 0.02
    assert (tmp_path / "small.dcz").stat().st_size * 12 < 4 * (64 * 256 + 256 + 256 * 10 + 10)


def test_arrays(tmp_path: Path) -> None:
    said = run("arrays", tmp_path)
    assert "clusters=32" in said and "a bias or norm" in said
    assert (tmp_path / "planned.dcz").stat().st_size * 30 <= 4 * (512 * 512 + 512)
