"""Plans for several sizes share what is measured, and say where a score is not to be trusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from dcz.planning import Plans

RNG = np.random.Generator(np.random.PCG64(7))
SHAPES = {"first": (64, 48), "second": (64, 64), "third": (48, 64)}
TENSORS = {name: (RNG.standard_t(4, shape) / 8).astype("f4") for name, shape in SHAPES.items()}
TENSORS["bias"] = RNG.standard_normal(64).astype("f4")
STEPS = [0.05, 0.1, 0.2, 0.4, 0.8]

Tensors = dict[str, np.ndarray]


def outputs(tensors: Tensors, seed: int) -> np.ndarray:
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal((32, 48))
    x = np.maximum(x @ tensors["first"].T + tensors["bias"], 0)
    return np.maximum(x @ tensors["second"].T, 0) @ tensors["third"].T


def fidelity(seed: int) -> Callable[[Tensors], float]:
    wanted = outputs(TENSORS, seed).ravel()

    def score(tensors: Tensors) -> float:
        got = outputs(tensors, seed).ravel()
        return float(got @ wanted / max(np.linalg.norm(got) * np.linalg.norm(wanted), 1e-30))

    return score


class Counted:
    def __init__(self, score: Callable[[Tensors], float]) -> None:
        self.score, self.calls = score, 0

    def __call__(self, tensors: Tensors) -> float:
        self.calls += 1
        return self.score(tensors)


def test_several_sizes_cost_what_one_costs() -> None:
    """Tensors are measured once, alone; each further size takes the scores of its candidates."""
    one, three, measured = Counted(fidelity(1)), Counted(fidelity(1)), []
    single = dcz.plan(TENSORS, target_ratio=6, evaluate=one, steps=STEPS)
    plans = dcz.plan(
        TENSORS,
        target_ratio=[6, 4, 8],
        evaluate=three,
        steps=STEPS,
        progress=lambda done, of: measured.append((done, of)),
    )
    assert isinstance(plans, Plans) and measured == [(1, 3), (2, 3), (3, 3)]
    assert plans[1].recipe == single.recipe and plans[1].score == single.score
    assert [plan.ratio >= ratio for plan, ratio in zip(plans, (4, 6, 8))] == [True] * 3
    assert plans[0].score > plans[1].score > plans[2].score
    candidates = one.calls - 1 - 3 * 4  # beside the baseline, and four readings of each tensor
    assert 0 < candidates <= 7 and three.calls <= one.calls + 2 * 7
    sizes = dcz.plan(TENSORS, target_bytes=[plans[2].file_bytes, plans[0].file_bytes], steps=STEPS)
    assert [plan.file_bytes <= most.file_bytes for plan, most in zip(sizes, (plans[0], plans[2]))] == [True] * 2


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_without_a_score_it_is_never_above_one_step_for_all(step: float) -> None:
    """By the error that it predicts, the sum of squared relative errors, at the bytes of one absolute step."""
    scales = {"first": 0.05, "second": 1.0, "third": 0.2}
    tensors = {name: (TENSORS[name] * scale).astype("f4") for name, scale in scales.items()}
    same = dcz.compress(tensors, {"step_absolute": step * 0.05})
    planned = dcz.plan(tensors, target_bytes=int(len(dcz.save(same)) * 1.02))
    predicted = sum(row.rel_error**2 for row in planned.tensors)
    assert predicted <= sum(report.rel_error**2 for report in same.reports.values())


def test_other_samples_judge_the_plan() -> None:
    planned = dcz.plan(TENSORS, target_ratio=6, evaluate=fidelity(1), validate=fidelity(2), steps=STEPS)
    small = dcz.compress(TENSORS, planned.recipe)
    assert planned.score == fidelity(1)(small) and planned.validated == fidelity(2)(small) and not planned.warnings

    def worse(tensors: Tensors) -> float:
        return 1 - 3 * (1 - fidelity(1)(tensors))

    hopeful = dcz.plan(TENSORS, target_ratio=6, evaluate=fidelity(1), validate=worse, steps=STEPS)
    assert hopeful.recipe == planned.recipe
    (warning,) = hopeful.warnings
    assert warning.startswith("the score is too hopeful: it drops by") and "validate" in warning


def test_a_plan_says_where_outputs_fall_apart() -> None:
    """Each tensor alone loses next to nothing, all of them together everything."""

    def brittle(tensors: Tensors) -> float:
        changed = sum(not np.array_equal(tensors[name], TENSORS[name]) for name in SHAPES)
        return 1 - (0.001, 0.002, 0.5, 0.9)[changed]

    plans = dcz.plan(TENSORS, target_ratio=[1.01, 6], evaluate=brittle, steps=STEPS)
    assert not plans[0].warnings and plans.recommended is plans[0]
    assert any(warning.startswith("outputs fall apart: the score drops by 0.899") for warning in plans[1].warnings)


def test_a_score_that_is_not_monotone() -> None:
    def odd(tensors: Tensors) -> float:
        error = sum(float(np.square(tensors[name] - TENSORS[name]).sum()) for name in SHAPES)
        return 1 - error / 1000 + (0.3 if error > 3 else 0)

    plans = dcz.plan(TENSORS, target_ratio=[4, 12], evaluate=odd, steps=STEPS)
    assert "evaluate is not monotone" in " ".join(plans[1].warnings)


@pytest.mark.parametrize(
    "score, message",
    [
        (lambda tensors: float("nan"), "evaluate: expected a finite number, found nan"),
        (lambda tensors: -np.inf, "evaluate: expected a finite number, found -inf"),
        (lambda tensors: None, "evaluate: expected a number, found NoneType"),
    ],
)
def test_scores_that_say_nothing(score: Callable[[Tensors], float], message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.plan(TENSORS, target_ratio=4, evaluate=score, steps=STEPS)
    with pytest.raises(DczError, match=message):
        dcz.sensitivity(TENSORS, score, n_bits=[2], densities=[0.5])


def test_codebooks_are_rescaled_where_that_scores_better() -> None:
    def signal(tensors: Tensors) -> float:
        """How much of the weights is left in the direction of the weights."""
        parts = [float((tensors[n] * TENSORS[n]).sum() / np.square(TENSORS[n]).sum()) for n in SHAPES]
        return -max(abs(part - 1) for part in parts)

    for score, rescaled in ((signal, True), (lambda tensors: -squared(tensors), False)):
        recipe = dcz.plan(TENSORS, target_ratio=10, evaluate=score, steps=STEPS).recipe
        assert [recipe["tensors"][name].get("rescale", False) for name in SHAPES] == [rescaled] * 3


def squared(tensors: Tensors) -> float:
    return sum(float(np.square(tensors[name] - TENSORS[name]).sum()) for name in SHAPES)


def test_a_drop_is_spent() -> None:
    planned = dcz.plan(TENSORS, max_drop=0.02, evaluate=fidelity(1))
    assert 0.9 * 0.02 < planned.baseline - planned.score <= 0.02
    with pytest.raises(DczError, match="validate: needs evaluate"):
        dcz.plan(TENSORS, target_ratio=4, validate=fidelity(1))
    with pytest.raises(DczError, match="target_ratio: give at least one"):
        dcz.plan(TENSORS, target_ratio=[])


def test_small_tensors_are_measured_too() -> None:
    """Biases are half a file of this size: in bfloat16 they leave room for finer steps, unless they matter."""
    tensors = {**TENSORS, "bias": RNG.standard_normal(2000).astype("f4"), "scale": np.ones(3, "f4")}

    def weights(found: Tensors) -> float:
        return -squared(found)

    def biases(found: Tensors) -> float:
        return weights(found) - 1e6 * float(np.abs(found["bias"] - tensors["bias"]).max())

    keys = {"n_bits": 16, "codebook_dtype": "bfloat16"}
    for score, expected in ((weights, keys), (biases, None)):
        planned = dcz.plan(tensors, target_ratio=4, evaluate=score, steps=STEPS)
        assert planned.ratio >= 4 and planned.recipe["tensors"].get("bias") == expected
        assert "scale" not in planned.recipe["tensors"]
    blind = dcz.plan(tensors, target_ratio=3, steps=STEPS)
    assert "bias" not in blind.recipe["tensors"]


def test_channels_of_their_own_steps_where_that_scores_better() -> None:
    scales = (2.0 ** RNG.integers(-4, 5, 64)).astype("f4")

    def relative(axis: int) -> Callable[[Tensors], float]:
        def score(found: Tensors) -> float:
            moved = np.moveaxis(found["w"] - tensors["w"], axis, 0)
            return -float(np.square(moved.T / scales).mean())

        return score

    for axis in (0, -1):
        tensors = {"w": np.moveaxis(RNG.standard_normal((64, 80)).astype("f4") * scales[:, None], 0, axis).copy()}
        keys = dcz.plan(tensors, target_ratio=5, evaluate=relative(axis)).recipe["tensors"]["w"]
        assert (keys["granularity"], keys["axis"]) == ("per_channel", axis)


def test_a_list_keeps_what_can_be_made() -> None:
    plans = dcz.plan(TENSORS, target_ratio=[5, 1000], steps=STEPS)
    assert len(plans) == 1 and plans[0].ratio >= 5
    assert "cannot be made; the smallest plan takes" in plans[0].warnings[0]
    with pytest.raises(DczError, match="cannot be made"):
        dcz.plan(TENSORS, target_ratio=[900, 1000], steps=STEPS)
