"""Programs of libdcz: as it is, and under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
C = ROOT / "codec" / "c"
STRICT = ("-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiler() -> str:
    """The machine's C compiler; without one, or without zstd, tests skip."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler")
    probe = subprocess.run([found, "-E", "-"], input="#include <zstd.h>\n", capture_output=True, text=True)
    if probe.returncode:
        pytest.skip("no header of libzstd")
    return found


def build(out: Path, *sources: Path, flags: Iterable[str] = ("-O2",)) -> Path:
    """A program of libdcz and these sources."""
    command = [compiler(), *STRICT, *flags, "-o", out, C / "dcz.c", C / "dcz_zstd.c", *sources, "-lzstd"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def can_sanitize(folder: Path) -> bool:
    """Does the compiler have the sanitizers' runtimes?"""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    command = [compiler(), *SANITIZED, "-o", folder / "probe", probe]
    return subprocess.run(command, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Driver:
    """tests/c/driver.c: many files in one process."""

    program: Path

    def run(self, mode: str, files: Iterable[bytes]) -> list[str]:
        """A line for each file."""
        sent = list(files)
        data = b"".join(struct.pack("<I", len(each)) + each for each in sent)
        done = subprocess.run([self.program, mode], input=data, capture_output=True, timeout=300)
        assert done.returncode == 0, (done.returncode, done.stderr.decode()[-3000:])
        lines = done.stdout.decode().splitlines()
        assert len(lines) == len(sent)
        return lines
