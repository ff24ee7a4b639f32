"""Imports between packages point down, lazy ones too; the contracts are in pyproject.toml."""

from __future__ import annotations

import json
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


# An editable install finds the package by a hook, wherever the path leads: without it the copy is found.
HERE = "import sys; sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]; "


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    shutil.copy(ROOT / "pyproject.toml", folder)
    command = [sys.executable, "-c", HERE + program]
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


def circles(folder: Path) -> list[set[str]]:
    """Modules that import each other, lazily or for types alone; a package's `__init__` imports its own modules."""
    program = HERE + "import grimp, json; graph = grimp.build_graph('dcz', cache_dir=None); "
    program += "print(json.dumps({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    imported = {
        module: {name for name in names if not module.startswith(f"{name}.")}
        for module, names in json.loads(run.stdout).items()
    }
    reached = {module: set(names) for module, names in imported.items()}
    for middle in imported:
        for module in imported:
            if middle in reached[module]:
                reached[module] |= reached[middle]
    found = {frozenset(b for b in reached[a] if a in reached[b]) for a in reached if a in reached[a]}
    return sorted(map(set, found), key=sorted)


def test_no_modules_import_each_other(copy: Path) -> None:
    assert circles(copy) == []


def test_a_circle_of_types_is_found(copy: Path) -> None:
    with open(copy / "dcz" / "io" / "sources.py", "a") as file:
        file.write("\n\ndef later(sink: object) -> None:\n    from dcz.io.remote import UrlSource\n")
    assert {"dcz.io.remote", "dcz.io.sources"} <= next(c for c in circles(copy) if "dcz.io.sources" in c)
