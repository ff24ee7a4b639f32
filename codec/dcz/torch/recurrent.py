"""What the weights of PyTorch's recurrent layers and cells are multiplied by: their inputs, and their states one step
before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcz.lossy.moments import Accumulator
from dcz.lossy.patches import some


def accumulators(module: nn.Module, prefix: str) -> dict[str, Accumulator]:
    """For each weight of a recurrent layer or cell, by its name in it; of other modules none."""
    if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return {}
    out = {}
    for leaf, tensor in module.named_parameters(recurse=False):
        if leaf.startswith(("weight_ih", "weight_hh")) and tensor.is_floating_point() and not tensor.is_meta:
            bias = prefix + leaf.replace("weight", "bias", 1) if module.bias else None
            out[leaf] = Accumulator(prefix + leaf, 1, tensor.shape[1], bias=bias)
    return out


def add(module: Any, found: Mapping[str, Accumulator], given: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
    """Adds what one call of the module multiplies. Of packed sequences nothing is added."""
    x = given[0] if given else keywords["input"]
    start = given[1] if len(given) > 1 else keywords.get("hx")
    if not isinstance(x, Tensor):
        return
    step = _cell if isinstance(module, nn.RNNCellBase) else _layers
    with torch.no_grad():
        for leaf, vectors in step(module, x, start):
            if leaf in found:
                found[leaf].add(some(_array(vectors))[:, None])


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy())


def _cell(module: Any, x: Tensor, start: Any) -> Iterator[tuple[str, Tensor]]:
    state = start[0] if isinstance(start, (tuple, list)) else start
    yield "weight_ih", x
    yield "weight_hh", x.new_zeros(*x.shape[:-1], module.hidden_size) if state is None else state


def _layers(module: Any, x: Tensor, start: Any) -> Iterator[tuple[str, Tensor]]:
    """Runs one layer after the other: the module itself shows only the last one's states."""
    if x.ndim == 2:
        x = x[:, None]
    elif module.batch_first:
        x = x.transpose(0, 1)
    directions = 2 if module.bidirectional else 1
    lstm = module.mode == "LSTM"
    sizes = [module.proj_size or module.hidden_size, *([module.hidden_size] if lstm else [])]
    states = [None] * len(sizes) if start is None else list(start) if lstm else [start]
    whole = [
        x.new_zeros(module.num_layers * directions, x.shape[1], size)
        if state is None
        else state.reshape(-1, x.shape[1], size)
        for state, size in zip(states, sizes)
    ]
    run = getattr(torch, module.mode.lower())
    for layer in range(module.num_layers):
        part = slice(layer * directions, (layer + 1) * directions)
        weights = [tensor for direction in module.all_weights[part] for tensor in direction]
        first = tuple(state[part].contiguous() for state in whole)
        y = run(x, first if lstm else first[0], weights, module.bias, 1, 0.0, False, module.bidirectional, False)[0]
        each = y.reshape(*y.shape[:2], directions, -1)
        for at in range(directions):
            own, before = each[:, :, at], first[0][at][None]
            name = f"l{layer}{'_reverse' if at else ''}"
            yield f"weight_ih_{name}", x
            yield f"weight_hh_{name}", torch.cat([own[1:], before] if at else [before, own[:-1]])
        x = y
