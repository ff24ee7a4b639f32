"""`--max-bytes`: how much may be made of a file, where one that is trusted asks for more than good sense allows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dcz.save_file({"a": np.zeros(1 << 20, np.uint8)}, "m.dcz")
    return tmp_path


VERBS = {
    "pack": ("pack", "m.dcz", "n.dcz"),
    "unpack": ("unpack", "m.dcz", "-o", "n.npz"),
    "diff": ("diff", "m.dcz", "m.dcz"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_error_names_the_option_that_raises_the_limit(packed: Path, dcz_: Callable, verb: str) -> None:
    done = dcz_(*VERBS[verb], "--max-bytes", "1MB")
    assert done.code == (2 if verb == "diff" else 1)
    assert "decoding needs 1048576 bytes; the limit is 1000000" in done.err and "(--max-bytes 1048576)" in done.err
    assert dcz_(*VERBS[verb], "--max-bytes", "1048576").code == 0


def test_the_default_is_that_of_loading(packed: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.limits.default_max_bytes", lambda size: 1000)
    assert "the limit is 1000" in dcz_(*VERBS["unpack"]).err


def test_what_is_no_size(packed: Path, dcz_: Callable) -> None:
    done = dcz_(*VERBS["unpack"], "--max-bytes", "much")
    assert done.code == 2 and "--max-bytes: 'much' is not a size" in done.err
