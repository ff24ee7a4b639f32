"""Imports between packages point down, lazy ones too; the contracts are in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dcz

ROOT = Path(__file__).parents[2]
PACKAGE = Path(dcz.__file__).parent

pytest.importorskip("importlinter", reason="needs import-linter: pip install -r tests/requirements-lint.txt")
pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="the tests lie apart from the source")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    shutil.copy(ROOT / "pyproject.toml", folder)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGE, tmp_path / "dcz", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tmp_path


def test_imports_point_down(copy: Path) -> None:
    run = lint(copy)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("kernels/interface.py", "    from dcz.cli import app"),
        ("tensor/layout.py", "    from dcz import container"),
        ("text.py", "    import dcz.errors"),
        ("container/reader.py", "    import dcz.report.notebook"),
    ],
)
def test_a_lazy_import_that_points_up_is_found(copy: Path, module: str, line: str) -> None:
    with open(copy / "dcz" / module, "a") as file:
        file.write(f"\n\ndef later() -> None:\n{line}\n")
    run = lint(copy)
    assert run.returncode != 0 and "arrows point down BROKEN" in run.stdout


def test_every_module_has_its_place(copy: Path) -> None:
    (copy / "dcz" / "somewhere.py").write_text('"""New."""\n')
    run = lint(copy)
    assert run.returncode != 0 and "somewhere" in run.stdout + run.stderr
