"""Recipes for tensors larger than the memory there is: to the bytes of the whole tensor, or refused."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.blocks import values_of
from dcz.convert.compressed import CompressedModel
from support.limited import header, limited, needs_proc, start, write_tiny

BOUND = 200_000_000
ROWS, COLUMNS = 8 << 10, 4 << 10


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Weights of 16 and 32 bits, longer than a block, with ties, zeros of both signs and few distinct values."""
    rng, shape = np.random.default_rng(4), (3, (1 << 20) // 2 + 77)
    noise = rng.laplace(size=shape).astype("f4")
    noise[0, :99], noise[1, :9] = 0, -0.0
    tensors = {
        "half": noise.astype("f2"), "brain": noise.astype(ml_dtypes.bfloat16), "single": noise,
        "ties": rng.integers(-3, 4, shape).astype("f2"), "integers": rng.integers(0, 9, shape),
    }  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    dcz.save_file(tensors, path.with_suffix(".dcz"))
    with open_model(path.with_suffix(".dcz")) as opened:
        transfer(opened, open_target(path))
    return path


def _packed(model, file, recipe, bound, **options):
    with open_model(model) as opened:
        treated = CompressedModel(opened, recipe, **options)
        transfer(treated, open_target(file), max_memory=bound)
    return file.read_bytes(), treated.reports


def _in_blocks(monkeypatch):
    monkeypatch.setattr(CompressedModel, "use", CompressedModel.use._replace(whole=10**9, fixed=0))


@pytest.mark.parametrize(
    "recipe",
    [
        {"density": 0.3},
        {"density": 0.5, "n_bits": 4},
        {"quality": 0.5, "step": 0.2},
        {"threshold": 0.25, "n_bits": 8, "entropy": 0.005, "codebook_dtype": "float8_e4m3fn"},
        {"n_bits": 5, "init": "density", "rescale": True},
    ],
    ids=lambda recipe: "-".join(recipe),
)
def test_values_of_16_bits_become_the_same_bytes(model, tmp_path, monkeypatch, recipe):
    recipe = {**recipe, "tensors": {"single": {"leave": True}}}
    whole = _packed(model, tmp_path / "whole.dcz", recipe, 10**11)
    _in_blocks(monkeypatch)
    blocks = _packed(model, tmp_path / "blocks.dcz", recipe, BOUND)
    assert blocks == whole
    assert whole[1]["half"].skipped is None and whole[1]["integers"].skipped and whole[1]["single"].skipped


def test_pruning_of_float32_is_exact(model, tmp_path, monkeypatch):
    recipe = {"density": 0.2, "tensors": {"single": {}}}
    whole = _packed(model, tmp_path / "whole.dcz", recipe, 10**11)
    _in_blocks(monkeypatch)
    assert _packed(model, tmp_path / "blocks.dcz", recipe, BOUND) == whole


def test_what_needs_all_weights_is_refused(model, tmp_path):
    for recipe in ({"n_bits": 4}, {"n_m_ratio": [2, 4]}, {"density": 0.5, "scope": "global"}):
        recipe = {**recipe, "tensors": {name: {"leave": True} for name in ("half", "brain", "ties")}}
        with open_model(model) as opened:
            treated = CompressedModel(opened, recipe)
            (single,) = [tensor for tensor in treated.tensors() if tensor.name == "single"]
            use = CompressedModel.use._replace(fixed=0, times=1, more=0, statistics=0)
            with pytest.raises(dcz.DczError, match="max memory: 5000000 bytes .* 'single' .*read whole.*; allow 26MB"):
                values_of(treated, single, max_memory=5 * 10**6, use=use)


def test_a_density_over_all_tensors_counts_whole_ones(model, tmp_path):
    recipe = {"density": 0.5, "scope": "global"}
    with pytest.raises(dcz.DczError, match="max memory: 5000000 bytes .* 'single' .*counted whole by `scope: global`"):
        _packed(model, tmp_path / "out.dcz", recipe, 5 * 10**6)
    assert not (tmp_path / "out.dcz").exists()
    recipe["tensors"] = {name: {"leave": True} for name in ("half", "brain", "single", "integers")}
    assert _packed(model, tmp_path / "out.dcz", recipe, BOUND)[1]["ties"].density < 0.6


def test_nan_is_refused_in_blocks_too(tmp_path, monkeypatch):
    array = np.ones((2, 1 << 20), "f2")
    array[1, -1] = np.nan
    dcz.save_file({"w": array}, tmp_path / "nan.dcz")
    _in_blocks(monkeypatch)
    with pytest.raises(dcz.DczError, match="tensor 'w': has NaN or infinity"):
        _packed(tmp_path / "nan.dcz", tmp_path / "out.dcz", {"n_bits": 4}, BOUND)
    _, reports = _packed(tmp_path / "nan.dcz", tmp_path / "out.dcz", {"n_bits": 4}, BOUND, keep_nonfinite=True)
    assert reports["w"].skipped == "it has NaN or infinity"


@needs_proc
def test_a_recipe_keeps_to_its_memory(tmp_path):
    write_tiny(tmp_path)
    source, recipe = tmp_path / "model.safetensors", tmp_path / "recipe.json"
    header(source, "BF16", (ROWS, COLUMNS))
    values = np.random.default_rng(0).standard_normal(1_000_000).astype(ml_dtypes.bfloat16)
    with open(source, "r+b") as file:
        for part in range(1, 5):
            file.seek(ROWS * COLUMNS // 5 * part * 2 // 8 * 8)
            file.write(values.tobytes())
        file.truncate(start(source) + 2 * ROWS * COLUMNS)
    recipe.write_text('{"density": 0.02, "n_bits": 4}')
    command = ("pack", source, tmp_path / "out.dcz", "--recipe", recipe, "--threads", 1)
    whole = limited(tmp_path, *command, limit=192 << 20)
    assert whole.returncode != 0 and "memory" in whole.stderr.lower()
    done = limited(tmp_path, *command, "--max-memory", "150MB", limit=192 << 20)
    assert done.returncode == 0, done.stderr[-2000:]
    with dcz.open(tmp_path / "out.dcz") as reader:
        first = reader.get_slice("w")[: ROWS // 5 + 300]
    assert len(np.unique(first)) == 17
