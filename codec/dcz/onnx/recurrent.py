"""What the weights of LSTM, GRU and RNN nodes are multiplied by: their inputs, and their states one step before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.lossy.patches import some

OPS = ("LSTM", "GRU", "RNN")
Array = NDArray[Any]


def inputs(directions: int) -> Callable[[Array], Array]:
    """From X, (..., steps, batch, inputs), which all directions read, to vectors (n, directions, inputs)."""

    def vectors(x: Array) -> Array:
        return np.repeat(some(x)[:, None], directions, axis=1)

    return vectors


def states(direction: str) -> Callable[..., Array]:
    """From Y, (..., steps, directions, batch, hidden), and the state before the first step, (..., directions, batch,
    hidden) or zero, to vectors (n, directions, hidden)."""

    def vectors(y: Array, first: Array | None = None) -> Array:
        y = y.reshape(-1, *y.shape[-4:])
        start = np.zeros_like(y[:, 0]) if first is None else first.reshape(-1, *first.shape[-3:])
        out = np.empty_like(y)
        for at in range(y.shape[2]):
            if direction == "reverse" or at == 1:
                out[:, :-1, at], out[:, -1, at] = y[:, 1:, at], start[:, at]
            else:
                out[:, 1:, at], out[:, 0, at] = y[:, :-1, at], start[:, at]
        each = np.moveaxis(out, 2, -2)
        return some(each.reshape(-1, each.shape[-2] * each.shape[-1])).reshape(-1, *each.shape[-2:])

    return vectors
