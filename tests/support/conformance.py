"""`spec/` for tests: its programs are no package, and are imported by name."""

from __future__ import annotations

from pathlib import Path

SPEC = Path(__file__).parents[2] / "spec"
# Of all kinds, for tests that start a program for each: that takes longer than reading a file.
FEW = ("valid/aliases", "valid/unknown-dtype", "valid/delta-two-of-one", "invalid/truncated-half", "invalid/empty")
