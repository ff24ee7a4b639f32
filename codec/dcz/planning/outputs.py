"""How alike the outputs of two models are: figures of which 1 says that nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.flat import dot
from dcz.lossy.selection import check_choice

Outputs = Sequence[NDArray[Any]]


def cosine(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Of the angle between two arrays.

    >>> import numpy
    >>> cosine(numpy.float32([3, 4]), numpy.float32([3, 0]))
    0.6
    """
    a, b = (array.reshape(-1).astype(np.float64) for array in (wanted, found))
    norms = (dot(a, a) * dot(b, b)) ** 0.5
    return dot(a, b) / norms if norms else float(np.array_equal(a, b))


def correlation(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """Pearson's coefficient of two arrays."""
    return cosine(wanted - wanted.mean(dtype=np.float64), found - found.mean(dtype=np.float64))


def top1(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """The fraction of rows, along the last dimension, whose largest element is at the same place."""
    if not wanted.ndim or not wanted.shape[-1]:
        return float(np.array_equal(wanted, found))
    return float(np.mean(wanted.argmax(axis=-1) == found.argmax(axis=-1)))


METRICS: dict[str, Callable[[NDArray[Any], NDArray[Any]], float]] = {
    "cosine": cosine,
    "correlation": correlation,
    "top1": top1,
}


def check_metric(metric: str) -> str:
    """A name of `METRICS`."""
    return check_choice(metric, "metric", METRICS)


def alike(metric: str, wanted: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The mean over a model's outputs of a figure of all samples together."""
    figures = [METRICS[metric](*pair) for pair in _pairs(wanted, found)]
    return float(np.mean(figures))


def changed(wanted: Sequence[Outputs], found: Sequence[Outputs]) -> float:
    """The mean over a model's outputs of the squared change over the squares."""
    out = []
    for a, b in _pairs(wanted, found):
        change = a.astype(np.float64) - b
        whole = float(np.square(a, dtype=np.float64).sum())
        out.append(float(np.square(change).sum()) / whole if whole else float(change.any()))
    return float(np.mean(out))


def check_outputs(outputs: Sequence[Outputs]) -> None:
    """Refuses outputs that say nothing, or are not numbers."""
    if not outputs or not outputs[0]:
        raise DczError("model: has no output of floats to compare")
    for sample in outputs:
        for array in sample:
            if not np.isfinite(array).all():
                raise DczError("model: its outputs have NaN or infinity as it is; leave out the samples of these")


def _pairs(wanted: Sequence[Outputs], found: Sequence[Outputs]) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Each output of all samples, one after another; rows of the last dimension where they agree."""
    return [(_joined(a), _joined(b)) for a, b in zip(zip(*wanted), zip(*found))]


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    last = {array.shape[-1] if array.ndim else 1 for array in arrays}
    if len(last) == 1:
        return np.concatenate([array.reshape(-1, *last) for array in arrays])
    return np.concatenate([array.reshape(-1) for array in arrays])


class Split(NamedTuple):
    """Numbers of the samples to measure moments of, to search on, and to verify on."""

    measured: list[int]
    searched: list[int]
    verified: list[int]

    def __str__(self) -> str:
        measured, searched, verified = map(len, self)
        return f"{measured} to measure the inputs of layers, {searched} to search on, {verified} held out to verify"


def split(count: int, share: float) -> Split:
    """Every so-manieth sample is for verifying, the one before for searching, the others for measuring.

    >>> split(8, 0.25)
    Split(measured=[0, 1, 4, 5], searched=[2, 6], verified=[3, 7])
    """
    if count < 3:
        raise DczError(
            f"samples: found {count}; at least 3 are needed: to measure the inputs of layers, to search on, and "
            "to verify on"
        )
    every = min(max(round(1 / share), 3), count)
    numbers = range(count)
    return Split(
        [number for number in numbers if number % every < every - 2],
        [number for number in numbers if number % every == every - 2],
        [number for number in numbers if number % every == every - 1],
    )
