"""An install without compiled kernels says so: in one line, once a day, never among data."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dcz

WARNING = "dcz was installed without its C++ kernels and runs in pure Python: correct, but slower"


def python(program: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python, in which the compiled kernels cannot be imported."""
    settings = {key: value for key, value in os.environ.items() if key != "DCZ_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules['dcz.kernels.compiled'] = None; {program}"],
        env={**settings, "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_once_a_day(tmp_path: Path) -> None:
    program = "import dcz; dcz.save({}); dcz.save({})"
    first = python(program, tmp_path)
    assert first.returncode == 0 and first.stderr.count(WARNING) == 1
    assert python(program, tmp_path).stderr == ""
    (mark,) = (path for path in tmp_path.rglob("*") if path.is_file())
    os.utime(mark, (time.time() - 90_000,) * 2)
    assert WARNING in python(program, tmp_path).stderr
    assert python(program, tmp_path).stderr == ""


def test_a_cache_that_cannot_be_written_is_no_reason_to_be_silent_or_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for _ in range(2):
        run = python("import dcz; dcz.save({})", tmp_path / "file")
        assert run.returncode == 0 and run.stderr.count(WARNING) == 1


def test_not_where_pure_kernels_were_asked_for(tmp_path: Path) -> None:
    assert python("import dcz; dcz.save({})", tmp_path, DCZ_KERNELS="pure").stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["-q"]])
def test_the_command_says_so_in_one_line_unless_asked_for_data_alone(tmp_path: Path, options: list[str]) -> None:
    dcz.save_file({}, tmp_path / "model.dcz")
    program = f"import os; os.chdir({str(tmp_path)!r}); sys.argv = ['dcz', 'verify', 'model.dcz', *{options}]; "
    run = python(program + "from dcz.cli import main; main()", tmp_path)
    assert run.returncode == 0
    lines = run.stderr.splitlines()
    assert len(lines) == (not options) and all(line.startswith(f"dcz: warning: {WARNING}") for line in lines)
