"""zarr's own tests of arrays, indexing and codecs, with `dcz.zarr.Dcz` in the place of bytes and zstd.

    python tests/peers/zarr_suite.py

The tests come from the source distribution of the installed version; nothing of it is kept. `zarr_plugin.py` makes dcz
the default serializer of arrays of format 3; arrays that name their codecs keep them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from outcomes import outcomes
from sdist import unpacked

_FILES = (
    "test_indexing.py",
    "test_codecs/test_codecs.py",
    "test_codecs/test_transpose.py",
    "test_codecs/test_sharding.py",
)
# Without the options of zarr's own pyproject.toml, which need further plugins.
_PLAIN = ("-o", "addopts=", "-o", "filterwarnings=ignore")
# Parts of names of tests that fail, and why.
REASONS = {
    "test_sharding.py::test_delete_empty_shards": "expects the size that chunks have as plain bytes",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        tests = unpacked("zarr", Path(temporary)) / "tests"
        plugins = str(Path(temporary) / "plugins")  # beside the environment, whose own tests would be told of it
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", plugins, "pytest-asyncio"],
            check=True,
        )
        here = str(Path(__file__).parent)
        os.environ["PYTHONPATH"] = os.pathsep.join([here, plugins, os.environ.get("PYTHONPATH", "")])
        results: dict[str, dict[str, str]] = {}
        for kind, options in (("zarr", ()), ("dcz", ("-p", "zarr_plugin"))):
            results[kind] = {}
            for file in _FILES:
                found = outcomes(f"tests/{file}", tests.parent, (*_PLAIN, *options))
                results[kind].update({f"{file}::{name}": result for name, result in found.items()})
    return report(results["zarr"], results["dcz"])


def report(own: dict[str, str], found: dict[str, str]) -> int:
    """Prints counts; returns 1 where a test fails without a reason that passes with zarr's own codecs."""
    runs = [name for name, result in own.items() if result == "passed"]
    failed = [name for name in runs if found.get(name) != "passed"]
    print(f"{len(runs) - len(failed)} of {len(runs)} that pass with zarr's own codecs pass with dcz")
    reasons = {name: next((why for part, why in REASONS.items() if part in name), None) for name in failed}
    for why, count in Counter(reasons.values()).items():
        print(f"{count} fail: {why or 'UNEXPECTED'}")
        for name in failed:
            if reasons[name] == why:
                print(f"  {name}: {found.get(name, 'did not run')}")
    return int(not runs or None in reasons.values())


if __name__ == "__main__":
    sys.exit(main())
