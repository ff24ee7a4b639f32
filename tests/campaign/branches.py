"""Every branch of what stands between a file and the decoders is taken by tests: prelude, trailer, index, limits, and
the checks of differences. Both forms are alike; a branch that is not taken is a fault.

    pip install -r tests/requirements-campaign.txt
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import dcz
from campaign import ROOT
from campaign.results import Result

FILES = (
    "format/prelude.py", "format/trailer.py", "format/index.py", "format/integers.py", "format/columns.py",
    "format/tensors.py", "format/codes.py", "format/directory.py", "format/metadata.py", "limits.py",
    "container/bounds.py", "delta/base.py", "delta/links.py", "delta/checksums.py", "delta/targets.py",
)  # fmt: skip
TESTS = (
    "safe/test_hostile_index.py", "safe/test_hostile_layout.py", "safe/test_hostile_chunks.py", "safe/test_limits.py",
    "safe/test_delta_safety.py", "safe/test_garbage.py", "safe/test_branches.py",
    "safe/test_corruption.py::test_other_files_are_named",
    "safe/test_bounds_of_reading.py::test_a_bound_is_a_number", "exact/test_metadata.py", "exact/test_deltas.py",
    "exact/test_delta_models.py", "files/test_max_memory_deltas.py",
    "conformance/test_vectors.py::test_a_reader_agrees",
)  # fmt: skip


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result = Result()
    package = Path(dcz.__file__).parent
    with tempfile.TemporaryDirectory() as name:
        data, report = Path(name) / "data", Path(name) / "report.json"
        settings = Path(name) / "settings"
        settings.write_text(
            f"[run]\nbranch = True\ndata_file = {data}\ninclude =\n"
            + "".join(f"    {package / file}\n" for file in FILES)
            + "[report]\nexclude_also =\n    if TYPE_CHECKING:\n"
        )
        coverage = [sys.executable, "-m", "coverage"]
        tests = [str(ROOT / "tests" / test) for test in TESTS]
        command = [*coverage, "run", f"--rcfile={settings}", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            result.fault(f"tests fail: {done.stdout[-1000:]} {done.stderr[-1000:]}")
            return result
        command = [*coverage, "json", f"--rcfile={settings}", "-q", "-o", str(report)]
        subprocess.run(command, cwd=ROOT, check=True)
        found = json.loads(report.read_text())
    totals = found["totals"]
    result.figures |= {
        "files": len(found["files"]),
        "statements": totals["num_statements"],
        "branches": totals["num_branches"],
        "% covered": float(totals["percent_covered"]),
    }
    if len(found["files"]) != len(FILES):
        result.fault(f"only {sorted(found['files'])} are run")
    for file, each in found["files"].items():
        if each["missing_lines"] or each["missing_branches"]:
            result.fault(f"{file}: lines {each['missing_lines']}, branches {each['missing_branches']} are not taken")
    return result
