"""Clustering is k-means: against scikit-learn, by definition, and whatever the initialisation, dtype or grouping."""

from __future__ import annotations

import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz
from dcz.lossy.config import INIT_NAMES

RNG = np.random.Generator(np.random.PCG64(2))


def weights(shape: tuple[int, ...] = (100, 200), density: float = 0.3, dtype: object = "f4") -> np.ndarray:
    w = RNG.laplace(size=shape)
    w[RNG.random(shape) >= density] = 0
    return w.astype(dtype)


def squares(w: np.ndarray, values: np.ndarray) -> float:
    return float(np.square(w.astype("f8") - values.astype("f8")).sum())


@pytest.mark.parametrize("init", INIT_NAMES)
@pytest.mark.parametrize("bits", [1, 3, 5, 8])
def test_every_weight_has_its_nearest_value_and_values_are_means(init: str, bits: int) -> None:
    w = weights()
    before = w.tobytes()
    found = dcz.cluster({"w": w}, n_bits=bits, init=init, seed=3)
    c, out = found.clusters["w"], found.tensors["w"]
    assert w.tobytes() == before and out.dtype == w.dtype and c.converged
    assert c.codebook.shape == (1, 2**bits) and ((out == 0) == (w == 0)).all() and (c.mask == (w != 0)).all()
    values, nonzero = c.codebook[0].astype("f8"), w[w != 0].astype("f8")
    assert (np.diff(values) > 0).all() and (values[c.indices] == out[w != 0]).all()
    distance = np.abs(nonzero[:, None] - values)
    np.testing.assert_allclose(distance[np.arange(len(nonzero)), c.indices], distance.min(axis=1), atol=1e-6)
    for j in range(2**bits):
        np.testing.assert_allclose(nonzero[c.indices == j].mean(), values[j], atol=1e-5)
    assert c.wcss == pytest.approx(squares(w, out), rel=1e-9)
    assert c.max_error == pytest.approx(np.abs(w.astype("f8") - out).max())
    assert c.rel_error == pytest.approx((squares(w, out) / squares(w, 0 * w)) ** 0.5)
    flat, other = w.reshape(-1).astype("f8"), out.reshape(-1).astype("f8")
    assert c.cosine == pytest.approx(flat @ other / (np.linalg.norm(flat) * np.linalg.norm(other)))
    assert (c.array() == out).all()


@pytest.mark.parametrize("k, density", [(8, 1.0), (32, 0.3), (100, 0.3)])
def test_the_same_as_scikit_learn(k: int, density: float) -> None:
    """From the same centroids, also where clusters run empty."""
    cluster = pytest.importorskip("sklearn.cluster", reason="scikit-learn is not installed")
    w = weights(density=density, dtype="f8")
    x = w[w != 0].reshape(-1, 1)
    start = np.linspace(x.min(), x.max(), k).reshape(-1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = cluster.KMeans(k, init=start, n_init=1, tol=0, max_iter=10_000, algorithm="lloyd").fit(x)
    ours = dcz.cluster({"w": w}, n_clusters=k).clusters["w"]
    assert ours.wcss == pytest.approx(theirs.inertia_, rel=1e-5)


@given(st.data())
def test_optimal_is_never_above_any_other(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=300))
    k = data.draw(st.integers(1, 12))
    w = np.array([values], "f4")
    found = {init: dcz.cluster({"w": w}, n_clusters=k, init=init, weight_threshold=0,
        seed=data.draw(st.integers(0, 99)))
             for init in INIT_NAMES}  # fmt: skip
    slack = 1e-12 * squares(w, 0 * w)
    best = found["optimal"].clusters["w"].wcss
    assert all(best <= each.clusters["w"].wcss * (1 + 1e-6) + slack for each in found.values())


@given(st.lists(st.integers(-40, 40).filter(bool), min_size=1, max_size=9), st.integers(1, 4))
def test_optimal_is_the_optimum(values: list[int], k: int) -> None:
    """Against all ways to cut the sorted values into k ranges."""
    from itertools import combinations

    x = np.sort(np.array(values, "f8"))
    k = min(k, len(np.unique(x)))
    best = min(
        sum(float(np.square(part - part.mean()).sum()) for part in np.split(x, cuts) if len(part))
        for cuts in combinations(range(1, len(x)), k - 1)
    )
    c = dcz.cluster({"w": np.array([values], "f8")}, n_clusters=k, init="optimal", weight_threshold=0).clusters["w"]
    assert c.wcss == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("shape", ["normal", "laplace", "uniform", "heavy"])
