"""Second moments of a layer's inputs, and rounding by them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, FormatError
from dcz.lossy.calibrated import Layer
from dcz.lossy.feedback import DAMPING, Levels, factor, rounded
from dcz.lossy.moments import Accumulator, Calibration
from dcz.lossy.patches import patches, some


def correlated(rng: np.random.Generator, vectors: int, inputs: int) -> np.ndarray:
    """Inputs that depend on a few factors, of widely different sizes, with means that are not zero."""
    mixing = rng.standard_normal((max(inputs // 4, 1), inputs)) * np.exp(rng.standard_normal(inputs))
    noise = 0.1 * rng.standard_normal((vectors, inputs))
    return (rng.standard_normal((vectors, len(mixing))) @ mixing + noise + rng.random(inputs)).astype(np.float32)


def change(before: np.ndarray, after: np.ndarray, inputs: np.ndarray) -> float:
    """The mean over samples of the squared change of the outputs, computed from the samples themselves."""
    return float(np.square(inputs.astype(np.float64) @ (before.astype(np.float64) - after).T).sum(axis=1).mean())


def test_two_columns_by_hand() -> None:
    # Equal inputs: what the first column loses the second takes up.
    second = np.array([[1.0, 1.0], [1.0, 1.0]])
    levels = Levels(np.array([-1.0, 0.0, 1.0]), np.zeros(3), 0.0)
    found = rounded(np.float32([[0.4], [0.4]]), factor(second, "w"), levels, None, None)
    assert found.tolist() == [[0.0], [1.0]]  # plain rounding: 0 and 0, and the output is 0 instead of 0.8


def test_the_factor_is_that_of_the_damped_moments() -> None:
    second = np.cov(correlated(np.random.default_rng(0), 50, 12).T)
    found = factor(second, "w")
    unit = found.unit.astype(np.float64)
    assert np.array_equal(unit, np.triu(unit)) and np.allclose(np.diagonal(unit), 1)
    damped = second + np.eye(12) * DAMPING * np.trace(second) / 12
    assert np.allclose(unit * found.diagonal @ unit.T, damped[np.ix_(found.order, found.order)], rtol=1e-4, atol=1e-4)


def test_the_error_is_the_sum_over_columns() -> None:
    """tr(E H E^T) = sum of D_i (t_i - q_i)^2: what the rounding of each column minimises adds up to the whole."""
    rng = np.random.default_rng(1)
    second, error = np.cov(correlated(rng, 60, 9).T), rng.standard_normal((9, 4))
    found = factor(second, "w")
    residual = found.unit.T.astype(np.float64) @ error[found.order]
    damped = second + np.eye(9) * DAMPING * np.trace(second) / 9
    assert np.isclose((np.square(residual) * found.diagonal[:, None]).sum(), np.trace(error.T @ damped @ error))


def test_blocks_of_columns_change_nothing() -> None:
    """Against the definition, one column after another."""
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((300, 3))
    found = factor(np.cov(correlated(rng, 400, 300).T), "w")
    levels = Levels(np.arange(-8, 9) * 0.5, np.abs(np.arange(-8, 9)) + 1.0, 0.02 * float(found.diagonal.mean()))
    ordered, wanted = weights[found.order], np.zeros((300, 3))
    for i, unit in enumerate(found.unit.T.astype(np.float64)):
        target = ordered[i] + unit[:i] @ (ordered - wanted)[:i]
        cost = found.diagonal[i] * (target[:, None] - levels.values) ** 2 + levels.price * levels.bits
        wanted[i] = levels.values[cost.argmin(axis=1)]
    out = rounded(weights, found, levels, None, None)[found.order]
    assert np.mean(out == wanted) > 0.9 and np.array_equal(out[:200], wanted[:200])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "recipe",
    [{"step": 0.3}, {"step": 1.0}, {"n_bits": 3}, {"density": 0.4}, {"density": 0.4, "n_bits": 4},
     {"density": 0.5, "step": 0.5}, {"n_bits": 6, "entropy": 0.01}, {"n_m_ratio": (2, 4), "n_bits": 3},
     {"density": 0.5, "scope": "global"}, {"step": 0.4, "granularity": "per_grouped_channel", "group_size": 8},
     {"n_bits": 3, "granularity": "per_grouped_channel", "group_size": 8},
     {"density": 0.6, "step": 0.4, "granularity": "per_channel"}, {"step": 0.4, "granularity": "per_channel"}],
    ids=str,
)  # fmt: skip
def test_outputs_change_less_than_by_plain_rounding(recipe: dict[str, object], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights, inputs = rng.laplace(size=(32, 150)).astype(np.float32), correlated(rng, 400, 150)
    before = weights.copy()
    with_data = dcz.compress({"w": weights}, recipe, calibration=Calibration.of({"w": inputs}))
    without = dcz.compress({"w": weights}, recipe)
    assert change(weights, with_data["w"], inputs) <= change(weights, without["w"], inputs) * (1 + 1e-5)
    assert np.array_equal(weights, before)
    assert change(weights, with_data["w"], inputs) < 0.6 * change(weights, without["w"], inputs)


@pytest.mark.parametrize("vectors", [16, 64, 256])
def test_few_samples_without_correlations_do_no_harm(vectors: int) -> None:
    """On other samples than those measured: white inputs have nothing to make up for, whatever the samples seem to."""
    rng = np.random.default_rng(3)
    weights = rng.laplace(size=(64, 128)).astype(np.float32)
    seen, unseen = (rng.standard_normal((count, 128)).astype(np.float32) for count in (vectors, 4000))
    found = Calibration.of({"w": seen})
    assert found["w"].shrinkage > 0.9
    with_data, without = (dcz.compress({"w": weights}, {"step": 0.5}, calibration=c)["w"] for c in (found, None))
    assert change(weights, with_data, unseen) < 1.03 * change(weights, without, unseen)


def test_shrinkage_is_the_share_of_noise() -> None:
    """Against the definition, on correlations of all pairs."""
    inputs = correlated(np.random.default_rng(4), 50, 20).astype(np.float64)
    z = inputs / np.sqrt(np.square(inputs).mean(axis=0))
    products = z[:, :, None] * z[:, None, :]
    off = ~np.eye(20, dtype=bool)
    wanted = (products.var(axis=0, ddof=1) / 50)[off].sum() / np.square(products.mean(axis=0))[off].sum()
    assert np.isclose(Calibration.of({"w": inputs})["w"].shrinkage[0, 0], wanted, rtol=1e-3)
    assert Calibration.of({"w": inputs[:1]})["w"].shrinkage == 1


def test_the_file_is_hardly_larger() -> None:
    rng = np.random.default_rng(2)
    weights, inputs = rng.laplace(size=(200, 300)).astype(np.float32), correlated(rng, 600, 300)
    sizes = [
        len(dcz.save(dcz.compress({"w": weights}, {"step": 0.4}, calibration=found)))
        for found in (Calibration.of({"w": inputs}), None)
    ]
    assert sizes[0] < 1.05 * sizes[1]


def test_zeros_stay_zero_and_densities_are_kept() -> None:
    rng = np.random.default_rng(3)
    weights, inputs = rng.standard_normal((64, 256)).astype(np.float32), correlated(rng, 300, 256)
    weights[rng.random(weights.shape) < 0.3] = 0
    found = Calibration.of({"w": inputs})
    for recipe in ({"step": 0.3}, {"n_bits": 4}, {"density": 0.25}, {"density": 0.25, "n_bits": 4}):
        small = dcz.compress({"w": weights}, recipe, calibration=found)
        assert not small["w"][weights == 0].any()
        if "density" in recipe:
            assert np.count_nonzero(small["w"]) == weights.size // 4
        if "n_bits" in recipe:
            assert len(np.unique(small["w"])) <= 17
    kept = dcz.compress({"w": weights}, {"n_m_ratio": (2, 4)}, calibration=found)["w"] != 0
    assert (kept.reshape(64, -1, 4).sum(axis=2) <= 2).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes_stay(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(np, dtype, None) or getattr(ml_dtypes, dtype))
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((32, 64)).astype(kind)
    found = dcz.compress({"w": weights}, {"n_bits": 3}, calibration=Calibration.of({"w": correlated(rng, 99, 64)}))
    assert found["w"].dtype == kind and len(np.unique(found["w"])) <= 8


def test_biases_take_up_the_mean() -> None:
    rng = np.random.default_rng(5)
    weights, inputs = rng.standard_normal((32, 64)).astype(np.float32), correlated(rng, 200, 64)
    each = Accumulator("w", 1, 64, bias="b")
    each.add(inputs[:, None])
    tensors = {"b": rng.standard_normal(32).astype(np.float32), "w": weights}
    before = tensors["b"].copy()
    small = dcz.compress(tensors, {"step": 0.8}, calibration=Calibration({"w": each.moments()}))
    outputs, wanted = inputs @ small["w"].T + small["b"], inputs @ weights.T + before
    assert np.allclose(outputs.mean(axis=0), wanted.mean(axis=0), atol=1e-2)
    assert not np.array_equal(small["b"], before) and np.array_equal(tensors["b"], before)
    # One that is rounded too takes up the shift first.
    recipe = {"step": 0.8, "tensors": {"b": {"n_bits": 16, "codebook_dtype": "bfloat16"}}}
    rounded_too = dcz.compress(tensors, recipe, calibration=Calibration({"w": each.moments()}))["b"]
    assert 0 < np.abs(rounded_too - small["b"]).max() < 2**-8 * np.abs(small["b"]).max()
    # The same array twice is one tensor, which cannot take up the shifts of two layers.
    tied = dcz.compress({**tensors, "c": tensors["b"]}, {"step": 0.8}, calibration=Calibration({"w": each.moments()}))
    assert tied["b"] is tied["c"] and np.array_equal(tied["b"], before)


def test_tied_weights_are_treated_once() -> None:
    rng = np.random.default_rng(6)
    weights = rng.standard_normal((64, 64)).astype(np.float32)
    found = Calibration.of({"head": correlated(rng, 100, 64)})
    small = dcz.compress({"embed": weights, "head": weights}, {"step": 0.5}, calibration=found)
    assert small["embed"] is small["head"] and small.reports["embed"].output_error is not None


def test_inputs_first() -> None:
    rng = np.random.default_rng(7)
    weights, inputs = rng.standard_normal((64, 48)).astype(np.float32), correlated(rng, 100, 64)
    one = dcz.compress({"w": weights}, {"step": 0.5}, calibration=Calibration.of({"w": inputs}, inputs_first=True))
    other = dcz.compress({"w": weights.T.copy()}, {"step": 0.5}, calibration=Calibration.of({"w": inputs}))
    assert np.array_equal(one["w"], other["w"].T)


def test_a_layer_that_sees_nothing_and_one_that_sees_one_vector() -> None:
    weights = np.random.default_rng(8).standard_normal((64, 64)).astype(np.float32)
    for inputs in (np.zeros((5, 64), np.float32), np.eye(1, 64, dtype=np.float32)):
        found = dcz.compress({"w": weights}, {"n_bits": 4}, calibration=Calibration.of({"w": inputs}))
        assert len(np.unique(found["w"])) <= 16 and np.isfinite(found["w"]).all()
        assert 0 < found.reports["w"].rel_error < 0.5


def test_moments_do_not_depend_on_batches_and_stay_bounded() -> None:
    rng = np.random.default_rng(9)
    inputs = correlated(rng, 120, 40)[:, None]
    whole, parts = Accumulator("w", 1, 40), Accumulator("w", 1, 40)
    whole.add(inputs)
    for start in range(0, 120, 7):
        parts.add(inputs[start : start + 7])
    a, b = whole.moments(), parts.moments()
    assert np.allclose(a.blocks[0], b.blocks[0], rtol=1e-4) and np.allclose(a.mean, b.mean, rtol=1e-4, atol=1e-6)
    assert np.allclose(a.blocks[0][0], inputs[:, 0].T @ inputs[:, 0] / 120, rtol=1e-4)
    blocked = Accumulator("w", 1, 40, max_inputs=16)
    blocked.add(inputs)
    sizes = [block.shape for block in blocked.moments().blocks]
    assert sizes == [(1, 13, 13), (1, 13, 13), (1, 14, 14)]
    layer = Layer(rng.standard_normal((8, 40)).astype(np.float32), blocked.moments(), False, "w")
    assert layer.rounded(Levels(np.array([-1.0, 0, 1]), np.zeros(3), 0.0)).shape == (8, 40)


def test_patches_are_what_convolutions_multiply() -> None:
    from scipy.signal import correlate

    rng = np.random.default_rng(10)
    image, kernel = rng.standard_normal((1, 3, 9, 8)), rng.standard_normal((2, 3, 3, 2))
    found = patches(image, (3, 2), stride=(2, 1), dilation=(1, 2), padding=[(1, 0), (0, 1)])
    padded = np.pad(image, [(0, 0), (0, 0), (1, 0), (0, 1)])
    spread = np.zeros((2, 3, 3, 3))
    spread[..., ::2] = kernel
    wanted = [correlate(padded[0], each, "valid")[0][::2] for each in spread]
    assert np.allclose(found[:, 0] @ kernel.reshape(2, -1).T, np.stack(wanted, -1).reshape(-1, 2))
    grouped = patches(image, (1, 1), stride=(1, 1), dilation=(1, 1), padding=[(0, 0)] * 2, groups=3)
    assert grouped.shape == (72, 3, 1) and np.array_equal(grouped[:, 1, 0], image[0, 1].reshape(-1))
    few = patches(image, (1, 1), stride=(1, 1), dilation=(1, 1), padding=[(0, 0)] * 2, most=10)
    assert few.shape == (10, 1, 3) and len(some(image.reshape(-1, 1), 10)) == 10


@pytest.mark.parametrize(
    "inputs, message",
    [
        (np.float32([[1, np.nan]]), "layer of 'w': its inputs have NaN or infinity; leave out the samples that cause "),
        (np.float32([[1, np.inf]]), "layer of 'w': its inputs have NaN or infinity; leave out the samples that cause "),
        (np.float32([[1e30, 1]]), "layer of 'w': the squares of its inputs are beyond float32; scale the samples"),
        (np.zeros((0, 2), np.float32), "inputs of 'w': there are none"),
        (np.zeros(2, np.float32), "inputs of 'w': expected shape (vectors, inputs), found (2,)"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_bad_inputs(inputs: np.ndarray, message: str) -> None:
    with pytest.raises(DczError, match=re.escape(message)):
        Calibration.of({"w": inputs})


def test_a_calibration_of_another_model() -> None:
    found = Calibration.of({"w": np.ones((3, 8), np.float32)})
    with pytest.raises(DczError, match="calibration: there is no tensor 'w'; it was made for another model"):
        dcz.compress({"v": np.ones((64, 64), np.float32)}, {"n_bits": 4}, calibration=found)
    message = "calibration of 'w': 8 inputs in 1 groups do not fit shape (64, 64), whose inputs come last"
    with pytest.raises(DczError, match=re.escape(message)):
        dcz.compress({"w": np.ones((64, 64), np.float32)}, {"n_bits": 4}, calibration=found)


def test_moments_that_no_samples_have() -> None:
    second = np.array([[1.0, 3e4], [3e4, 1.0]])
    with pytest.raises(DczError, match="calibration of 'w': its second moments are not positive semidefinite"):
        factor(second, "w")


def test_importance_for_clustering() -> None:
    rng = np.random.default_rng(11)
    weights, inputs = rng.standard_normal((8, 6, 2)).astype(np.float32), correlated(rng, 30, 12)
    found = Calibration.of({"w": inputs}).importance({"w": weights})["w"]
    assert found.shape == weights.shape and np.allclose(found[3].reshape(-1), np.square(inputs).mean(axis=0), rtol=1e-4)
    first = Calibration.of({"w": inputs}, inputs_first=True).importance({"w": weights.reshape(12, 8)})["w"]
    assert np.allclose(first[:, 5], np.square(inputs).mean(axis=0), rtol=1e-4)
    dcz.cluster({"w": weights}, n_bits=3, importance={"w": found}, names=["w"])


def test_files_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    grouped, blocked = Accumulator("c", 4, 9, bias="c.bias"), Accumulator("d", 1, 20, inputs_first=True, max_inputs=8)
    grouped.add(rng.standard_normal((30, 4, 9)))
    blocked.add(rng.standard_normal((30, 1, 20)))
    found = Calibration({"c": grouped.moments(), "d": blocked.moments()}, ("e",))
    dcz.save_calibration(found, tmp_path / "model.calibration.dcz")
    again = dcz.load_calibration(tmp_path / "model.calibration.dcz")
    assert list(again) == ["c", "d"] and again.unreached == ("e",)
    for name, moments in found.items():
        assert (again[name].count, again[name].bias) == (30, moments.bias)
        assert again[name].inputs_first == moments.inputs_first
        assert np.array_equal(again[name].mean, moments.mean)
        assert np.array_equal(again[name].shrinkage, moments.shrinkage)
        assert len(again[name].blocks) == len(moments.blocks)
        for a, b in zip(again[name].blocks, moments.blocks):
            assert np.allclose(a, b, rtol=1e-5, atol=1e-6) and np.array_equal(a, a.transpose(0, 2, 1))


LAYER = {"tensor": "w", "count": 1, "inputs_first": False, "bias": None, "blocks": [2]}
PARTS = {
    "0.mean": np.zeros((1, 2), np.float32),
    "0.shrinkage": np.zeros((1, 1), np.float32),
    "0.block.0": np.zeros((1, 3), np.float32),
}


@pytest.mark.parametrize(
    "metadata, tensors, message",
    [
        ({}, {}, "is not a calibration; dcz.save_calibration writes one"),
        ({"version": 2}, {}, "calibration: version 2, expected 1"),
        ({"version": 1}, {}, "calibration: is not whole (KeyError('layers'))"),
        ({"layers": [LAYER], "unreached": []}, {}, "calibration: is not whole (KeyError('0.mean'))"),
        ({"layers": [5], "unreached": []}, PARTS, "calibration: is not whole ("),
        ({"layers": [{**LAYER, "blocks": [3]}]}, PARTS, "calibration of 'w': means of float32 (1, 2) do not fit "),
        ({"layers": [{**LAYER, "blocks": [0, 2]}]}, PARTS, "calibration of 'w': blocks: expected their sizes, found "),
        ({"layers": [{**LAYER, "count": 0}]}, PARTS, "calibration of 'w': count 0, inputs_first False"),
        ({"layers": [{**LAYER, "bias": 7}]}, PARTS, "calibration of 'w': bias: expected a name, found 7"),
        (
            {"layers": [LAYER]},
            {**PARTS, "0.block.0": np.zeros((1, 4), np.float32)},
            "calibration of 'w': block 0: float32 (1, 4) does not fit 2 inputs",
        ),
        (
            {"layers": [LAYER]},
            {**PARTS, "0.shrinkage": np.full((1, 1), 1.5, np.float32)},
            "calibration of 'w': shrinkage is outside of 0 to 1",
        ),
        (
            {"layers": [LAYER]},
            {**PARTS, "0.shrinkage": np.zeros((2, 1), np.float32)},
            "calibration of 'w': shrinkage of float32 (2, 1) does not fit its blocks",
        ),
        (
            {"layers": [LAYER]},
            {**PARTS, "0.block.0": np.full((1, 3), np.nan, np.float32)},
            "calibration of 'w': has NaN or infinity",
        ),
    ],
)
def test_files_that_are_no_calibration(metadata: dict, tensors: dict, message: str) -> None:
    document = {"dcz.calibration": {"version": 1, **metadata}} if metadata else {}
    data = dcz.save(tensors, document)
    with pytest.raises(FormatError, match=re.escape(message)) as error:
        dcz.load_calibration(data)
    assert error.value.file == "<bytes>"
