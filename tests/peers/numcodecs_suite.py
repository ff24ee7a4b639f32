"""numcodecs' own tests, run against `dcz.numcodecs.Dcz` in the place of its Zstd codec.

    python tests/peers/numcodecs_suite.py

The tests are those that numcodecs runs for its Zstd codec: every array it compresses, its abstract checks of encoding,
decoding, buffers, configuration and errors. They come from the source distribution; nothing of it is kept."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from outcomes import outcomes
from sdist import unpacked

# What is not run: levels, fixtures of zstd's bytes, and zstd's own functions and versions.
_ZSTD_ONLY = (
    "test_backwards_compatibility", "test_compress_blocksize", "test_checksum", "test_native_functions",
    "test_streaming", "test_multi_frame", "test_default", "test_repr",
)  # fmt: skip


def substituted(source: str) -> str:
    """The tests of Zstd with Dcz."""
    source = re.sub(r"^(\s*)from numcodecs\.zstd import [^\n]*", r"\1from dcz.numcodecs import Dcz as Zstd", source, flags=re.M)
    source = re.sub(r"codecs = \[.*?\n\]", 'codecs = [Zstd(), Zstd("csr"), Zstd("bitmap"), Zstd("raw")]', source, flags=re.S)
    return source.replace('"zstd"', '"dcz"').replace("'zstd'", "'dcz'")


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tests = next(unpacked("numcodecs", folder).glob("**/tests"))
        file = tests / "test_zstd.py"
        file.write_text(substituted(file.read_text()))
        found = outcomes(f"tests/{file.name}", tests.parent)
    return report(found)


def report(found: dict[str, str]) -> int:
    """Prints counts; returns 1 where a test fails that is not about zstd."""
    skipped = [name for name, outcome in found.items() if name.startswith(_ZSTD_ONLY)]
    runs = {name: outcome for name, outcome in found.items() if name not in skipped and outcome != "skipped"}
    passed = sum(outcome == "passed" for outcome in runs.values())
    print(f"{passed} of {len(runs)} pass with dcz; {len(skipped)} are about zstd itself: {', '.join(sorted(skipped))}")
    for name, outcome in runs.items():
        if outcome != "passed":
            print(f"  {name}: {outcome}")
    return int(not runs or passed < len(runs))


if __name__ == "__main__":
    sys.exit(main())
