"""The reader for browsers, and Node to run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.c_programs import ROOT

JS = ROOT / "codec" / "js"


def need(*programs: str) -> str:
    """The path of the last; skips where one of them is not there."""
    for program in programs:
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"no {program}")
    return found or ""


@dataclass(frozen=True)
class Node:
    """Node with the built reader."""

    wasm: Path

    def run(self, *arguments: str | Path, stdin: str = "", ok: bool = True) -> str:
        """Standard output of a script."""
        done = subprocess.run(
            ["node", *map(str, arguments)],
            input=stdin, capture_output=True, text=True, timeout=300, env={**os.environ, "DCZ_WASM": str(self.wasm)},
        )  # fmt: skip
        assert not ok or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def values(self, script: Path, given: object) -> list:
        """The lines of JSON that a script prints, given JSON."""
        return [json.loads(line) for line in self.run(script, stdin=json.dumps(given)).splitlines()]
