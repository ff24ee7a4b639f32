"""What the README shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the tests lie apart from the source tree")


def blocks(language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def run(*arguments: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_sixty_second_example(tmp_path: Path) -> None:
    said = run("-W", "error", "-c", blocks("python")[0], folder=tmp_path)
    positions, ratio = said.split()
    assert positions in ("bitmap", "relative8") and int(ratio) > 20
    assert (tmp_path / "fc.dcz").stat().st_size < 100_000


def test_the_main_job(tmp_path: Path) -> None:
    """The first of the two commands, after the install."""
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("pip install .")]
    script = command.split(" && python ")[1]
    said = run(str(ROOT / script), folder=tmp_path)
    for word in (
        "ip1.weight",
        "ip3.bias",
        "times smaller",
        "whole",
        "every loaded weight has the bits that were packed",
    ):
        assert word in said, said


def test_the_test_command() -> None:
    """CI takes it from the block behind the marker."""
    (command,) = re.findall(r"<!-- tests -->\n```sh\n(.*)\n```", README.read_text())
    assert command.startswith("pip install") and command.endswith("python -m pytest")


def test_its_length() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 130
