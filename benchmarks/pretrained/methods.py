"""The methods: each makes tensors of a network's tensors at several settings, and knows the bytes they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

import dcz
from benchmarks.pretrained.calibrated import calibrated, shrunk
from benchmarks.pretrained.integers import rounded
from benchmarks.pretrained.peers import large, nncodec, palettes

Tensors = Mapping[str, np.ndarray]
Score = Callable[[Tensors], float]
# Label, tensors, bytes.
Made = Iterator[tuple[str, Tensors, int]]
Method = Callable[[Tensors, Score], Made]

STEPS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
RATIOS = (4, 5.5, 7.5, 10, 13)


def _by_recipe(tensors: Tensors, label: str, **keys: object) -> tuple[str, Tensors, int]:
    return _packed(tensors, label, keys)


def _packed(tensors: Tensors, label: str, recipe: Mapping[str, object]) -> tuple[str, Tensors, int]:
    small = dcz.compress(tensors, recipe)
    return label, small, len(dcz.save(small))


def kmeans(tensors: Tensors, score: Score) -> Made:
    """The paper's: 2^n clusters a tensor."""
    for bits in (2, 3, 4, 5, 6, 8):
        yield _by_recipe(tensors, f"{bits} bits", n_bits=bits)


def entropy(tensors: Tensors, score: Score) -> Made:
    """Entropy-constrained clustering of at most 256 clusters, from 256 linear ones."""
    for price in (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003):
        yield _by_recipe(tensors, f"lambda {price}", n_bits=8, entropy=price)


def grid(tensors: Tensors, score: Score) -> Made:
    """A step relative to each tensor's root mean square."""
    for step in STEPS:
        yield _by_recipe(tensors, f"step {step}", step=step)


def grid_absolute(tensors: Tensors, score: Score) -> Made:
    """One step for all tensors, relative to the root mean square of all weights."""
    weights = np.concatenate([t.reshape(-1) for t in tensors.values() if large(t)])
    rms = float(np.sqrt(np.square(weights.astype(np.float64)).mean()))
    for step in STEPS:
        yield _by_recipe(tensors, f"step {step}", step_absolute=step * rms)


def grid_by_channel(tensors: Tensors, score: Score) -> Made:
    """A step relative to each row's root mean square, each with a codebook of its own."""
    for step in STEPS:
        yield _by_recipe(tensors, f"step {step}", step=step, granularity="per_grouped_channel", group_size=1)


def planned(tensors: Tensors, score: Score) -> Made:
    """`dcz.plan` without data."""
    for ratio, plan in zip(RATIOS, dcz.plan(tensors, target_ratio=RATIOS)):
        yield _packed(tensors, f"{ratio} times", plan.recipe)


def planned_by_score(tensors: Tensors, score: Score) -> Made:
    """`dcz.plan` with `evaluate` on the samples that methods may search on."""
    for ratio, plan in zip(RATIOS, dcz.plan(tensors, target_ratio=RATIOS, evaluate=score)):
        yield _packed(tensors, f"{ratio} times", plan.recipe)


def integers(bits: tuple[int, ...], group: int | None) -> Method:
    """Round to nearest, packed."""

    def make(tensors: Tensors, score: Score) -> Made:
        for width in bits:
            out, total = dict(tensors), 0
            for name, array in tensors.items():
                if large(array):
                    out[name], taken = rounded(array, width, group)
                    total += taken
                else:
                    total += 8 * array.nbytes
            yield f"int{width}", out, total // 8

    return make


def peer(make: Callable[[Tensors], Made]) -> Method:
    """A method that looks at weights alone."""
    return lambda tensors, score: make(tensors)


METHODS: dict[str, Method] = {
    "k-means": kmeans,
    "entropy": entropy,
    "grid": grid,
    "grid, one step for all": grid_absolute,
    "grid by channel": grid_by_channel,
    "plan": planned,
    "plan, evaluate": planned_by_score,
    "calibrated": calibrated,
    "shrink": shrunk,
    "integers by channel": integers((8, 6, 5, 4, 3), None),
    "integers in groups of 128": integers((8, 6, 5, 4, 3), 128),
    "integers in groups of 32": integers((8, 6, 5, 4, 3), 32),
    "palettes": peer(palettes),
    "NNCodec": peer(nncodec(dependent=False)),
    "NNCodec, dependent": peer(nncodec(dependent=True)),
}
