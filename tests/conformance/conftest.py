"""Makes the programs of `spec/` importable."""

from __future__ import annotations

import sys

from support.conformance import SPEC

sys.path.insert(0, str(SPEC))
