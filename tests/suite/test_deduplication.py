"""The study of content-defined pieces: they make up the file, and unchanged tensors have the pieces of the old one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dcz

if not (Path(__file__).parents[2] / "benchmarks").exists():
    pytest.skip("the tests lie apart from the source tree", allow_module_level=True)
from benchmarks.studies.deduplication import LARGEST, SMALLEST, new_bytes, pieces


def test_unchanged_tensors_have_the_pieces_of_the_old_file() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    old = {name: rng.standard_normal(90_000).astype("f4") for name in ("a", "b", "c")}
    before, after = dcz.save(old), dcz.save({**old, "b": -old["b"] * 3})
    sizes = [size for _, size in pieces(before)]
    assert sum(sizes) == len(before) and len(sizes) > 6
    assert all(SMALLEST <= size <= LARGEST for size in sizes[:-1])
    assert new_bytes(before, before) == 0
    changed = len(dcz.save({"b": old["b"]}))
    assert changed <= new_bytes(before, after) <= changed + 3 * LARGEST < len(after)
    # Shifted as a whole, as by a tensor in front.
    assert new_bytes(before, dcz.save({"": np.ones(3), **old})) <= 4 * LARGEST
