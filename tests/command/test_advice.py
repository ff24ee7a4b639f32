"""Why a model did not shrink, where it is asked, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.container.summary import stored_file
from dcz.report import advice
from dcz.text import compared

RNG = np.random.Generator(np.random.PCG64(4))
DENSE = RNG.standard_normal((300, 300)).astype("<f4")
PRUNED = np.where(np.abs(DENSE) > 1.2, DENSE, np.float32(0))
CLUSTERED = np.round(DENSE * 3) + np.float32(20)
MODELS = {
    "dense": (DENSE, "why: dense weights, noise in 24 of the 32 bits of each value; 1.2", "to prune and cluster them"),
    "dense halves": (DENSE.astype("<f2"), "why: dense weights, noise in 8 of the 16 bits of each value; ", "to prune"),
    "pruned": (PRUNED, "why: pruned, not clustered: 23% of the weights are not zero, noise in 24 of the 32", "to clus"),
    "clustered": (CLUSTERED, "why: clustered, not pruned: every weight takes a cluster index", "to prune them, too: "),
    "both": (np.where(PRUNED != 0, CLUSTERED, np.float32(0)), None, None),
    "bytes": (RNG.integers(0, 256, 9000, "u1"), "why: dense weights, noise in 8 of the 8 bits of each value;", None),
    "a bias": (DENSE[0], None, None),
    "nothing": (np.zeros((0, 4), "<f4"), None, None),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_was_found_and_what_to_do(name: str) -> None:
    array, why, then = MODELS[name]
    report = dcz.compare({"w": array})
    with dcz.open(dcz.save({"w": array})) as reader:
        packed = advice.of_file(stored_file(reader))
    lines = advice.advice(packed, "m.npz")
    assert lines == advice.advice(advice.of_report(report), "m.npz")  # before and after packing alike
    assert len(lines) == (why is not None) + (then is not None)
    if why is not None:
        assert lines[0].startswith(why)
    if then is not None:
        assert lines[1].startswith(then) and lines[1].endswith("dcz plan m.npz --target-ratio 8 -o recipe.toml")


def test_pack_says_it(dcz_: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("my model.npz", w=DENSE)
    run = dcz_("pack", "my model.npz", "m.dcz")
    assert run.out.splitlines()[1].startswith("why: dense weights") and "dcz plan 'my model.npz'" in run.out
    assert "why: dense weights" in dcz_("compare", "my model.npz").out
    assert dcz_("pack", "my model.npz", "m.dcz", "-f", "-q").out == ""


def test_a_file_that_grew_says_by_how_much_and_why(dcz_: Callable, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.float32([1, 2, 3]))
    run = dcz_("pack", tmp_path / "m.npy", tmp_path / "m.dcz")
    size = (tmp_path / "m.dcz").stat().st_size
    assert f"{size - 12} bytes larger than their 12 B" in run.out and "times smaller" not in run.out
    assert f"why: the index with names, shapes and checksums takes {size - 12} bytes" in run.out
    assert f"{size - 12} bytes larger than dense" in dcz_("inspect", tmp_path / "m.dcz").out


def test_a_comparison_never_says_that_something_is_a_fraction_smaller() -> None:
    for part, whole in ((9, 1), (1, 1), (0, 5), (0, 0), (1, 9)):
        text = compared(part, whole)
        assert ("times smaller" in text) == (0 < part < whole), text


def test_reprs_fit_a_line_or_two() -> None:
    array = np.where(RNG.random((300, 300)) < 0.1, np.float32(1.5), np.float32(0))
    tensors = {"layers." * 90: array, "same": array.copy(), "scalar": np.array(3)}
    with dcz.open(dcz.save(tensors)) as reader:
        shown = [repr(reader), *(repr(reader.info(name)) for name in reader)]
        shown += [repr(reader.get_slice(name)) for name in reader]
        shown.append(repr(reader.info("layers." * 90).layout))
    assert all(len(each) < 260 and each.isprintable() for each in shown)
    assert "same as layers" in "".join(shown) and "% nonzero, " in "".join(shown)