def test_optimal_of_many_weights(shape: str) -> None:
    n = 60_000
    w = {"normal": RNG.standard_normal(n), "laplace": RNG.laplace(size=n), "uniform": RNG.random(n) + 0.1,
         "heavy": RNG.standard_t(2, n)}[shape].reshape(200, 300)  # fmt: skip
    wcss = {init: dcz.cluster({"w": w}, n_bits=4, init=init).clusters["w"].wcss for init in INIT_NAMES}
    assert wcss["optimal"] <= min(wcss.values()) * (1 + 1e-9)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("init", INIT_NAMES)
def test_dtypes(dtype: object, init: str) -> None:
    w = weights((64, 64), 0.5, dtype)
    found = dcz.cluster({"w": w}, n_bits=3, init=init)
    out = found.tensors["w"]
    assert out.dtype.newbyteorder("=") == w.dtype.newbyteorder("=")
    assert len(np.unique(out[out != 0].astype("f8"))) == 8
    assert dcz.load(dcz.save({"w": out}))["w"].astype("f8").tobytes() == out.astype("f8").tobytes()


@pytest.mark.parametrize("values", [[], [0.0, -0.0], [3.0], [3.0, 3.0], [1.0, 2.0, 1.0], [-1.0, -0.0, 1.0]])
@pytest.mark.parametrize("init", INIT_NAMES)
def test_fewer_distinct_weights_than_clusters(values: list[float], init: str) -> None:
    w = np.array(values, "f4").reshape(1, -1)
    found = dcz.cluster({"w": w}, n_bits=4, init=init, names=["w"])
    assert (found.tensors["w"] == w).all() and not (np.signbit(found.tensors["w"]) & (w == 0)).any()
    if w.size:
        c = found.clusters["w"]
        assert (c.wcss, c.max_error, c.rel_error, c.cosine) == (0, 0, 0, 1)
        assert c.k == len({v for v in values if v})
    else:
        assert "empty" in found.skipped["w"]


