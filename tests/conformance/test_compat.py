"""Files of each release are read by this one, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import dcz

SETS = Path(__file__).parents[1] / "data" / "compat"
EXPECTED = {path.parent.name: json.loads(path.read_text())["files"] for path in sorted(SETS.glob("*/expected.json"))}
FILES = [(release, name) for release, files in EXPECTED.items() for name in files]


def test_no_set_is_missing() -> None:
    assert {"1.0rc"} <= set(EXPECTED)
    assert len(EXPECTED["1.0rc"]) >= 11
    for release, files in EXPECTED.items():
        assert {path.stem for path in (SETS / release).glob("*.dcz")} == set(files)


@pytest.mark.parametrize(("release", "name"), FILES, ids="/".join)
def test_a_file_of_a_release(release: str, name: str) -> None:
    expected = EXPECTED[release][name]
    data = (SETS / release / f"{name}.dcz").read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["sha256"]
    base = dcz.load((SETS / release / f"{expected['base']}.dcz").read_bytes()) if "base" in expected else None
    dcz.verify(data, base=base)
    found = dcz.load_file(data, base=base)
    assert {
        name: [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
        for name, array in found.items()
    } == expected["tensors"]
