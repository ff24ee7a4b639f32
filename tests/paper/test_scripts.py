"""Every experiment runs, in a tiny form, from its one command, and writes numbers, a page and a plot."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.paper import results

ROOT = Path(__file__).parents[2]

torch = pytest.importorskip(
    "torch", reason="the experiments train with PyTorch: pip install -r benchmarks/paper/requirements.txt"
)
pytest.importorskip("matplotlib", reason="the experiments draw: pip install -r benchmarks/paper/requirements.txt")
if not (Path(os.environ.get("DCZ_DATA", "")) / "mnist").is_dir() or not os.environ.get("DCZ_DATA"):
    pytest.importorskip("sklearn", reason="no digits: neither DCZ_DATA nor scikit-learn is there")

# Module, what it writes, rows of its first file at the least.
EXPERIMENTS = (
    ("lenet", ("lenet-300-100.csv", "lenet-5.csv", "lenet-5-layers.csv", "tables_1_2_3.md", "tables_1_2_3.png"), 8),
    ("imagenet", ("tables_4_5.csv", "tables_4_5.md"), 24),
    ("initialisation", ("figure_8.csv", "figure_8.md", "figure_8.png"), 10),
    ("order", ("order.csv", "order.md", "figure_6.png"), 10),
    ("bitwidths", ("table_6.csv", "table_6.md", "figure_7.png"), 9),
    ("planning", ("planning.csv", "planning.md", "planning.png"), 4),
    ("huffman", ("huffman.csv", "huffman.md", "huffman.png"), 6),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as `huffman` reads what `lenet` has written; the networks are kept beside it."""
    return tmp_path_factory.mktemp("paper")


def run(module: str, *options: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(temporary), "MPLCONFIGDIR": str(temporary)}
    command = [sys.executable, "-m", f"benchmarks.paper.{module}", *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("module", "files", "rows"), EXPERIMENTS, ids=[name for name, _, _ in EXPERIMENTS])
def test_an_experiment_runs(module: str, files: tuple[str, ...], rows: int, folder: Path) -> None:
    done = run(module, "--quick", "--out", str(folder / "results"), temporary=folder)
    assert done.returncode == 0, done.stderr
    for name in files:
        path = folder / "results" / name
        assert path.stat().st_size > 0, name
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG"), name
        if path.suffix == ".md":
            assert path.read_text().startswith("# "), name
    with open(folder / "results" / files[0], newline="") as file:
        assert len(list(csv.DictReader(file))) >= rows


def test_a_quick_run_does_not_touch_the_results(tmp_path: Path) -> None:
    done = run("order", "--quick", temporary=tmp_path)
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_the_committed_pages_are_made_from_the_committed_numbers(tmp_path: Path) -> None:
    """Pages can be made again from their CSV files alone, to the same text."""
    from benchmarks.paper import huffman

    for name in ("huffman.csv", "huffman.md"):
        (tmp_path / name).write_text((results.FOLDER / name).read_text())
    huffman.write(tmp_path)
    assert (tmp_path / "huffman.md").read_text() == (results.FOLDER / "huffman.md").read_text()


def test_the_goal_is_in_the_committed_results() -> None:
    """At least 40 and 39 times, whole file, at no less accuracy than the dense reference, over three seeds or more."""
    from statistics import mean

    from benchmarks.paper import lenet_page

    for title, times in (("LeNet-300-100", 40), ("LeNet-5", 39)):
        rows = results.read_csv(results.FOLDER / f"{title.lower()}.csv")
        best = lenet_page.chosen(rows)
        assert len(lenet_page.of(rows, best, "times")) >= 3
        assert mean(lenet_page.of(rows, best, "times")) >= times
        assert mean(lenet_page.of(rows, best, "accuracy")) >= mean(lenet_page.of(rows, lenet_page.DENSE, "accuracy"))
