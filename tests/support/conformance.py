"""`spec/` for tests: its programs are no package, and are imported by name."""

from __future__ import annotations

from pathlib import Path

SPEC = Path(__file__).parents[2] / "spec"
