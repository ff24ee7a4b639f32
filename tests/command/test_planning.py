"""`dcz plan` makes a recipe, and `dcz pack --recipe` packs by it; whatever is wrong, nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from support.refusals import check_refused

RNG = np.random.Generator(np.random.PCG64(6))
TENSORS = {
    "conv.weight": RNG.laplace(size=(32, 16, 3, 3)).astype("f4"),
    "fc.weight": RNG.standard_normal((64, 100)).astype("f4"),
    "fc.bias": RNG.standard_normal(64).astype("f4"),
    "steps": np.arange(2100),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file(TENSORS, "model.safetensors")
    bad = TENSORS["fc.weight"].copy()
    bad[3, 4] = np.nan
    save_file({**TENSORS, "fc.weight": bad}, "nan.safetensors")
    Path("r.json").write_text('{"density": 0.2, "n_bits": 4, "tensors": {"conv*": {"density": 0.5}}}')
    Path("empty.json").write_text("{}")
    Path("typo.toml").write_text("n_bit = 4\n")
    Path("nothing.toml").write_text('[tensors."fc.wight"]\nn_bits = 4\n')
    Path("broken.toml").write_text("n_bits =")
    return tmp_path


def test_pack_by_a_recipe(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "model.safetensors", "model.dcz", "--recipe", "r.json")
    assert (run.code, run.err) == (0, "")
    expected = dcz.compress(load_file("model.safetensors"), "r.json")
    found = dcz.load_file("model.dcz")
    assert all(found[name].tobytes() == expected[name].tobytes() for name in TENSORS)
    assert "2 tensors pruned or clustered; largest relative error" in run.out
    assert "left alone: steps (dtype int64 has no weights to round)" in run.out
    assert "left alone: fc.bias (a bias or norm, of fewer than two dimensions, not named)" in run.out


def test_pack_as_json(folder: Path, dcz_: Callable) -> None:
    document = json.loads(dcz_("pack", "model.safetensors", "model.dcz", "--recipe", "r.json", "--json").out)
    assert document["reports"]["fc.weight"]["clusters"] == 16 and document["reports"]["conv.weight"]["density"] == 0.5
    assert "int64" in document["reports"]["steps"]["skipped"]


def test_global_scope(folder: Path, dcz_: Callable) -> None:
    Path("g.toml").write_text('density = 0.2\nscope = "global"\n')
    assert dcz_("pack", "model.safetensors", "g.dcz", "--recipe", "g.toml", "-q").code == 0
    expected = dcz.prune(TENSORS, density=0.2, scope="global").tensors
    assert all(array.tobytes() == expected[name].tobytes() for name, array in dcz.load_file("g.dcz").items())


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_plan_and_pack(folder: Path, dcz_: Callable, suffix: str) -> None:
    grid = ("--densities", "1,0.5,0.2,0.1", "--n-bits", "3,4,5")
    run = dcz_("plan", "model.safetensors", "--target-ratio", 6, "-o", f"r{suffix}", "-f", *grid)
    assert (run.code, run.err) == (0, "")
    lines = {line.split()[0]: line.split() for line in run.out.splitlines() if line.split()}
    assert lines["conv.weight"][1] == "32x16x3x3" and "int64" in lines["steps"]
    assert f"r{suffix}: written; dcz pack model.safetensors model.dcz --recipe r{suffix}" in run.out
    assert dcz_("pack", "model.safetensors", "m.dcz", "--recipe", f"r{suffix}", "-q").code == 0
    size = os.path.getsize("m.dcz")
    assert sum(array.nbytes for array in TENSORS.values()) / size >= 6 and f"({size} bytes)" in run.out
    document = json.loads(dcz_("plan", "model.safetensors", "--target-ratio", 6, "--json", *grid).out)
    assert document["file_bytes"] == size
    assert document["recipe"] == dcz.lossy.Recipe.load(f"r{suffix}").to_dict()


def test_plan_for_an_error_with_a_plot(folder: Path, dcz_: Callable) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run = dcz_(
        "plan",
        "model.safetensors",
        "--max-rel-error",
        0.2,
        "--names",
        "fc*",
        "--entropy",
        0.003,
        "--plot",
        "p.png",
        "-q",
    )
    assert (run.code, run.out, run.err) == (0, "", "")
    assert Path("p.png").read_bytes().startswith(b"\x89PNG")


def test_plan_for_several_sizes(folder: Path, dcz_: Callable) -> None:
    """A recipe of its own for each, whose file is small enough."""
    run = dcz_("plan", "model.safetensors", "--target-ratio", "6,4.5", "-o", "r.toml", "--n-bits", "2,4,6")
    assert (run.code, run.err) == (0, "") and not Path("r.toml").exists()
    tensors = load_file("model.safetensors")
    for line, ratio in zip(run.out.splitlines(), ("4.5", "6")):
        small = dcz.save(dcz.compress(tensors, f"r-{ratio}.toml"))
        assert f"{len(small)} bytes" in line
        assert sum(array.nbytes for array in tensors.values()) / len(small) >= float(ratio)
    run = dcz_("plan", "model.safetensors", "--target-ratio", "6,4.5", "-o", "r.toml", "--n-bits", "2,4,6")
    assert run.code == 1 and "r-4.5.toml" in run.err
    sizes = json.loads(dcz_("plan", "model.safetensors", "--target-bytes", "9000,14000", "--json").out)["plans"]
    assert 9000 < sizes[0]["file_bytes"] <= 14000 and sizes[1]["file_bytes"] <= 9000
    assert dcz_("plan", "model.safetensors", "--target-ratio", "6,x").code == 2


RATIO = ("--target-ratio", "5")
ERRORS = {
    "empty recipe": (
        ("pack", "model.safetensors", "x.dcz", "--recipe", "empty.json"),
        1,
        "empty.json: recipe: is empty",
    ),
    "unknown key": (("pack", "model.safetensors", "x.dcz", "--recipe", "typo.toml"), 1, "did you mean n_bits?"),
    "no match": (("pack", "model.safetensors", "x.dcz", "--recipe", "nothing.toml"), 1, "near it: fc.weight"),
    "broken": (("pack", "model.safetensors", "x.dcz", "--recipe", "broken.toml"), 1, "broken.toml: not valid TOML"),
    "absent": (("pack", "model.safetensors", "x.dcz", "--recipe", "absent.toml"), 1, "absent.toml: No such file"),
    "other kind": (
        ("pack", "model.safetensors", "x.dcz", "--recipe", "model.safetensors"),
        2,
        "a recipe is a .toml or .json file",
    ),
    "nan": (("pack", "nan.safetensors", "x.dcz", "--recipe", "r.json"), 1, "tensor 'fc.weight': has NaN or infinity"),
    "keep without recipe": (("pack", "model.safetensors", "x.dcz", "--keep-nonfinite"), 2, "goes with --recipe"),
    "no target": (("plan", "model.safetensors"), 2, "give one of --target-ratio"),
    "two targets": (("plan", "model.safetensors", *RATIO, "--target-bytes", "9"), 2, "give one of --target-ratio"),
    "out of reach": (
        ("plan", "model.safetensors", "--target-ratio", "1e6", "--n-bits", "2"),
        1,
        "the smallest plan takes",
    ),
    "no numbers": (("plan", "model.safetensors", *RATIO, "--n-bits", "a"), 2, "--n-bits: expected numbers"),
    "no bits": (
        ("plan", "model.safetensors", *RATIO, "--n-bits", "17"),
        2,
        "--n-bits: expected an integer from 1 to 16",
    ),
    "unknown init": (("plan", "model.safetensors", *RATIO, "--init", "magic"), 2, "'magic'"),
    "unknown profile": (("plan", "model.safetensors", *RATIO, "--profile", "smallest"), 2, "'smallest' is unknown"),
    "negative ratio": (("plan", "model.safetensors", "--target-ratio", "-3"), 2, "--target-ratio: expected"),
    "density of two": (("plan", "model.safetensors", *RATIO, "--densities", "2"), 2, "densities: expected"),
    "negative entropy": (("plan", "model.safetensors", *RATIO, "--entropy", "-1"), 2, "entropy"),
    "plan of nan": (("plan", "nan.safetensors", *RATIO), 1, "has NaN or infinity"),
    "plan of nothing": (("plan", "model.safetensors", *RATIO, "--names", "nope"), 1, "'nope' matches none"),
    "plan to other kind": (
        ("plan", "model.safetensors", *RATIO, "-o", "x.yaml"),
        2,
        "a recipe is a .toml or .json file",
    ),
    "plan over a file": (("plan", "model.safetensors", *RATIO, "-o", "r.json"), 1, "already exists; use --force"),
    "plot of other kind": (
        ("plan", "model.safetensors", *RATIO, "--plot", "x.docx"),
        2,
        "a plot is a .png, .svg, .pdf file",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(folder: Path, dcz_: Callable, case: str) -> None:
    check_refused(dcz_, folder, *ERRORS[case])


def test_nonfinite_tensors_are_kept_when_asked(folder: Path, dcz_: Callable) -> None:
    run = dcz_("pack", "nan.safetensors", "nan.dcz", "--recipe", "r.json", "--keep-nonfinite")
    assert (run.code, run.err) == (0, "") and "left alone: fc.weight (it has NaN or infinity)" in run.out
    found = dcz.load_file("nan.dcz")
    assert found["fc.weight"].tobytes() == load_file("nan.safetensors")["fc.weight"].tobytes()
    assert np.count_nonzero(found["conv.weight"]) == found["conv.weight"].size // 2


def test_recipes_and_folders(folder: Path, dcz_: Callable) -> None:
    os.mkdir("hub")
    save_file(TENSORS, "hub/model.safetensors")
    run = dcz_("pack", "hub", "out", "--recipe", "r.json")
    assert run.code == 2 and "--recipe: goes with a .dcz" in run.err and not os.path.exists("out")
    assert dcz_("pack", "hub", "hub.dcz", "--recipe", "r.json", "-q").code == 0
