"""Large tensors are encoded with less in memory: candidates let go of and made again, and written part by part.
The bytes are the same."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest

import dcz
from support.arrays import LARGE, large, make_array


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("profile", ["auto", "csr"])
def test_the_same_bytes(monkeypatch: pytest.MonkeyPatch, name: str, profile: str) -> None:
    array = large(name)
    expected = dcz.save({"w": array}, profile=profile)
    monkeypatch.setattr("dcz.tensor.choose._LARGE", 1)
    monkeypatch.setattr("dcz.tensor.streams._BLOCK", 4096)
    monkeypatch.setattr(
        sys.modules["dcz.tensor.encoded"], "_PART_BYTES", 1000
    )  # the package has a function of this name
    assert dcz.save({"w": array}, profile=profile) == expected


def test_memory_beside_a_dense_tensor(tmp_path: object) -> None:
    """Its byte planes, once, and some megabytes."""
    array = make_array(1, "BF16", (4096, 16384), 1.0, 60_000, "float")
    assert array.nbytes == 128 << 20
    dcz.save_file({"w": array[:100]}, tmp_path / "warm.dcz")
    tracemalloc.start()
    dcz.save_file({"w": array}, tmp_path / "w.dcz", threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert array.nbytes < peak < array.nbytes + (80 << 20)
    assert np.array_equal(dcz.load_file(tmp_path / "w.dcz")["w"].view(np.uint16), array.view(np.uint16))
