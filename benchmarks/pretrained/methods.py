"""The methods: each makes tensors of a network's tensors at several settings, and knows the bytes they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

import dcz
from benchmarks.pretrained import calibrated
from benchmarks.pretrained.integers import codes_of, rounded
from benchmarks.pretrained.peers import large, nncodec, palettes
from dcz.planning import Planned, Plans

Tensors = Mapping[str, np.ndarray]
Score = Callable[[Tensors], float]
# Label, tensors, bytes.
Made = Iterator[tuple[str, Tensors, int]]
Method = Callable[[Tensors, Score], Made]

# Of each method from coarse to fine: what is finer than the first that is close enough is left out.
STEPS = (2.0, 1.4, 1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02, 0.01)
RATIOS = (3, 4, 5.5, 7.5, 10, 13, 17, 22)


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
    for price in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003):
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
    """A step for each row, a power of two apart from the others'; all rows share a codebook."""
    for step in STEPS:
        yield _by_recipe(tensors, f"step {step}", step=step, granularity="per_channel", axis=0)


def _coarse_first(plans: Plans) -> list[tuple[float, Planned]]:
    # Without the sizes that cannot be made.
    return list(zip(RATIOS, plans))[::-1]


def planned(tensors: Tensors, score: Score) -> Made:
    """`dcz.plan` without data."""
    for ratio, plan in _coarse_first(dcz.plan(tensors, target_ratio=RATIOS)):
        yield _packed(tensors, f"{ratio} times", plan.recipe)


def planned_by_score(tensors: Tensors, score: Score) -> Made:
    """`dcz.plan` with `evaluate` on the samples that methods may search on."""
    for ratio, plan in _coarse_first(dcz.plan(tensors, target_ratio=RATIOS, evaluate=score)):
        yield _packed(tensors, f"{ratio} times", plan.recipe)


def integers(bits: tuple[int, ...], group: int | None, *, coded: bool = False) -> Method:
    """Round to nearest, packed, or with the integers in a dcz."""

    def make(tensors: Tensors, score: Score) -> Made:
        for width in bits:
            out, packed = dict(tensors), 0
            stored: dict[str, np.ndarray] = dict(tensors)
            for name, array in tensors.items():
                if large(array):
                    codes, scales = codes_of(array, width, group)
                    out[name] = rounded(array, codes, scales)
                    stored[name], stored[f"{name}.scale"] = codes.reshape(-1)[: array.size].reshape(array.shape), scales
                    packed += array.size * width + 8 * scales.nbytes
                else:
                    packed += 8 * array.nbytes
            yield f"int{width}", out, len(dcz.save(stored)) if coded else packed // 8

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
    "calibrated": calibrated.calibrated,
    "plan, calibrated": calibrated.planned,
    "plan, calibrated, evaluate": calibrated.planned_by_score,
    "shrink": calibrated.shrunk,
    "integers by channel": integers((2, 3, 4, 5, 6, 8), None),
    "integers in groups of 128": integers((2, 3, 4, 5, 6, 8), 128),
    "integers in groups of 32": integers((2, 3, 4, 5, 6, 8), 32),
    "integers by channel, in dcz": integers((2, 3, 4, 5, 6, 8), None, coded=True),
    "integers in groups of 128, in dcz": integers((2, 3, 4, 5, 6, 8), 128, coded=True),
    "GPTQ in groups of 128": calibrated.by_gptq,
    "palettes": peer(palettes),
    "NNCodec": peer(nncodec(dependent=False)),
    "NNCodec, dependent": peer(nncodec(dependent=True)),
}
