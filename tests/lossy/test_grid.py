"""A grid with rounding by rate: the smallest file for its error, without a number of clusters."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from dcz.lossy.clusters import Clusters
from dcz.lossy.rate import mean_bits

RNG = np.random.Generator(np.random.PCG64(29))
W = RNG.laplace(size=(256, 512)).astype("f4")
RMS = float(np.sqrt(np.square(W.astype("f8")).mean()))


def clusters(w: np.ndarray, **keys: object) -> Clusters:
    return dcz.cluster({"w": w}, **keys).clusters["w"]  # type: ignore[arg-type]


def plain_grid(w: np.ndarray, step: float) -> tuple[float, float]:
    """Bits of a weight and squared error of rounding to the nearest multiple, as numpy does it."""
    levels = np.round(w.astype("f8") / step)
    counts = np.unique(levels, return_counts=True)[1]
    return mean_bits(counts.astype("f8")), float(np.square(w - levels * step).sum())


@pytest.mark.parametrize("scale", [1.0, 0.3, 0.1])
def test_it_beats_the_nearest_multiple_and_k_means(scale: float) -> None:
    """At the bits that it takes, the others have a larger error."""
    found = clusters(W, step=scale)
    steps = np.geomspace(0.05, 3, 40) * RMS
    plain = np.array([plain_grid(W, step) for step in steps])
    assert found.wcss < np.interp(found.bits, plain[::-1, 0], plain[::-1, 1])
    means = np.array([(c.bits, c.wcss) for c in (clusters(W, n_bits=bits, init="optimal") for bits in range(1, 8))])
    assert found.wcss < np.exp(np.interp(found.bits, means[:, 0], np.log(means[:, 1])))


@pytest.mark.parametrize("price", [0.1, 0.01, 0.001])
def test_a_lambda_is_a_step(price: float) -> None:
    """`entropy` with enough clusters starts from the grid of its lambda and ends where that ends."""
    by_price = clusters(W, n_bits=10, entropy=price)
    by_step = clusters(W, step=(price * 6 / np.log(2)) ** 0.5)
    assert by_price.wcss == pytest.approx(by_step.wcss, rel=1e-6) and by_price.bits == pytest.approx(by_step.bits)


def test_zero_is_a_level_and_stays_where_it_is() -> None:
    skewed = (W + 0.05).astype("f4")  # its zero cell has a mean beside zero
    found = clusters(skewed, step=0.5)
    assert 0.0 in found.codebook and found.zeroed > 0
    w = W.copy()
    w[::2] = 0
    assert not clusters(w, step=0.3).array()[::2].any()


def test_a_step_is_relative_to_the_weights_that_are_not_zero() -> None:
    scaled = clusters(W * np.float32(8), step=0.3)
    same, absolute = clusters(W, step=0.3), clusters(W, step_absolute=0.3 * RMS)
    assert scaled.k == same.k and np.array_equal(scaled.codebook, same.codebook * 8)
    assert absolute.k == same.k and np.allclose(absolute.codebook, same.codebook, rtol=1e-5)
    sparse = np.where(RNG.random(W.shape) < 0.1, W, np.float32(0))
    assert clusters(sparse, step=0.3).k == pytest.approx(same.k, abs=12)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_every_float(dtype: str) -> None:
    w = W[:64, :64].astype(getattr(ml_dtypes, dtype, None) or dtype)
    before = w.copy()
    found = dcz.cluster({"w": w}, step=0.25)
    assert found.tensors["w"].dtype == w.dtype and np.array_equal(w.view("u1"), before.view("u1"))
    assert 0 < found.clusters["w"].rel_error < 0.12
    assert np.array_equal(dcz.load(dcz.save(found.tensors))["w"].view("u1"), found.tensors["w"].view("u1"))


def test_a_group_has_a_step_of_its_own() -> None:
    w = np.concatenate([W[:8], W[8:16] * np.float32(1000)])
    found = dcz.cluster({"w": w}, step=0.3, granularity="per_grouped_channel", group_size=8).tensors["w"]
    for part in (slice(0, 8), slice(8, 16)):
        assert np.linalg.norm(found[part] - w[part]) / np.linalg.norm(w[part]) < 0.12


def test_the_bits_are_what_the_file_takes() -> None:
    for step in (0.1, 0.4, 2.0):
        found = dcz.cluster({"w": W}, step=step)
        stored = dcz.open(dcz.save(found.tensors)).info("w").stored
        assert 8 * stored <= found.clusters["w"].bits * W.size * 1.015


@pytest.mark.parametrize("keys", [{"step": 0.3}, {"n_bits": 8, "entropy": 0.01}])
def test_weights_whose_squares_are_beyond_float64(keys: dict[str, object]) -> None:
    with pytest.raises(DczError, match="tensor 'w': the step for weights from .* is beyond float64"):
        dcz.cluster({"w": W.astype("f8") * 1e200}, **keys)  # type: ignore[arg-type]


def test_recipes_say_it() -> None:
    recipe = {"method": "grid", "step": 0.3, "tensors": {"head": {"n_bits": 3}, "tail": {"step_absolute": 0.01}}}
    found = dcz.compress({"body": W, "head": W[:64].copy(), "tail": W[64:].copy()}, recipe)
    assert found.reports["head"].clusters == 8
    assert found.reports["body"].clusters == clusters(W, step=0.3).k
    assert found.reports["tail"].clusters == clusters(W[64:], step_absolute=0.01).k


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"step": 0.3, "n_bits": 4}, "one of n_bits, n_clusters, step and step_absolute, found n_bits and step"),
        ({"step": 0.0}, "step: "),
        ({"step": float("nan")}, "step: "),
        ({"step_absolute": -1.0}, "step_absolute: "),
        ({"method": "grid", "n_bits": 4}, "method: grid takes step or step_absolute, found n_bits"),
        ({"method": "kmeans", "step": 0.3}, "method: kmeans takes n_bits or n_clusters, found step"),
        ({"method": "grid"}, "found none"),
        ({"method": "mesh", "step": 0.3}, "method: "),
        ({"step_absolute": 1e-7}, "tensor 'w': .* more than 65536 levels of step 1e-07; choose a larger step"),
    ],
)
def test_what_makes_no_sense(keys: dict[str, object], message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz.cluster({"w": W}, **keys)  # type: ignore[arg-type]
    with pytest.raises(DczError, match=message):
        dcz.compress({"w": W}, keys)
