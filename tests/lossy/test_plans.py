"""A plan meets its target, by the size of the real file, and is no worse than doing the same to every tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, UnsupportedError
from dcz.planning import search
from dcz.planning.points import Point

RNG = np.random.Generator(np.random.PCG64(5))
TENSORS = {
    "flat": RNG.random((64, 100)).astype("f4") + 0.5,
    "peaked": RNG.standard_t(2, (128, 128)).astype("f4"),
    "normal": RNG.standard_normal((96, 96)).astype("f4"),
    "bias": RNG.standard_normal(64).astype("f4"),
    "steps": np.arange(3000),
}
GRID = {"densities": [1, 0.5, 0.25, 0.1], "n_bits": [2, 3, 4, 6]}


def noise(small: dict[str, np.ndarray]) -> float:
    return sum(
        float(np.square(TENSORS[n].astype("f8") - small[n]).sum() / np.square(TENSORS[n].astype("f8")).sum())
        for n in ("flat", "peaked", "normal")
    )


@pytest.mark.parametrize("ratio", [3, 6, 10])
def test_a_size(ratio: int) -> None:
    planned = dcz.plan(TENSORS, target_ratio=ratio, **GRID)
    small = dcz.compress(TENSORS, planned.recipe)
    size = len(dcz.save(small))
    assert size == planned.file_bytes and planned.dense / size >= ratio and planned.ratio == planned.dense / size
    # No single setting for all tensors is as small and better.
    for density in GRID["densities"]:
        for bits in GRID["n_bits"]:
            other = dcz.compress(TENSORS, {"density": density, "n_bits": bits})
            assert len(dcz.save(other)) > size or noise(other) >= noise(small) * 0.999
    assert small["bias"] is TENSORS["bias"] and small["steps"] is TENSORS["steps"]
    rows = {row.name: row for row in planned.tensors}
    assert set(rows) == set(TENSORS) and "int64" in rows["steps"].skipped
    assert rows["normal"].rel_error == pytest.approx(small.reports["normal"].rel_error)
    same = dcz.plan(TENSORS, target_bytes=int(planned.dense / ratio), **GRID)
    assert same.recipe == planned.recipe


def test_an_error() -> None:
    planned = dcz.plan(TENSORS, max_rel_error=0.2, **GRID)
    assert planned.rel_error <= 0.2
    for row in planned.tensors:
        if row.n_bits:  # one step smaller would be too much
            keys = {"n_bits": row.n_bits - 1, **({"density": row.density} if row.density < 1 else {})}
            assert (
                dcz.compress({"w": TENSORS[row.name]}, keys).reports["w"].rel_error > 0.2
                or row.n_bits - 1 not in GRID["n_bits"]
            )
    exact = dcz.plan(TENSORS, max_rel_error=0, **GRID)
    assert all(row.rel_error == 0 for row in exact.tensors)


def score(tensors: dict[str, np.ndarray]) -> float:
    """An accuracy for which only one tensor matters."""
    return 1 - float(np.square(tensors["flat"] - TENSORS["flat"]).mean())


def test_an_accuracy() -> None:
    planned = dcz.plan(TENSORS, max_drop=0.001, evaluate=score, **GRID)
    assert planned.baseline == 1 and planned.score >= 0.999
    assert planned.score == score(dcz.compress(TENSORS, planned.recipe))
    rows = {row.name: row for row in planned.tensors}
    assert rows["flat"].rel_error < 0.05 < 0.5 < rows["peaked"].rel_error
    sized = dcz.plan(TENSORS, target_ratio=6, evaluate=score, **GRID)
    assert sized.ratio >= 6 and sized.score >= 0.98
    blind = dcz.compress(TENSORS, dcz.plan(TENSORS, target_ratio=6, **GRID).recipe)
    assert sized.score >= score(blind)


def test_what_evaluate_raises_passes_through() -> None:
    def broken(tensors: dict[str, np.ndarray]) -> float:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        dcz.plan(TENSORS, max_drop=0.1, evaluate=broken, **GRID)
    with pytest.raises(ZeroDivisionError, match="mine"):
        dcz.sensitivity(TENSORS, broken, n_bits=[2], densities=[0.5])


def test_a_tensor_that_is_pruned_already() -> None:
    pruned = dcz.prune({"w": TENSORS["normal"]}, density=0.2).tensors
    planned = dcz.plan(pruned, max_rel_error=0.05, densities=[1, 0.5, 0.1], n_bits=[4, 5, 6])
    assert planned.tensors[0].density == pytest.approx(0.2, abs=1e-3)
    assert "density" not in planned.recipe["tensors"]["w"]


def test_a_large_tensor_is_measured_on_a_sample() -> None:
    w = {"w": RNG.laplace(size=(1500, 1000)).astype("f4")}
    planned = dcz.plan(w, target_ratio=20, densities=[0.5, 0.2, 0.1], n_bits=[3, 4, 5])
    assert planned.ratio >= 20 and planned.file_bytes == len(dcz.save(dcz.compress(w, planned.recipe)))


def test_tied_tensors_are_planned_once() -> None:
    tied = {"a": TENSORS["normal"], "b": TENSORS["normal"]}
    planned = dcz.plan(tied, target_ratio=8, **GRID)
    assert planned.dense == TENSORS["normal"].nbytes and planned.ratio >= 8
    assert planned.recipe["tensors"]["a"] == planned.recipe["tensors"]["b"]


def test_recipes_carry_over(tmp_path: Path) -> None:
    base = {"init": "density", "entropy": 0.003, "weight_threshold": 0}
    planned = dcz.plan(TENSORS, target_ratio=8, recipe=base, names=["*a*"], **GRID)
    assert {key: planned.recipe[key] for key in base} == base and set(planned.recipe["tensors"]) == {
        "flat",
        "peaked",
        "normal",
    }
    planned.save(tmp_path / "r.toml")
    assert dcz.compress(TENSORS, tmp_path / "r.toml").reports == dcz.compress(TENSORS, planned.recipe).reports


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "give one of target_ratio, target_bytes, max_rel_error, max_drop, found none"),
        ({"target_ratio": 3, "max_rel_error": 0.1}, "found target_ratio and max_rel_error"),
        ({"target_ratio": 0}, "target_ratio: expected a number"),
        ({"target_bytes": 0}, "target_bytes: expected an integer"),
        ({"max_rel_error": 2}, "max_rel_error: expected a number"),
        ({"max_drop": 0.1}, "max_drop: needs evaluate"),
        ({"target_ratio": 1e6}, "a file of less than one byte cannot be made; the smallest plan takes [0-9]+ bytes"),
        ({"target_ratio": 3, "n_bits": [17]}, "n_bits: expected an integer from 1 to 16"),
        ({"target_ratio": 3, "densities": [0]}, "densities: expected a number"),
        ({"target_ratio": 3, "densities": []}, "at least one of each"),
        ({"target_ratio": 3, "names": ["bias*", "stepz"]}, "'stepz' matches none"),
        ({"target_ratio": 3, "names": ["bia?"]}, "none is eligible"),
        ({"target_ratio": 3, "recipe": {"n_bits": 3}}, "the plan chooses density, n_bits"),
        ({"target_ratio": 3, "profile": "best"}, "profile: 'best' is unknown"),
    ],
)
def test_what_makes_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.plan(TENSORS, **{**GRID, **arguments})


def test_hulls_and_paths() -> None:
    """Against all choices: the path's choices are the best for their size."""
    from itertools import product

    curves = {
        name: [Point({"n": i}, int(size), float(error)) for i, (size, error) in enumerate(points)]
        for name, points in {
            "a": [(100, 0), (60, 0.1), (50, 0.4), (55, 0.45), (30, 0.5), (10, 0.9)],
            "b": [(200, 0), (150, 0.05), (90, 0.3), (40, 0.31), (20, 1.0)],
        }.items()
    }
    costs = dict.fromkeys(curves, lambda point: point.rel_error**2)
    path = search.Path(curves, costs)
    assert search.total(path[0]) == 300 and search.total(path[-1]) == 30
    choices = [(a.nbytes + b.nbytes, a.rel_error**2 + b.rel_error**2) for a, b in product(*curves.values())]
    for choice in path:
        cost = sum(point.rel_error**2 for point in choice.values())
        assert all(size > search.total(choice) or other >= cost - 1e-12 for size, other in choices)
    for budget in range(30, 320, 7):
        found = search.within(path, curves, costs, budget)
        assert found is not None and search.total(found) <= budget
    assert search.within(path, curves, costs, 29) is None


