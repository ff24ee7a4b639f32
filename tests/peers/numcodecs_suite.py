"""numcodecs' own tests of its compressors, run against `dcz.numcodecs.Dcz` in their place.

    python tests/peers/numcodecs_suite.py

The tests come from the source distribution of the installed version; nothing of it is kept. Options of the compressors
(levels, block sizes) are ignored. Tests of what is a compressor's own are not run: fixtures of its bytes, its
functions, its repr, its checksum, its levels."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from textwrap import indent

from outcomes import outcomes
from sdist import unpacked

# Files of tests, and the codec that each imports.
_CODECS = {"zstd": "Zstd", "zlib": "Zlib", "bz2": "BZ2", "lz4": "LZ4", "lzma": "LZMA", "gzip": "GZip"}
_THEIR_OWN = (
    "test_backwards_compatibility", "test_checksum", "test_native_functions", "test_streaming", "test_multi_frame",
    "test_repr", "test_max_buffer_size", "test_alias", "test_eq", "test_err_classes",
)  # fmt: skip
# Tests that fail, and why.
REASONS = {
    "gzip: test_out_too_large": "decodes into the first bytes of a larger array; dcz takes that for a chunk too short",
}
_SHIM = """
from dcz.numcodecs import Dcz as _Dcz
def {name}(*ignored, **options):
    return _Dcz()
{name}.codec_id = "dcz"
"""


def substituted(source: str, name: str) -> str:
    """The tests of a compressor with Dcz in its place."""

    def shim(match: re.Match[str]) -> str:
        others = f"from {match[2]} import {match[3]}" if match[3] else ""
        return indent(_SHIM.format(name=name) + others, match[1])

    return re.sub(rf"^([ \t]*)from (numcodecs\.\w+) import {name}\b(?:, (\w+))?", shim, source, flags=re.M)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tests = unpacked("numcodecs", folder) / "numcodecs" / "tests"
        place = folder / "with-dcz"
        place.mkdir()
        found: dict[str, str] = {}
        for module, name in _CODECS.items():
            file = place / f"test_{module}.py"
            source = (tests / file.name).read_text()
            changed = substituted(source, name)
            if changed == source:
                raise SystemExit(f"{file.name}: does not import {name} as expected")
            file.write_text(changed)
            found.update({f"{module}: {test}": result for test, result in outcomes(file.name, place).items()})
    return report(found)


def report(found: dict[str, str]) -> int:
    """Prints counts; returns 1 where they are not as `REASONS` says."""
    own = [name for name in found if name.partition(": ")[2].startswith(_THEIR_OWN)]
    runs = {name: result for name, result in found.items() if name not in own and result != "skipped"}
    passed = sum(result == "passed" for result in runs.values())
    print(f"{passed} of {len(runs)} pass with dcz; {len(own)} are about a compressor's own bytes and options")
    wrong = not runs
    for name, result in runs.items():
        if result != "passed":
            print(f"  {name}: {REASONS.get(name, f'UNEXPECTED: {result}')}")
        wrong = wrong or (result == "passed") == (name in REASONS)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
