"""Several files published together: of a sharded model, of a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

# Where files that are replaced wait, in the temporary folder.
_BEFORE = ".before"


def publish_together(scratch: str, folder: str, files: Sequence[str], indexes: Sequence[str]) -> None:
    """Moves `files`, then the `indexes` that name them, from the temporary folder `scratch` to the same places in
    `folder`, over those that are there. If a move fails, everything there is as before.

    No file system replaces several files at once. So old indexes go before the first file is replaced: if the process
    is killed in between, readers find no index, and never an index with files of two models.
    """
    before = os.path.join(scratch, _BEFORE)
    kept: list[str] = []
    made: list[str] = []
    try:
        for path in indexes:
            if os.path.lexists(os.path.join(folder, path)):
                os.replace(os.path.join(folder, path), _place(before, path))
                kept.append(path)
        for path in (*files, *indexes):
            place = _place(folder, path)
            if path not in kept and os.path.lexists(place):
                _keep(place, _place(before, path))
                kept.append(path)
            os.replace(os.path.join(scratch, path), place)
            made.append(path)
    except BaseException:
        for path in made:
            if path not in kept:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, path))
        for path in reversed(kept):
            os.replace(os.path.join(before, path), os.path.join(folder, path))
        raise


def _keep(path: str, other: str) -> None:
    """Gives a file a second name, so that the first one always has a file; where links are not possible, another."""
    try:
        os.link(path, other, follow_symlinks=False)
    except (OSError, NotImplementedError):
        os.replace(path, other)


def _place(folder: str, path: str) -> str:
    """The path of a file, in a folder that exists."""
    place = os.path.join(folder, path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    return place
