"""A module made as small as its outputs on samples, or a user's own score, allow."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dcz.api import save_file
from dcz.lossy.selection import check_number
from dcz.planning.outputs import alike, changed, check_metric, check_outputs, split
from dcz.planning.shrinking import Progress, Shrunk
from dcz.planning.shrinking import shrink as search
from dcz.ties import Ties
from dcz.torch.calibration import Run, calibrate, call, run_all
from dcz.torch.tensors import from_array, nbytes, to_array

Evaluate = Callable[[nn.Module, Sequence[Any]], float]


def shrink(
    module: nn.Module,
    batches: Iterable[Any],
    file: str | os.PathLike[str] | None = None,
    *,
    keep: float = 0.99,
    evaluate: Evaluate | None = None,
    metric: str = "cosine",
    run: Run | None = None,
    held_out: float = 0.25,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    progress: Progress | None = None,
) -> Shrunk:
    """Calibrates a module on batches, rounds its weights with error feedback to the steps that keep its outputs, and
    verifies that on batches that were not searched on.

    Args:
        module: it stays as it is; a copy of it is run.
        batches: what the module is called with, as in `calibrate`; at least three. 128 samples in all are usually
            enough.
        file: where to write the state dict (.dcz); nothing is written unless the target is met.
        keep: the least figure of `metric`, 1 for outputs that stay the same, or the least fraction of the original's
            score where `evaluate` is given.
        evaluate: takes the module and batches, gives a score, larger is better: an accuracy.
        metric: "cosine" or "correlation" of each output with the original's, in the mean over outputs, or "top1", how
            often its largest element stays the largest.
        run: called with the module and a batch instead of the module itself.
        held_out: the fraction of the batches that verify, at most a third; as many are searched on, and the layers'
            inputs measured on the rest.
        names: names or patterns of the tensors to round.

    Raises:
        DczError: a target out of reach, where the error says what is not; scores that are no positive numbers.

    >>> import torch, dcz.torch
    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch...>
    >>> module = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))
    >>> found = dcz.torch.shrink(module, list(torch.randn(8, 16, 64)), keep=0.99)
    >>> found.kept >= 0.99, found.ratio > 5
    (True, True)
    """
    check_metric(metric)
    share, given = check_number(held_out, "held_out", 0, 1 / 3, open_left=True), list(batches)
    parts = split(len(given), share)
    calling = run or call
    own = copy.deepcopy(module)
    state = own.state_dict(keep_vars=False)
    tensors = {name: _array(tensor, name) for name, tensor in state.items()}
    original = {name: array.copy() for name, array in _untied(tensors).items()}
    tensors = {name: original[owner] for name, owner in _owners(tensors).items()}
    calibration = calibrate(own, [given[number] for number in parts.measured], run=run)

    def outputs(arrays: Mapping[str, np.ndarray], numbers: Sequence[int]) -> list[list[NDArray[Any]]]:
        _load(state, arrays)
        found: list[list[NDArray[Any]]] = []
        run_all(own, [given[n] for n in numbers], calling, lambda output: found.append(_floats(output)))
        return found

    everything = range(len(given))
    wanted = dict(zip(everything, outputs(tensors, everything)))
    check_outputs(list(wanted.values()))

    def figure(numbers: Sequence[int]) -> Callable[[Mapping[str, np.ndarray]], float]:
        if evaluate is None:
            return lambda arrays: alike(metric, [wanted[n] for n in numbers], outputs(arrays, numbers))

        def score(arrays: Mapping[str, np.ndarray]) -> float:
            _load(state, arrays)
            return evaluate(own.eval(), [given[n] for n in numbers])

        return score

    found = search(
        tensors,
        calibration or None,
        keep=keep,
        searched=figure(parts.searched),
        held_out=figure(parts.verified),
        change=lambda arrays: changed([wanted[n] for n in parts.searched], outputs(arrays, parts.searched)),
        metric="the score" if evaluate is not None else metric,
        names=None if names is None else list(names),
        profile=profile,
        progress=progress,
    )
    if file is not None:
        metadata = {"dcz.shrink": {"metric": metric if evaluate is None else "score", "keep": keep,
                                   "kept": found.kept, "recipe": found.recipe}}  # fmt: skip
        save_file(found.tensors, file, metadata, profile=profile)
    return found


def _array(tensor: torch.Tensor, name: str) -> NDArray[Any]:
    nbytes(tensor, name)
    return to_array(tensor)


def _owners(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Each name, and the first one of the same memory."""
    ties = Ties()
    return {name: ties.owner(name, array) for name, array in tensors.items()}


def _untied(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One name of each memory."""
    return {name: tensors[name] for name, owner in _owners(tensors).items() if name == owner}


def _load(state: Mapping[str, torch.Tensor], arrays: Mapping[str, np.ndarray]) -> None:
    """Puts arrays into the memory of a module's state."""
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(from_array(np.asarray(arrays[name], order="C"), name))


def _floats(output: Any) -> list[NDArray[Any]]:
    """The tensors of floats in what a module returns."""
    if isinstance(output, torch.Tensor):
        return [output.detach().to("cpu", torch.float32).numpy()] if output.is_floating_point() else []
    if isinstance(output, Mapping):
        return [array for each in output.values() for array in _floats(each)]
    if isinstance(output, (tuple, list)):
        return [array for each in output for array in _floats(each)]
    return []
