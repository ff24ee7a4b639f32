"""C helpers, compiled on the spot by the system's compiler: what Python cannot measure from the inside."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

NATIVE = Path(__file__).parents[1] / "native"
_FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]


class CannotCompile(Exception):
    """There is no compiler, or it refused; says which."""


def compiler() -> str | None:
    """The C compiler to use: `CC`, or the first of the usual names."""
    return next(
        (found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (found := shutil.which(name))), None
    )


def compile_shared(target: Path, sources: list[Path], flags: list[str] | None = None) -> Path:
    """Compiles `sources` to the shared library `target`, unless it is there."""
    if target.exists():
        return target
    cc = compiler()
    if cc is None:
        raise CannotCompile("there is no C compiler (cc, gcc or clang)")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [cc, *_FLAGS, *(flags or []), *map(str, sources), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotCompile(f"{cc}: {(done.stderr.strip() or 'failed').splitlines()[0]}")
    return target


def load(path: Path) -> ctypes.CDLL:
    """The library, loaded."""
    return ctypes.CDLL(str(path))
