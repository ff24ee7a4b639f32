"""Commands that are refused: an exit code, one line, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def check_refused(dcz_: Callable, folder: Path, arguments: tuple[object, ...], code: int, message: str) -> None:
    """The command ends with this code and one line that has the message; the files of the folder stay as they are."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = dcz_(*arguments)
    assert run.code == code and run.out == "" and run.err.count("\n") == 1 and message in run.err, run.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
