"""Files of each release are read by this one, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import reference_decoder

import dcz

# The SHA-256 of each set's `expected.json`, which has that of each file. Sets are added, and never changed or removed.
LOCKED = {
    "1.0": "55020c1d934770460debb62cf3d2e9da35d22526eafb6dc584f38f02aa67add3",
    "1.0rc": "621aa84da03dd2810b0ad80849db1e52867d14c5f617c3f5dd07b4dcde81c73f",
}
SETS = Path(__file__).parents[1] / "data" / "compat"
EXPECTED = {path.parent.name: json.loads(path.read_text())["files"] for path in sorted(SETS.glob("*/expected.json"))}
FILES = [(release, name) for release, files in EXPECTED.items() for name in files]


def test_no_set_is_missing() -> None:
    found = {
        release: hashlib.sha256((SETS / release / "expected.json").read_bytes()).hexdigest() for release in EXPECTED
    }
    assert found == LOCKED
    assert len(EXPECTED["1.0rc"]) >= 11 and len(EXPECTED["1.0"]) >= 17
    for release, files in EXPECTED.items():
        assert {path.stem for path in (SETS / release).glob("*.dcz")} == set(files)


@pytest.mark.parametrize(("release", "name"), FILES, ids="/".join)
def test_a_file_of_a_release(release: str, name: str) -> None:
    expected = EXPECTED[release][name]
    data = (SETS / release / f"{name}.dcz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["sha256"]
    base = dcz.load((SETS / release / f"{expected['base']}.dcz").read_bytes()) if "base" in expected else None
    dcz.verify(data, base=base)
    lines = reference_decoder.lines(SETS / release / f"{name}.dcz", base and SETS / release / f"{expected['base']}.dcz")
    assert {line["name"]: line["shape"] for line in lines} == {n: t[1] for n, t in expected["tensors"].items()}
    found = dcz.load_file(data, base=base)
    assert {
        name: [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
        for name, array in found.items()
    } == expected["tensors"]
