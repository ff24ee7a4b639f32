"""A grid by channel: steps that are powers of two apart, along any dimension, in one codebook that every reader has."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import dcz
from dcz.errors import DczError

RNG = np.random.Generator(np.random.PCG64(31))
SCALES = (2.0 ** RNG.integers(-3, 4, 48)).astype("f4")
W = RNG.laplace(size=(48, 96)).astype("f4") * SCALES[:, None]
CHANNELS = {"step": 0.2, "granularity": "per_channel"}


def errors(w: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Relative error of each row."""
    return np.sqrt(np.square(found - w).sum(axis=1) / np.square(w).sum(axis=1))


def test_each_channel_has_the_same_relative_error() -> None:
    plain = dcz.cluster({"w": W}, step=0.2).tensors["w"]
    found = dcz.cluster({"w": W}, **CHANNELS)
    small = found.tensors["w"]
    assert errors(W, plain).max() > 0.5 and errors(W, small).max() < 0.12
    assert (found.clusters["w"].array() == small).all() and np.unique(small).size == found.clusters["w"].k
    size = len(dcz.save({"w": small}))
    fine = dcz.cluster({"w": W}, step=0.01).tensors["w"]  # one step for all that does as well by the smallest channels
    assert errors(W, fine).max() > 0.7 * errors(W, small).max() and size < 0.75 * len(dcz.save({"w": fine}))


def test_values_are_multiples_of_one_unit() -> None:
    """Shifted by powers of two: that is why channels share them."""
    found = np.unique(dcz.cluster({"w": W}, **CHANNELS).tensors["w"])
    unit = np.abs(found[found != 0]).min().astype("f8")
    assert (found / unit == np.rint(found / unit)).all() and len(found) < 150


@pytest.mark.parametrize("axis", [1, -1])
def test_channels_of_the_last_dimension(axis: int) -> None:
    """As Keras, TensorFlow and Flax have them: the same as the first one of the transposed tensor."""
    first = dcz.cluster({"w": W}, **CHANNELS).tensors["w"]
    last = dcz.cluster({"w": np.ascontiguousarray(W.T)}, axis=axis, **CHANNELS).tensors["w"]
    assert (first == last.T).all()
    assert dcz.compress({"w": W.T.copy()}, {**CHANNELS, "axis": axis})["w"].tobytes() == last.tobytes()


def test_zeros_stay_and_empty_channels_are_nothing_special() -> None:
    w = W.copy()
    w[3], w[:, ::3] = 0, 0
    w[5, 5] = -0.0
    small = dcz.cluster({"w": w}, **CHANNELS).tensors["w"]
    assert not small[w == 0].any() and not np.signbit(small[w == 0]).any() and small[4].any()


@pytest.mark.parametrize("dtype", ["f8", "f2", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_dtypes(dtype: object) -> None:
    w = W.astype(dtype)
    small = dcz.cluster({"w": w}, rescale=True, **CHANNELS).tensors["w"]
    assert small.dtype == w.dtype and np.isfinite(small.astype("f8")).all()
    assert errors(w.astype("f8"), small.astype("f8")).max() < 0.15


def test_what_counts_more_is_counted() -> None:
    counts = RNG.random(W.shape)
    found = dcz.cluster({"w": W}, importance={"w": counts}, **CHANNELS).clusters["w"]
    assert found.wcss == pytest.approx((np.square(W.astype("f8") - found.array()) * counts).sum())
    assert found.bits > 2 and found.converged and found.rel_error < 0.12


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"n_bits": 3, "granularity": "per_channel"}, "per_channel takes a step, in units of each channel's"),
        ({"step_absolute": 0.1, "granularity": "per_channel"}, "per_channel takes a step"),
        ({"step": 0.1, "axis": 1}, "axis: goes with granularity per_channel"),
        ({**CHANNELS, "axis": 2}, "tensor 'w': shape .* has no channels along axis 2"),
        ({**CHANNELS, "group_size": 2}, "group_size: goes with granularity per_grouped_channel"),
        ({**CHANNELS, "codebook_dtype": "float16"}, "does not go with granularity per_channel"),
        ({**CHANNELS, "step": 1e-6}, "tensor 'w': .* more than 65536"),
    ],
)
def test_what_makes_no_sense(keys: dict, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.cluster({"w": W}, **keys)


@pytest.mark.parametrize("axis, better", [(-1, 0.6), (0, 1 + 1e-5)])
def test_channels_of_layouts_with_outputs_last(axis: int, better: float) -> None:
    """Steps of outputs are rounded with feedback; those of inputs plainly, as no level suits a whole output."""
    rng = np.random.default_rng(7)
    scales = np.exp(2 * rng.standard_normal(48)).astype(np.float32)
    weights, inputs = (
        rng.laplace(size=(96, 48)).astype(np.float32) * scales,
        rng.standard_normal((400, 24)) @ rng.standard_normal((24, 96)),
    )
    found = dcz.Calibration.of({"w": inputs.astype(np.float32)}, inputs_first=True)
    recipe = {"step": 0.4, "granularity": "per_channel", "axis": axis}
    files = [dcz.compress({"w": weights}, recipe, calibration=each) for each in (found, None)]
    changes = [float(np.square(inputs @ (weights - each["w"])).mean()) for each in files]
    assert changes[0] <= better * changes[1]
    assert len(dcz.save(files[0])) < 1.06 * len(dcz.save(files[1]))