@pytest.mark.parametrize("group_size", [1, 4, 20])
def test_groups_have_codebooks_of_their_own(group_size: int) -> None:
    w = weights((20, 8, 3, 3), 0.6)
    w *= np.exp(np.arange(20)).reshape(20, 1, 1, 1).astype("f4")
    whole = dcz.cluster(
        {"w": w}, n_bits=3, granularity="per_grouped_channel", group_size=group_size, weight_threshold=0
    )
    c = whole.clusters["w"]
    assert c.codebook.shape == (20 // group_size, 8) and c.indices.dtype == np.uint8
    for g in range(20 // group_size):
        part = w[g * group_size : (g + 1) * group_size]
        alone = dcz.cluster({"w": part}, n_bits=3, weight_threshold=0)
        assert (alone.tensors["w"] == whole.tensors["w"][g * group_size : (g + 1) * group_size]).all()
    data = dcz.save(whole.tensors)
    assert dcz.load(data)["w"].tobytes() == whole.tensors["w"].tobytes()


def test_importance_weighs() -> None:
    w = weights((100, 200), 0.5, "f8")
    heavy = np.where(w > 1, 1000.0, 1.0)
    plain = dcz.cluster({"w": w}, n_bits=3).tensors["w"]
    for init in INIT_NAMES:
        found = dcz.cluster({"w": w}, n_bits=3, init=init, importance={"w": heavy})
        out = found.tensors["w"]
        assert squares(w[w > 1], out[w > 1]) < squares(w[w > 1], plain[w > 1])
        assert found.clusters["w"].wcss == pytest.approx(float((np.square(w - out) * heavy)[w != 0].sum()))
    even = dcz.cluster({"w": w}, n_bits=3, importance={"w": np.full(w.shape, 7.0)}).tensors["w"]
    np.testing.assert_allclose(even, plain)
    nothing = dcz.cluster({"w": w}, n_bits=3, importance={"w": np.zeros(w.shape)}).tensors["w"]
    assert (nothing == plain).all()


def test_importance_is_as_repetition() -> None:
    w = np.round(weights((1, 400), 1.0, "f8"), 2)
    counts = RNG.integers(1, 6, w.shape)
    repeated = np.repeat(w.reshape(-1), counts.reshape(-1)).reshape(1, -1)
    for init in ("linear", "density", "optimal"):
        a = dcz.cluster({"w": w}, n_bits=3, init=init, importance={"w": counts}, weight_threshold=0)
        b = dcz.cluster({"w": repeated}, n_bits=3, init=init, weight_threshold=0)
        if init != "density":  # which has other quantiles to begin with
            np.testing.assert_allclose(a.clusters["w"].codebook, b.clusters["w"].codebook)
        else:
            assert a.clusters["w"].wcss == pytest.approx(b.clusters["w"].wcss, rel=0.05)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn"])
def test_codebook_dtype(name: str) -> None:
    dtype = np.dtype(getattr(ml_dtypes, name, None) or name)
    out = dcz.cluster({"w": weights()}, n_bits=4, codebook_dtype=name).tensors["w"]
    assert out.dtype == np.float32 and (out.astype(dtype).astype("f4") == out).all()


def test_seeds() -> None:
    w = weights()
    for init in ("random", "kmeans++"):
        a, b, other = (dcz.cluster({"w": w}, n_bits=6, init=init, seed=seed).tensors["w"] for seed in (1, 1, 2))
        assert a.tobytes() == b.tobytes() and a.tobytes() != other.tobytes()


def test_sixteen_bits() -> None:
    w = weights((500, 800), 1.0)
    for init in ("linear", "density", "random", "kmeans++"):
        found = dcz.cluster({"w": w}, n_bits=12, init=init, max_iter=20)
        c = found.clusters["w"]
        assert c.indices.dtype == np.uint16 and c.k > 4000 and c.rel_error < 0.02
    assert dcz.cluster({"w": w[:100]}, n_bits=16, max_iter=5).clusters["w"].rel_error < 1e-3


def test_large_and_small_magnitudes() -> None:
    for scale in (1e-38, 1e37):
        w = (weights((64, 64), 1.0, "f8") * scale).astype("f4")
        assert dcz.cluster({"w": w}, n_bits=5).clusters["w"].rel_error < 0.1


@pytest.mark.parametrize(
    ("dtype", "scale", "word"),
    [
        ("float16", 1e6, "beyond the range"),
        ("float8_e5m2", 1e6, "beyond the range"),
        ("float8_e4m3fn", 1e4, "beyond the range"),
        ("float16", 1e-10, "round to zero"),
        ("float8_e4m3fn", 1e-5, "round to zero"),
        ("bfloat16", 3.39e38, "beyond the range"),
    ],
)
def test_a_codebook_dtype_that_cannot_hold_the_weights(dtype: str, scale: float, word: str) -> None:
    """Finite weights never become infinities, NaN or nothing but zeros."""
    weights = (np.linspace(0.9, 1, 4096, dtype=np.float32) * np.float32(scale)).reshape(64, 64)
    if dtype == "bfloat16":
        weights = np.full((64, 64), np.finfo(np.float32).max)
    with pytest.raises(dcz.DczError, match=f"tensor 'fc': .*{word}.*{dtype}"):
        dcz.cluster({"fc": weights}, n_bits=4, codebook_dtype=dtype)
    with pytest.raises(dcz.DczError, match=f"tensor 'fc': .*{word}.*{dtype}"):
        dcz.compress({"fc": weights}, {"n_bits": 4, "codebook_dtype": dtype})


def test_weights_whose_codebook_value_rounds_to_zero_are_counted() -> None:
    weights = np.where(np.arange(4096) % 4 == 0, 1e-5, 1.0).astype(np.float32).reshape(64, 64)
    found = dcz.cluster({"fc": weights}, n_bits=1, codebook_dtype="float8_e4m3fn")
    assert found.clusters["fc"].zeroed == 1024 == 4096 - np.count_nonzero(found.tensors["fc"])
    assert dcz.compress({"fc": weights}, {"n_bits": 1, "codebook_dtype": "float8_e4m3fn"}).reports["fc"].zeroed == 1024
    assert dcz.cluster({"fc": weights}, n_bits=1).clusters["fc"].zeroed == 0


@pytest.mark.parametrize("keys", [{"n_bits": 2}, {"step": 0.8}, {"n_bits": 2, "granularity": "per_grouped_channel"}])
def test_rescaled_codebooks_keep_the_signal(keys: dict) -> None:
    """<w, q> is <w, w> in each group, with the same clusters."""
    w = np.random.Generator(np.random.PCG64(3)).laplace(size=(16, 256)).astype("f4")
    keys = {**keys, **({"group_size": 4} if "granularity" in keys else {})}
    plain = dcz.cluster({"w": w}, **keys).clusters["w"]
    scaled = dcz.cluster({"w": w}, rescale=True, **keys).clusters["w"]
    assert (plain.indices == scaled.indices).all() and scaled.codebook.shape == plain.codebook.shape
    for a, b, c in zip(*(np.split(x.astype("f8"), len(plain.codebook)) for x in (w, plain.array(), scaled.array()))):
        assert (a * b).sum() < 0.97 * (a * a).sum() and (a * c).sum() == pytest.approx((a * a).sum(), rel=1e-6)


def test_rescaled_codebooks_stay_in_range() -> None:
    w = np.full((8, 512), np.finfo("f2").max, "f2")
    w[0, :] = -60000
    w[1, ::2] = 1
    found = dcz.cluster({"w": w}, n_clusters=2, rescale=True).tensors["w"]
    assert np.isfinite(found).all() and found.max() == np.finfo("f2").max
    with pytest.raises(dcz.DczError, match="rescale: expected true or false, found 'yes'"):
        dcz.cluster({"w": w}, n_bits=2, rescale="yes")