def test_sensitivity(tmp_path: Path) -> None:
    found = dcz.sensitivity(TENSORS, score, n_bits=[1, 3, 5], densities=[0.1, 0.5, 1.0])
    assert found.names == ["flat", "peaked", "normal"] and found.baseline == 1 and len(found.readings) == 18
    for name in found.names:
        bits, density = found.of(name, "n_bits"), found.of(name, "density")
        for readings in (bits, density):
            assert [r.value for r in readings] == sorted(r.value for r in readings)
            assert all(a.rel_error > b.rel_error and a.nbytes < b.nbytes for a, b in zip(readings, readings[1:]))
        assert density[-1].rel_error == 0
    assert all(r.score == 1 for r in found.of("normal", "n_bits")) and found.of("flat", "n_bits")[0].score < 1
    found.save(tmp_path / "s.csv")
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0] == "name,sweep,value,nbytes,rel_error,score" and len(lines) == 19


def test_the_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    for evaluate in (score, None):
        found = dcz.sensitivity(TENSORS, evaluate, n_bits=[1, 3], densities=[0.1, 0.5])
        found.plot(tmp_path / "s.png")
        assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UnsupportedError, match="s.docx"):
        found.plot(tmp_path / "s.docx")


def test_a_plan_is_never_worse_than_one_step_for_all() -> None:
    """By the caller's own score, at the size of the file with one absolute step."""
    scales = {"quiet": 0.01, "loud": 1.0, "other": 0.3}
    tensors = {name: (RNG.laplace(size=(128, 96)) * scale).astype("f4") for name, scale in scales.items()}

    def absolute(found: dict[str, np.ndarray]) -> float:
        return -sum(float(np.square(found[name].astype("f8") - tensors[name]).sum()) for name in tensors)

    def relative(found: dict[str, np.ndarray]) -> float:
        return absolute({name: tensors[name] + (found[name] - tensors[name]) / scales[name] for name in tensors})

    for score in (absolute, relative):
        for step in (0.1, 0.4):
            same = dcz.compress(tensors, {"step_absolute": step * 0.4})
            planned = dcz.plan(tensors, target_bytes=int(len(dcz.save(same)) * 1.02), evaluate=score)
            assert planned.score is not None and planned.score >= score(same) * 1.05  # both are negative


