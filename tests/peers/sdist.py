"""The source distribution of a peer, whose tests are run and not copied: from a folder, or from the package index."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

# A folder with source distributions that are already here, such as `safetensors-0.8.0.tar.gz`.
FOLDER = "DCZ_PEERS"


def unpacked(project: str, into: Path) -> Path:
    """The unpacked sources of the installed version of `project`."""
    wanted = f"{project}-{version(project)}"
    folder = os.environ.get(FOLDER)
    if folder:
        found = sorted(Path(folder).glob(f"{wanted}*.tar.gz"))
        if not found:
            raise SystemExit(f"{FOLDER}={folder}: has no {wanted}.tar.gz")
        with tarfile.open(found[0]) as archive:
            archive.extractall(into, filter="data")
        return next(path for path in into.iterdir() if path.is_dir())
    return _downloaded(project, wanted, into)


def _downloaded(project: str, wanted: str, into: Path) -> Path:
    """By pip. It also tries to build what it has downloaded, which the tests do not need: whether that works (a
    compiler, a build system) does not matter, as it keeps the unpacked sources."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-clean", "--no-deps", "--no-build-isolation",
         "--no-binary", project, "--dest", str(into / "archive"), wanted.replace("-", "==")],
        env={**os.environ, "TMPDIR": str(into)}, capture_output=True, check=False,
    )  # fmt: skip
    for archive in (into / "archive").glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(into / "archive", filter="data")
    found = [path for path in (*into.glob("archive/*"), *into.glob("pip-download-*/*")) if (path / "PKG-INFO").exists()]
    if not found:
        raise SystemExit(f"pip could not download {wanted}; put its .tar.gz into a folder and set {FOLDER} to it")
    return found[0]
