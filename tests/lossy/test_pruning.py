"""Pruning keeps exactly the largest weights, in every structure that it offers, and touches nothing else."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dcz

RNG = np.random.Generator(np.random.PCG64(1))
DTYPES = ["f2", "f4", "f8", ">f4", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("density", [1e-6, 0.001, 0.1, 0.5, 1])
def test_density(dtype: object, density: float) -> None:
    w = RNG.standard_normal((50, 60)).astype(dtype)
    before = w.tobytes()
    pruned = dcz.prune({"w": w}, density=density)
    mask, out = pruned.masks["w"], pruned.tensors["w"]
    keep = max(1, round(density * 3000))
    nonzero = np.count_nonzero(w.astype("f8"))
    assert mask.sum() == min(keep, nonzero) and out.dtype == w.dtype and w.tobytes() == before
    magnitude = np.abs(w.astype("f8"))
    if not mask.all():
        assert magnitude[mask].min() >= magnitude[~mask].max()
    assert (out[mask] == w[mask]).all()
    assert not np.frombuffer(np.ascontiguousarray(out[~mask]).tobytes(), np.uint8).any()  # 0, never -0.0


@given(st.lists(st.floats(-3, 3, width=16).map(lambda x: round(x, 1)), min_size=1, max_size=60), st.floats(0.01, 1))
def test_equal_magnitudes(values: list[float], density: float) -> None:
    """As many are kept as asked for, the first of those that are equal; zeros never."""
    w = np.array([values], "f4")
    mask = dcz.prune({"w": w}, density=density, weight_threshold=0).masks["w"]
    order = sorted(range(len(values)), key=lambda i: (-abs(w[0, i]), i))
    keep = max(1, round(density * len(values)))
    assert set(np.flatnonzero(mask)) == {i for i in order[:keep] if w[0, i] != 0}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_global_scope_keeps_the_largest_of_all(dtype: str) -> None:
    tensors = {"a": RNG.standard_normal((64, 64)).astype(dtype), "b": 0.1 * RNG.standard_normal((64, 64)).astype("f4")}
    pruned = dcz.prune(tensors, density=0.25, scope="global")
    assert sum(mask.sum() for mask in pruned.masks.values()) == 2048 and pruned.density == 0.25
    kept = np.concatenate([np.abs(tensors[n].astype("f8"))[m] for n, m in pruned.masks.items()])
    gone = np.concatenate([np.abs(tensors[n].astype("f8"))[~m] for n, m in pruned.masks.items()])
    assert kept.min() >= gone.max() and pruned.masks["b"].mean() < 0.01


def test_threshold_and_quality() -> None:
    w = RNG.standard_normal((64, 64))
    w[w < -1.5] = 0
    assert (dcz.prune({"w": w}, threshold=0.7).masks["w"] == (np.abs(w) > 0.7)).all()
    magnitude = np.abs(w[w != 0])
    expected = np.abs(w) > magnitude.mean() + 0.5 * magnitude.std()
    assert (dcz.prune({"w": w}, quality=0.5).masks["w"] == expected).all()
    assert (dcz.prune({"w": w}, quality=-100).masks["w"] == (w != 0)).all()


@pytest.mark.parametrize("n, m", [(2, 4), (1, 4), (3, 4), (6, 8)])
@pytest.mark.parametrize("shape, dim", [((32, 64), None), ((32, 64), 0), ((16, 24, 3, 3), 1), ((8, 8, 8, 8), 3)])
def test_n_of_m(n: int, m: int, shape: tuple[int, ...], dim: int | None) -> None:
    w = RNG.standard_normal(shape).astype("f4")
    mask = dcz.prune({"w": w}, n_m_ratio=(n, m), dim=dim, weight_threshold=0).masks["w"]
    groups = np.moveaxis(mask, 1 if dim is None else dim, -1).reshape(-1, m)
    values = np.moveaxis(np.abs(w), 1 if dim is None else dim, -1).reshape(-1, m)
    assert (groups.sum(axis=1) == m - n).all()
    assert (np.where(groups, values, np.inf).min(axis=1) >= np.where(groups, 0, values).max(axis=1)).all()


def test_n_of_m_where_m_does_not_divide() -> None:
    w = RNG.standard_normal((3, 10)).astype("f4")
    mask = dcz.prune({"w": w}, n_m_ratio=(2, 4), weight_threshold=0).masks["w"]
    assert (mask[:, :8].reshape(-1, 4).sum(axis=1) == 2).all() and mask[:, 8:].all()


@pytest.mark.parametrize("block, shape", [(4, (4, 1)), ((2, 3), (2, 3)), (100, (33, 1))])
def test_blocks(block: object, shape: tuple[int, int]) -> None:
    w = RNG.standard_normal((33, 70)).astype("f4")
    mask = dcz.prune({"w": w}, density=0.25, block_size=block).masks["w"]
    scores, kept = [], []
    for i in range(0, 33, shape[0]):
        for j in range(0, 70, shape[1]):
            part = np.s_[i : i + shape[0], j : j + shape[1]]
            assert mask[part].all() or not mask[part].any()
            scores.append(np.square(w[part].astype("f8")).mean())
            kept.append(mask[part].all())
    scores, kept = np.array(scores), np.array(kept)
    assert kept.sum() == round(0.25 * len(scores))
    assert scores[kept].min() >= scores[~kept].max() * (1 - 1e-6)


def test_blocks_along_another_dimension() -> None:
    w = RNG.standard_normal((16, 64)).astype("f4")
    mask = dcz.prune({"w": w}, density=0.5, block_size=8, dim=1, weight_threshold=0).masks["w"]
    blocks = mask.reshape(16, 8, 8)
    assert (blocks.all(axis=2) | ~blocks.any(axis=2)).all() and mask.mean() == 0.5


def test_what_is_left_alone() -> None:
    tensors = {
        "w": RNG.standard_normal((64, 64)),
        "bias": np.ones(4096, "f4"),
        "small": np.ones((8, 8), "f4"),
        "steps": np.arange(4096).reshape(64, 64),
        "flags": np.ones((64, 64), bool),
        "complex": np.ones((64, 64), "c8"),
        "empty": np.zeros((0, 64), "f4"),
        "narrow": np.ones((64, 64), ml_dtypes.float4_e2m1fn),
    }
    pruned = dcz.prune(tensors, density=0.5)
    assert list(pruned.tensors) == list(tensors) and list(pruned.masks) == ["w"]
    assert all(pruned.tensors[name] is array for name, array in tensors.items() if name != "w")
    words = {"bias": "a bias or norm", "small": "64 weights", "steps": "int64", "flags": "bool", "complex": "complex64",
             "empty": "empty", "narrow": "float4"}  # fmt: skip
    assert set(pruned.skipped) == set(words) and all(word in pruned.skipped[name] for name, word in words.items())
    asked = dcz.prune(tensors, density=0.5, names=["bias", "small", "steps", "w*"])
    assert list(asked.masks) == ["w", "bias", "small"] and "not among names" in asked.skipped["flags"]


def test_memory_order_does_not_matter() -> None:
    w = RNG.standard_normal((64, 96)).astype("f4")
    expected = dcz.prune({"w": w}, density=0.3).tensors["w"]
    for other in (np.asfortranarray(w), np.repeat(w, 2, axis=1)[:, ::2], w.astype(">f4")):
        assert (dcz.prune({"w": other}, density=0.3).tensors["w"] == expected).all()


def test_scalars_and_zeros() -> None:
    assert dcz.prune({"s": np.float32(2)}, density=0.5, names=["s"]).tensors["s"] == 2
    zeros = dcz.prune({"z": -np.zeros((64, 64), "f4")}, density=0.5)
    assert not zeros.masks["z"].any() and not np.signbit(zeros.tensors["z"]).any()
