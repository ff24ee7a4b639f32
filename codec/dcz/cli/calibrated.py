"""`--calibration FILE`: the second moments of layers' inputs, as `dcz.save_calibration` writes them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dcz.cli.common import check_input

if TYPE_CHECKING:
    from dcz.lossy.moments import Calibration

CalibrationOption = Annotated[
    Optional[str],
    typer.Option(
        "--calibration", help="Moments of layers' inputs (dcz.save_calibration): what is weighed are then outputs."
    ),
]


def load(path: str | None) -> Calibration | None:
    """The calibration of a file, if there is one."""
    if path is None:
        return None
    from dcz.calibrations import load_calibration

    check_input(path)
    return load_calibration(path)


def option(path: str | None) -> str:
    """What a command that packs is to be given as well."""
    return "" if path is None else f" --calibration {shlex.quote(path)}"
