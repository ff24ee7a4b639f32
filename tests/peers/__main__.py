"""All suites of our peers, or those named, as one command: what they print is kept in `counts/`.

python -m tests.peers
python -m tests.peers gguf_types numcodecs_suite
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_SUITES = ("safetensors_suite", "numcodecs_suite", "zarr_suite", "onnx_models", "gguf_types")


def main(names: list[str]) -> int:
    """Runs one after another; returns how many failed."""
    unknown = set(names) - set(_SUITES)
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: expected one of {', '.join(_SUITES)}")
    failed = 0
    for name in names or _SUITES:
        run = subprocess.run(
            [sys.executable, str(_HERE / f"{name}.py")], stdout=subprocess.PIPE, text=True, check=False
        )
        print(f"{name}: {'as expected' if run.returncode == 0 else 'FAILED'}\n{run.stdout}", flush=True)
        failed += run.returncode != 0
        (_HERE / "counts").mkdir(exist_ok=True)
        (_HERE / "counts" / f"{name}.txt").write_text(run.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
