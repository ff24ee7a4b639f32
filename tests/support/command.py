"""The command line, run in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dcz.cli import app


@dataclass(frozen=True)
class Run:
    """What a command did: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def dcz_(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """`dcz_("pack", source, target)` as on the command line."""

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["dcz", *map(str, arguments)])
        capfd.readouterr()
        try:
            code = app._run()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Run(code, out, err)

    return run
