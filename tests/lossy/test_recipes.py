"""A recipe is plain data that says what becomes of each tensor; invalid ones are refused with a way out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.lossy import Recipe
from dcz.lossy.recipe import dumps

RNG = np.random.Generator(np.random.PCG64(4))
TENSORS = {
    "conv1.weight": RNG.standard_normal((16, 8, 5, 5)).astype("f4"),
    "conv2.weight": RNG.standard_normal((32, 16, 3, 3)).astype("f4"),
    "fc.weight": RNG.standard_normal((64, 128)),
    "fc.bias": RNG.standard_normal(64).astype("f4"),
    "steps": np.arange(5000),
}
RECIPE = {
    "density": 0.1,
    "n_bits": 5,
    "tensors": {"conv*": {"density": 0.4, "n_bits": 6}, "conv1.weight": {"n_bits": False, "threshold": 0.5}},
}


def distinct(array: np.ndarray) -> int:
    return len(np.unique(array[array != 0]))


def test_later_patterns_win_and_one_of_a_choice_replaces_the_other() -> None:
    before = {name: array.tobytes() for name, array in TENSORS.items()}
    out = dcz.compress(TENSORS, RECIPE)
    assert {name: array.tobytes() for name, array in TENSORS.items()} == before
    assert list(out) == list(TENSORS) and all(
        out[n].dtype == a.dtype and out[n].shape == a.shape for n, a in TENSORS.items()
    )
    assert ((np.abs(TENSORS["conv1.weight"]) > 0.5) == (out["conv1.weight"] != 0)).all()
    assert (out["conv1.weight"] == np.where(out["conv1.weight"] != 0, TENSORS["conv1.weight"], 0)).all()
    assert out.reports["conv2.weight"].density == pytest.approx(0.4, abs=1e-3) and distinct(out["conv2.weight"]) == 64
    assert out.reports["fc.weight"].density == pytest.approx(0.1, abs=1e-3) and distinct(out["fc.weight"]) == 32
    assert out["fc.bias"] is TENSORS["fc.bias"] and out["steps"] is TENSORS["steps"]
    assert "int64" in out.reports["steps"].skipped and "a bias or norm" in out.reports["fc.bias"].skipped
    loaded = dcz.load(dcz.save(out))
    assert all(loaded[name].tobytes() == out[name].tobytes() for name in out)


def test_the_same_as_the_steps_alone() -> None:
    pruned = dcz.prune(TENSORS, density=0.2)
    expected = dcz.cluster(pruned.tensors, n_bits=4, init="density").tensors
    out = dcz.compress(TENSORS, {"density": 0.2, "n_bits": 4, "init": "density"})
    assert all(out[name].tobytes() == expected[name].tobytes() for name in TENSORS)
    assert out.reports["fc.weight"].clusters == 16 and out.reports["fc.weight"].skipped is None
    error = np.linalg.norm(TENSORS["fc.weight"] - out["fc.weight"]) / np.linalg.norm(TENSORS["fc.weight"])
    assert out.reports["fc.weight"].rel_error == pytest.approx(error)


def test_global_scope_and_importance() -> None:
    out = dcz.compress(TENSORS, {"density": 0.2, "scope": "global"})
    expected = dcz.prune(TENSORS, density=0.2, scope="global").tensors
    assert all(out[name].tobytes() == expected[name].tobytes() for name in TENSORS)
    heavy = {"fc.weight": np.where(TENSORS["fc.weight"] > 0, 100.0, 1.0)}
    with_it = dcz.compress(TENSORS, {"n_bits": 3}, importance=heavy)["fc.weight"]
    assert with_it.tobytes() == dcz.cluster(TENSORS, n_bits=3, importance=heavy).tensors["fc.weight"].tobytes()


def test_leave_and_names() -> None:
    recipe = {"n_bits": 2, "tensors": {"conv*": {"leave": True}, "fc.bias": {}}}
    out = dcz.compress(TENSORS, recipe)
    assert out["conv1.weight"] is TENSORS["conv1.weight"]
    assert out.reports["conv1.weight"].skipped == "the recipe leaves it alone"
    assert distinct(out["fc.bias"]) == 4  # asked for by its very name


def test_tied_arrays_stay_tied() -> None:
    tied = {"head": TENSORS["fc.weight"], "embedding": TENSORS["fc.weight"]}
    out = dcz.compress(tied, {"n_bits": 3})
    assert out["head"] is out["embedding"]
    apart = dcz.compress(tied, {"n_bits": 3, "tensors": {"head": {"n_bits": 4}}})
    assert (distinct(apart["head"]), distinct(apart["embedding"])) == (16, 8)


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"recipe{suffix}"
    Recipe.parse(RECIPE).save(path)
    assert Recipe.load(path).to_dict() == RECIPE
    assert dcz.compress(TENSORS, path)["fc.weight"].tobytes() == dcz.compress(TENSORS, RECIPE)["fc.weight"].tobytes()
    assert dcz.compress(TENSORS, str(path)).reports == dcz.compress(TENSORS, RECIPE).reports


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.fixed_dictionaries(
            {"n_bits": st.integers(1, 16)}, optional={"density": st.floats(0.01, 1), "leave": st.booleans()}
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_name_survives_toml(overrides: dict) -> None:
    tomllib = pytest.importorskip("tomllib", reason="this Python has no tomllib")
    plain = {"init": "density", "n_m_ratio": [2, 4], "tensors": overrides}
    assert tomllib.loads(dumps(plain, ".toml")) == plain
    assert json.loads(dumps(plain, ".json")) == plain


ERRORS = {
    "empty": ({}, "recipe: is empty"),
    "no mapping": (3, "expected a mapping"),
    "unknown key": ({"densty": 0.1}, "unknown key 'densty'; did you mean density"),
    "unknown key of a pattern": ({"tensors": {"fc*": {"bits": 3}}}, "'fc\\*': unknown key 'bits'; did you mean n_bits"),
    "density": ({"density": 0}, r"density: expected a number in \(0, 1\], found 0"),
    "density above": ({"density": 1.5}, "density: .*found 1.5"),
    "density text": ({"density": "a"}, "density: .*found 'a'"),
    "density nan": ({"density": float("nan")}, "density: .*found nan"),
    "bits": ({"n_bits": 0}, "n_bits: expected an integer from 1 to 16, found 0"),
    "bits above": ({"n_bits": 17}, "n_bits: .*found 17"),
    "bits in fractions": ({"n_bits": 2.5}, "n_bits: .*found 2.5"),
    "true bits": ({"n_bits": True}, "n_bits: .*found True"),
    "two ways to prune": ({"density": 0.1, "threshold": 1}, "found density and threshold"),
    "two sizes": ({"n_bits": 3, "n_clusters": 7}, "one of n_bits, n_clusters, step and step_absolute"),
    "ratio": ({"n_m_ratio": [4, 4]}, "n_m_ratio: n: expected an integer from 1 to 3"),
    "ratio with blocks": ({"n_m_ratio": [2, 4], "block_size": 4}, "does not go with block_size"),
    "init": ({"n_bits": 3, "init": "best"}, "init: 'best' is unknown; expected one of linear, density"),
    "optimal of too many": ({"n_bits": 12, "init": "optimal"}, "optimal makes at most 1024 clusters"),
    "granularity": ({"n_bits": 3, "granularity": "per_row"}, "granularity: 'per_row' is unknown"),
    "no group size": ({"n_bits": 3, "granularity": "per_grouped_channel"}, "group_size: goes with"),
    "group that does not divide": (
        {"n_bits": 3, "granularity": "per_grouped_channel", "group_size": 7}, "'conv1.weight': groups of 7 channels",
    ),
    "codebook dtype": ({"n_bits": 3, "codebook_dtype": "int8"}, "codebook_dtype: 'int8' is unknown"),
    "entropy": ({"n_bits": 3, "entropy": -1}, "entropy: "),
    "scope": ({"density": 0.1, "scope": "model"}, "scope: 'model' is unknown"),
    "global threshold": ({"threshold": 0.1, "scope": "global"}, "scope: global goes with density"),
    "weight threshold": ({"density": 0.1, "weight_threshold": -1}, "weight_threshold: expected an integer"),
    "leave": ({"n_bits": 3, "tensors": {"fc*": {"leave": 3}}}, "leave: expected true or false"),
    "no table": ({"tensors": {"fc*": 3}}, "tensors: expected patterns and their keys"),
    "no match": ({"n_bits": 3, "tensors": {"fc.wight": {}}},
        "'fc.wight' matches none of the 5 tensors; near it: fc.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_makes_no_sense(case: str) -> None:
    recipe, message = ERRORS[case]
    with pytest.raises(DczError, match=message) as caught:
        dcz.compress(TENSORS, recipe)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_by_name(value: float) -> None:
    bad = {**TENSORS, "fc.weight": TENSORS["fc.weight"].copy()}
    bad["fc.weight"][3, 5] = value
    for call in (
        lambda **k: dcz.prune(bad, density=0.1, **k),
        lambda **k: dcz.cluster(bad, n_bits=3, **k),
        lambda **k: dcz.compress(bad, {"n_bits": 3}, **k),
        lambda **k: dcz.plan(bad, target_ratio=2, densities=[0.5], n_bits=[3], **k).recipe and bad,
    ):
        with pytest.raises(DczError, match="tensor 'fc.weight': has NaN or infinity.*keep"):
            call()
        kept = call(keep_nonfinite=True)
        kept = getattr(kept, "tensors", kept)
        assert kept["fc.weight"].tobytes() == bad["fc.weight"].tobytes()


def test_arguments_of_other_kinds() -> None:
    for call in (
        lambda x: dcz.prune(x, density=0.1),
        lambda x: dcz.cluster(x, n_bits=3),
        lambda x: dcz.compress(x, {"n_bits": 3}),
    ):
        with pytest.raises(DczError, match="expected a mapping of names to arrays, found ndarray"):
            call(TENSORS["fc.weight"])
        with pytest.raises(DczError, match="tensor 'w': expected a numpy array, found list"):
            call({"w": [1, 2]})
        with pytest.raises(DczError, match="names are strings"):
            call({3: TENSORS["fc.weight"]})
    for importance, message in (
        ({"x": np.ones(3)}, "there is no tensor 'x'"),
        ({"fc.weight": np.ones(3)}, r"shape \(3,\), the tensor has \(64, 128\)"),
        ({"fc.weight": np.full((64, 128), -1.0)}, "not negative"),
        ({"fc.weight": np.full((64, 128), np.nan)}, "not negative"),
    ):
        with pytest.raises(DczError, match=message):
            dcz.cluster(TENSORS, n_bits=3, importance=importance)


def test_bad_files(tmp_path: Path) -> None:
    for name, text, kind, message in (
        ("a.toml", "density = ", FormatError, "a.toml: not valid TOML"),
        ("a.json", "{", FormatError, "a.json: not valid JSON"),
        ("b.json", '{"n_bits": 99}', DczError, "b.json: recipe: n_bits"),
        ("a.yaml", "n_bits: 3", UnsupportedError, "a recipe is a .toml or .json file"),
        ("c.toml", "\xff", FormatError, "c.toml: not valid TOML"),
    ):
        path = tmp_path / name
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(kind, match=message):
            dcz.compress(TENSORS, path)
    with pytest.raises(FileNotFoundError):
        dcz.compress(TENSORS, tmp_path / "absent.json")


def test_files_that_would_take_time_and_memory(tmp_path: Path) -> None:
    for name, text, message in (
        ("deep.json", "[" * 100_000, "deep.json: not valid JSON"),
        ("parts.toml", ".".join(["a"] * 20_000) + " = 1", "parts.toml: a key of more than 64 parts"),
        ("parts.toml", f"[{'.'.join(['a'] * 20_000)}]", "parts.toml: a key of more than 64 parts"),
        ("large.json", " " * (1 << 20) + "{}", "large.json: 1048578 bytes; the limit of a recipe is 1048576"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DczError, match=message):
            dcz.compress(TENSORS, tmp_path / name)
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(DczError, match="pipe.toml: is not a regular file, but a FIFO"):
        dcz.compress(TENSORS, tmp_path / "pipe.toml")
