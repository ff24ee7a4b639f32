"""Every example runs to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the tests lie apart from the source tree")
NEEDS = {
    "train": ("torch",),
    "prune_cnn": ("torch", "sklearn"),
    "pretrained_transformer": ("torch", "transformers"),
    "remote_slices": ("fsspec", "aiohttp"),
    "zarr_arrays": ("zarr", "numcodecs"),
}


PROGRAMS = [*sorted(EXAMPLES.glob("*.py")), EXAMPLES / "weight_sync" / "train.py"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_programs(program: Path, tmp_path: Path) -> None:
    for module in NEEDS.get(program.stem, ()):
        pytest.importorskip(module, reason=f"{module} is not installed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout and not list(tmp_path.iterdir())


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks(notebook: Path, tmp_path: Path) -> None:
    for module in ("nbformat", "nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(module, reason=f"{module} is not installed: tests/requirements-docs.txt")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _RUN, str(notebook)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "MPLBACKEND": "agg"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = notebook.read_text()
    assert '"outputs": []' in text and '"output_type"' not in text, "commit notebooks without their output"


_RUN = """
import sys, nbformat
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], 4), timeout=250, kernel_name="python3").execute()
"""
