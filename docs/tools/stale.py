"""Files that are made of others: found out of date, or written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def settle(files: Mapping[Path, str], root: Path, write: bool) -> int:
    """Names files whose text is not this one, relative to `root`, and writes them if asked; the exit code."""
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(root)}: {'written' if write else 'out of date'}")
        if write:
            path.write_text(files[path])
    return int(bool(stale) and not write)
