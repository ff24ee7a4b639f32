"""The reference decoder, which is written from SPEC.md alone and lies beside it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "spec"


def _import() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("reference_decoder")
    finally:
        sys.path.remove(str(FOLDER))


reference = _import()
