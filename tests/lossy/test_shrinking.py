"""The search for the smallest file that keeps a score, on a linear model whose score is known."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from dcz.planning.outputs import METRICS, alike, changed, check_outputs, split
from dcz.planning.shrinking import Shrunk, shrink

RNG = np.random.default_rng(0)
TENSORS = {
    "large": RNG.laplace(size=(64, 64)).astype(np.float32),
    "weak": 0.01 * RNG.laplace(size=(64, 64)).astype(np.float32),
    "bias": RNG.standard_normal(64).astype(np.float32),
}


def loss(tensors: Mapping[str, np.ndarray]) -> float:
    """Of a model that adds its tensors up: what is small hardly matters."""
    return sum(float(np.square(tensors[name] - TENSORS[name]).mean()) for name in TENSORS)


def score(tensors: Mapping[str, np.ndarray]) -> float:
    return 2.0 / (1 + loss(tensors))


def found(keep: float, **changes: object) -> Shrunk:
    judges = {"searched": score, "held_out": score, "change": loss, "calibration": None, **changes}
    return shrink(TENSORS, keep=keep, **judges)  # type: ignore[arg-type]


def test_it_finds_the_smallest_that_keeps_the_score() -> None:
    small = found(0.99)
    assert small.kept >= 0.99 and score(small.tensors) == 2 * small.kept
    assert len(dcz.save(small.tensors)) == small.chosen.nbytes
    assert 0 < np.abs(small.tensors["bias"] - TENSORS["bias"]).max() < 2**-7  # bfloat16
    again = dcz.compress(TENSORS, small.recipe)
    assert all(np.array_equal(again[name], small.tensors[name]) for name in TENSORS)
    # What hardly matters is rounded most, and the one after it is too small.
    steps = small.recipe["tensors"]
    assert steps["weak"]["step"] == 3.0 > 5 * steps["large"]["step"]  # type: ignore[index]
    missed = [each for each in small.curve if each.score < 0.99]
    assert missed and max(each.nbytes for each in missed) < 1.1 * small.chosen.nbytes
    assert found(0.999).chosen.nbytes > small.chosen.nbytes > found(0.95).chosen.nbytes
    assert small.remarks == ("no layer's inputs could be measured: all tensors are rounded without data",)


def test_biases_that_matter_stay_as_they_are() -> None:
    """Where bfloat16 takes a noticeable part of what may be lost."""

    def sensitive(tensors: Mapping[str, np.ndarray]) -> float:
        return score(tensors) - 50 * float(np.abs(tensors["bias"] - TENSORS["bias"]).max())

    assert np.array_equal(found(0.99, searched=sensitive).tensors["bias"], TENSORS["bias"])
    assert np.array_equal(found(0.99, names=["large", "weak"]).tensors["bias"], TENSORS["bias"])


def test_samples_held_out_decide() -> None:
    def strict(tensors: Mapping[str, np.ndarray]) -> float:
        return 1 / (1 + 3 * loss(tensors))

    small = found(0.99, held_out=strict)
    assert small.kept == strict(small.tensors) >= 0.99
    assert small.chosen.score > 0.99 and "not on those held out" in small.remarks[0]


def test_a_score_that_goes_up_and_down() -> None:
    def steep(tensors: Mapping[str, np.ndarray]) -> float:
        each = loss(tensors)
        return 1.0 if each < 1e-3 or each > 0.01 else 0.985

    small = found(0.99, searched=steep)
    assert small.chosen.score == 1 and loss(small.tensors) < 1e-3
    assert any("score is not monotone: 1.00000 at " in remark for remark in small.remarks)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"held_out": lambda t: 1.0 if t is TENSORS else 0.5}, "keep: 0.9 of score is out of reach: the finest of "),
        ({"searched": lambda t: 1.0 if t is TENSORS else 0.5}, "has 0.50000 on the samples searched; ask for less"),
        ({"searched": lambda t: 0.0}, "score of the model itself: expected a positive number, found 0"),
        ({"held_out": lambda t: -1.0}, "score of the model itself on held-out samples: expected a positive number"),
        ({"searched": lambda t: math.nan}, "score of the model itself: expected a positive number, found nan"),
        ({"searched": lambda t: "good"}, "score of the model itself: expected a number, found str"),
        ({"change": lambda t: math.inf}, "change of the outputs: expected a finite number, found inf"),
        ({"names": ["bigger"]}, "names: 'bigger' matches none of the 3 tensors; near it: "),
        ({"keep": 0}, "keep: expected a number in (0, 1], found 0"),
    ],
)
def test_what_cannot_be_done(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DczError, match=re.escape(message)):
        found(**{"keep": 0.9, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite(value: float) -> None:
    bad = {**TENSORS, "weak": TENSORS["weak"].copy()}
    bad["weak"][3, 4] = value
    with pytest.raises(
        DczError, match="tensor 'weak': has NaN or infinity, which cannot be pruned or clustered; repair"
    ):
        shrink(bad, None, keep=0.9, searched=lambda t: 1.0, held_out=lambda t: 1.0, change=lambda t: 0.0)


def test_nothing_to_round() -> None:
    with pytest.raises(DczError, match="tensors: none is large enough to be rounded, or none is of floats"):
        shrink({"b": TENSORS["bias"]}, None, keep=0.9, searched=score, held_out=score, change=loss)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_are_1_for_what_stays(metric: str) -> None:
    outputs = [[RNG.standard_normal((2, 5)), np.float64(3)], [RNG.standard_normal((2, 5)), np.float64(4)]]
    assert math.isclose(alike(metric, outputs, outputs), 1) and changed(outputs, outputs) == 0
    others = [[array + 1e3 * RNG.standard_normal(array.shape) for array in sample] for sample in outputs]
    assert alike(metric, outputs, others) < 0.95 and changed(outputs, others) > 1


def test_metrics_by_hand() -> None:
    a, b = np.float32([[1, 2], [3, 4]]), np.float32([[2, 1], [3, 4]])
    assert METRICS["top1"](a, b) == 0.5
    assert math.isclose(METRICS["cosine"](a, b), 29 / 30) and math.isclose(METRICS["correlation"](a, b), 0.8)
    assert math.isclose(changed([[a]], [[b]]), 2 / 30)


def test_samples_are_split_in_three() -> None:
    for count in (3, 4, 10, 128):
        parts = split(count, 0.25)
        assert sorted(sum(parts, [])) == list(range(count)) and all(parts)
    assert str(split(128, 0.25)) == "64 to measure the inputs of layers, 32 to search on, 32 held out to verify"
    with pytest.raises(DczError, match="samples: found 2; at least 3 are needed"):
        split(2, 0.25)


@pytest.mark.parametrize(
    "outputs, message",
    [
        ([], "model: has no output of floats to compare"),
        ([[]], "model: has no output of floats to compare"),
        ([[np.float32([np.nan])]], "model: its outputs have NaN or infinity as it is; leave out the samples of these"),
    ],
)
def test_outputs_that_say_nothing(outputs: list, message: str) -> None:
    with pytest.raises(DczError, match=message):
        check_outputs(outputs)
