"""Mutation testing of what stands between a file and the decoders: changes of the code that no test notices.

cosmic-ray mutates the files of `branches.py` in a copy of the tree: conditions, comparisons, numbers and loops. Fewer
than 95 % of those drawn being killed is a fault; those that survive are printed. The full form takes all, which is
hours; `--scale 0.1` draws a tenth.

    pip install -r tests/requirements-campaign.txt
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from campaign import ROOT
from campaign.branches import FILES
from campaign.results import Result

TESTS = (
    "safe/test_hostile_index.py", "safe/test_hostile_layout.py", "safe/test_hostile_chunks.py", "safe/test_limits.py",
    "safe/test_branches.py", "safe/test_garbage.py", "safe/test_delta_safety.py", "exact/test_metadata.py",
    "conformance/test_vectors.py",
)  # fmt: skip
OPERATORS = ("Comparison", "AddNot", "Number", "True", "False", "AndWithOr", "OrWithAnd", "Loop", "Break", "Continue")
SHORT, SECONDS = 5, 6 * 3600
LEAST = 95.0


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign; `seed` draws the mutants."""
    result = Result({"seed": seed})
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        for part in ("codec/dcz", "tests", "spec"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        session = tree / "session.sqlite"
        _configure(tree, session)
        total = _draw(session, full, scale, seed)
        environment = {**os.environ, "PYTHONPATH": str(tree / "codec"), "PYTHONDONTWRITEBYTECODE": "1"}
        with contextlib.suppress(subprocess.TimeoutExpired):  # those that were run by then are counted
            _cosmic_ray(tree, environment, "exec", "config.toml", str(session))
        _count(result, session, total)
    return result


def _cosmic_ray(tree: Path, environment: dict[str, str], *arguments: str) -> None:
    program = [sys.executable, "-c", "import sys; from cosmic_ray.cli import main; sys.exit(main())", *arguments]
    subprocess.run(program, cwd=tree, env=environment, check=True, capture_output=True, timeout=SECONDS)


def _configure(tree: Path, session: Path) -> None:
    tests = " ".join(f"tests/{test}" for test in TESTS)
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider {tests}"
    paths = [f"codec/dcz/{file}" for file in FILES]
    (tree / "config.toml").write_text(
        f"[cosmic-ray]\nmodule-path = {json.dumps(paths)}\ntimeout = 300.0\nexcluded-modules = []\n"
        f'test-command = {json.dumps(command)}\n\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    _cosmic_ray(tree, dict(os.environ), "init", "config.toml", str(session))


def _draw(session: Path, full: bool, scale: float, seed: int) -> int:
    """Leaves those of the operators that are drawn; returns how many there are of them in all."""
    with sqlite3.connect(session) as file:
        rows = file.execute("select job_id, operator_name from mutation_specs order by job_id").fetchall()
        rows.sort(key=lambda row: _place(file, row[0]))
        mine = [job for job, operator in rows if any(part in operator for part in OPERATORS)]
        count = max(1, int(len(mine) * scale)) if full else SHORT
        kept = set(random.Random(seed).sample(mine, min(count, len(mine))))
        for table in ("mutation_specs", "work_items"):
            file.executemany(f"delete from {table} where job_id = ?", [(job,) for job, _ in rows if job not in kept])
    return len(mine)


def _place(file: sqlite3.Connection, job: str) -> tuple[object, ...]:
    """Where a mutant is: the same in every session, as numbers of jobs are not."""
    columns = "module_path, operator_name, occurrence"
    return tuple(file.execute(f"select {columns} from mutation_specs where job_id = ?", (job,)).fetchone())


def _count(result: Result, session: Path, total: int) -> None:
    with sqlite3.connect(session) as file:
        rows = file.execute(
            "select m.module_path, m.operator_name, m.start_pos_row, r.test_outcome"
            " from mutation_specs m join work_results r on r.job_id = m.job_id"
        ).fetchall()
    killed = sum("KILLED" in str(outcome).upper() for *_, outcome in rows)
    result.figures |= {"mutants in all": total, "drawn and run": len(rows), "killed": killed}
    share = 100 * killed / max(1, len(rows))
    result.figures["% killed"] = float(share)
    alive = [
        f"{path}:{line} {operator}" for path, operator, line, outcome in rows if "KILLED" not in str(outcome).upper()
    ]
    print("\n".join(f"alive: {each}" for each in sorted(alive)))
    if share < LEAST:
        result.fault(f"{share:.1f} % of the mutants are killed, at least {LEAST:.0f} % must be")
