"""Plans by the second moments of layers' inputs: what counts are outputs."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from dcz.lossy.moments import Accumulator, Calibration
from dcz.planning.layers import Layers
from dcz.planning.made import Maker, arrays
from dcz.planning.points import Tries, curve

RNG = np.random.default_rng(0)


def inputs(size: int, vectors: int = 600) -> np.ndarray:
    """Inputs that depend on a few factors, with means that are not zero."""
    mixing = RNG.standard_normal((size // 4, size)) * np.exp(RNG.standard_normal(size))
    found = RNG.standard_normal((vectors, size // 4)) @ mixing + 0.1 * RNG.standard_normal((vectors, size))
    return (found + RNG.random(size)).astype(np.float32)


FIRST, SECOND = inputs(96), inputs(120)
TENSORS = {
    "a.weight": RNG.laplace(size=(80, 96)).astype(np.float32),
    "a.bias": RNG.standard_normal(80).astype(np.float32),
    "b.weight": RNG.laplace(size=(120, 64)).astype(np.float32),
    "table": RNG.laplace(size=(70, 90)).astype(np.float32),
}


def moments() -> Calibration:
    first, second = Accumulator("a.weight", 1, 96, bias="a.bias"), Accumulator("b.weight", 1, 120, inputs_first=True)
    first.add(FIRST[:, None])
    second.add(SECOND[:, None])
    return Calibration({"a.weight": first.moments(), "b.weight": second.moments()}, ("table",))


FOUND = moments()


def change(small: dict[str, np.ndarray]) -> float:
    """Squared and relative, summed over both layers and the table, computed from the samples themselves."""
    wanted = FIRST @ TENSORS["a.weight"].T + TENSORS["a.bias"], SECOND @ TENSORS["b.weight"], TENSORS["table"]
    got = FIRST @ small["a.weight"].T + small["a.bias"], SECOND @ small["b.weight"], small["table"]
    return sum(float(np.square(a - b).mean() / np.square(a).mean()) for a, b in zip(wanted, got))


def test_outputs_change_less_at_the_same_size() -> None:
    plain = dcz.plan(TENSORS, target_ratio=9)
    planned = dcz.plan(TENSORS, target_ratio=9, calibration=FOUND)
    small = dcz.compress(TENSORS, planned.recipe, calibration=FOUND)
    assert planned.ratio >= 9 and len(dcz.save(small)) == planned.file_bytes
    assert change(small) < 0.5 * change(dcz.compress(TENSORS, plain.recipe))
    # The steps themselves are better ones, not only the feedback.
    assert change(small) < change(dcz.compress(TENSORS, plain.recipe, calibration=FOUND))
    assert not np.array_equal(small["a.bias"], TENSORS["a.bias"])
    errors = {tensor.name: tensor.output_error for tensor in planned.tensors}
    assert errors == {name: report.output_error for name, report in small.reports.items()}
    assert errors["table"] is None and planned.output_error == max(errors["a.weight"], errors["b.weight"])


def test_the_recipe_asks_for_the_calibration(tmp_path) -> None:
    planned = dcz.plan(TENSORS, target_ratio=6, calibration=FOUND)
    assert planned.recipe["calibration"] is True
    planned.save(tmp_path / "recipe.toml")
    message = "recipe: calibration: it was made for tensors rounded by one, and is worse without; give it"
    for recipe in (planned.recipe, str(tmp_path / "recipe.toml")):
        with pytest.raises(DczError, match=message):
            dcz.compress(TENSORS, recipe)
    again = dcz.compress(TENSORS, str(tmp_path / "recipe.toml"), calibration=FOUND)
    assert len(dcz.save(again)) == planned.file_bytes
    with pytest.raises(DczError, match=message):
        dcz.plan(TENSORS, target_ratio=6, recipe={"calibration": True, "weight_threshold": 9})
    assert "calibration" not in dcz.plan(TENSORS, target_ratio=6).recipe


@pytest.mark.parametrize(
    "recipe, message",
    [
        ({"calibration": "moments.dcz", "step": 1}, "recipe: calibration: expected true or false, found 'moments.dcz'"),
        ({"calibration": True}, "recipe: is empty"),
        (
            {"step": 1, "tensors": {"a*": {"calibration": True}}},
            "'a*': calibration: is for the whole recipe; put it",
        ),
    ],
)
def test_keys_that_are_wrong(recipe: dict[str, object], message: str) -> None:
    with pytest.raises(DczError, match=re.escape(message)):
        dcz.compress(TENSORS, recipe, calibration=FOUND)


def test_several_targets_an_error_and_k_means() -> None:
    plans = dcz.plan(TENSORS, target_ratio=[5, 8], calibration=FOUND)
    assert [plan.ratio >= target for plan, target in zip(plans, (5, 8))] == [True, True]
    planned = dcz.plan(TENSORS, max_rel_error=0.05, calibration=FOUND)
    # Interpolated from some outputs of a layer: near the error that is asked for.
    assert planned.output_error is not None and planned.output_error < 0.06
    assert planned.file_bytes < dcz.plan(TENSORS, max_rel_error=0.05).file_bytes
    bits = dcz.plan(TENSORS, target_ratio=7, calibration=FOUND, n_bits=[2, 3, 4], densities=[1.0, 0.5])
    assert bits.ratio >= 7 and bits.output_error


def test_a_score_sees_the_biases_that_were_corrected() -> None:
    seen = []

    def score(tensors) -> float:
        seen.append(not np.array_equal(tensors["a.bias"], TENSORS["a.bias"]))
        return 1 - change(tensors)

    planned = dcz.plan(TENSORS, max_drop=0.01, calibration=FOUND, evaluate=score, steps=[0.1, 0.4, 1.0])
    small = dcz.compress(TENSORS, planned.recipe, calibration=FOUND)
    assert any(seen) and planned.score == 1 - change(small) > 0.99 and len(dcz.save(small)) == planned.file_bytes


def test_what_is_planned_without_data_is_said() -> None:
    planned = dcz.plan(TENSORS, target_ratio=6, calibration=FOUND)
    assert planned.remarks == (
        "29% of the weights are rounded without data, as their inputs are unknown (1 layer of them no sample reached): "
        "table",
    )
    assert planned.remarks[0] in planned._repr_html_() and not planned.warnings
    assert not dcz.plan({"a.weight": TENSORS["a.weight"]}, target_ratio=6).remarks


def test_inputs_of_zeros_say_nothing() -> None:
    """A layer that samples reach with zeros is weighed by its weights: to other samples it may matter."""
    weights = {"w": TENSORS["a.weight"]}
    found = Calibration.of({"w": np.zeros((5, 96), np.float32)})
    planned = dcz.plan(weights, target_ratio=6, calibration=found)
    assert planned.recipe["tensors"] == dcz.plan(weights, target_ratio=6).recipe["tensors"]


def test_samples_that_are_one_vector() -> None:
    """Moments of rank one: a plan is made, and what it says of outputs is so."""
    weights = {"w": TENSORS["a.weight"]}
    found = Calibration.of({"w": FIRST[:1]})
    planned = dcz.plan(weights, target_ratio=7, calibration=found)
    small = dcz.compress(weights, planned.recipe, calibration=found)["w"]
    wanted = FIRST[0] @ weights["w"].T
    error = float(np.linalg.norm(FIRST[0] @ small.T - wanted) / np.linalg.norm(wanted))
    assert planned.ratio >= 7 and error == pytest.approx(planned.output_error, rel=1e-3) and error < 0.2


@pytest.mark.parametrize("where, message", [
    ("a.weight", "tensor 'a.weight': has NaN or infinity, which cannot be pruned or clustered; repair the weights"),
    ("samples", "layer of 'a.weight': its inputs have NaN or infinity; leave out the samples that cause"),
])  # fmt: skip
def test_what_is_not_finite(where: str, message: str) -> None:
    bad = {name: array.copy() for name, array in {**TENSORS, "samples": FIRST}.items()}
    bad[where][3, 4] = np.nan
    with pytest.raises(DczError, match=re.escape(message)):
        found = Calibration.of({"a.weight": bad.pop("samples")})
        dcz.plan(bad, target_ratio=6, calibration=found)


@pytest.mark.parametrize("groups", [1, 4])
def test_errors_at_points_are_those_of_the_whole_layer(groups: int) -> None:
    accumulator = Accumulator("w", groups, 96 // groups, bias="b")
    accumulator.add(FIRST.reshape(-1, groups, 96 // groups))
    found = Calibration({"w": accumulator.moments()})
    array = RNG.laplace(size=(900, 96 // groups)).astype(np.float32)
    tensors = {"w": array, "b": np.zeros(900, np.float32)}
    points = curve("w", array, Tries.of(), {}, "auto")
    measured = Layers(found, {}).measured(["w"], array, points)
    assert measured[0].error == 0 and len(measured) == len(points)
    for point in measured[3::6]:
        whole = dcz.compress(tensors, point.keys, calibration=found).reports["w"]
        assert point.error == pytest.approx(whole.output_error, rel=0.1)


def test_a_calibration_of_another_model() -> None:
    with pytest.raises(DczError, match="calibration: there is no tensor 'b.weight'; it was made for another model"):
        dcz.plan({"a.weight": TENSORS["a.weight"]}, target_ratio=6, calibration=FOUND)
    with pytest.raises(DczError, match=re.escape("its bias 'a.bias' of shape (3,) does not fit 80 outputs")):
        dcz.plan({**TENSORS, "a.bias": np.zeros(3, np.float32)}, target_ratio=6, calibration=FOUND)


def test_a_bias_is_as_it_was_once_its_layer_is() -> None:
    """What is made again and again keeps what it made, but never a shift of an earlier recipe."""
    maker = Maker(TENSORS, "auto", False, FOUND)
    for recipe in (
        {"step": 0.5},
        {"step": 0.5, "tensors": {"a.weight": {"leave": True}}},
        {"step": 1.0},
        {"step": 0.5},
    ):
        made = arrays(maker.make(recipe))
        wanted = dcz.compress(TENSORS, recipe, calibration=FOUND)
        assert all(np.array_equal(made[name], wanted[name]) for name in TENSORS)