def test_the_smallest_plan_keeps_something_of_each_tensor() -> None:
    """Beyond what a grid can do, the largest weights are kept; nothing becomes all zeros unless a score allows it."""
    tensors = {"a": TENSORS["normal"], "b": TENSORS["peaked"]}
    planned = dcz.plan(tensors, target_ratio=60)
    small = dcz.compress(tensors, planned.recipe)
    assert planned.ratio >= 60 and all(small[name].any() for name in tensors)
    with pytest.raises(DczError, match="the smallest plan takes"):
        dcz.plan(tensors, target_ratio=1000)


@pytest.mark.parametrize("ratio", [1.3, 1.5])
def test_a_size_that_only_too_fine_a_grid_would_fill(ratio: float) -> None:
    rng = np.random.default_rng(0)
    tensors = {"w": rng.normal(size=(64, 512)).astype("f4"), "v": rng.normal(size=(30, 512)).astype("f4")}
    planned = dcz.plan(tensors, target_ratio=ratio)
    assert planned.ratio >= ratio and planned.rel_error < 1e-3


def test_what_a_grid_keeps_exactly_is_not_made_finer() -> None:
    levels = np.random.default_rng(0).standard_normal(16).astype("f4")
    codes = np.random.default_rng(1).integers(0, 16, (60, 100))
    planned = dcz.plan({"w": levels[codes]}, target_ratio=2)
    assert planned.ratio >= 2 and planned.rel_error == 0
