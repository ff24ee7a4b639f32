"""The campaign: everything that is done to break a reader or a writer, each by one command that writes its own figures.

python -m tests.campaign                 # what there is
python -m tests.campaign bombs           # the short form, as in CI
python -m tests.campaign bombs --full    # the full form; its figures go to tests/RESULTS.md
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for _folder in (ROOT / "tests", ROOT / "spec"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
