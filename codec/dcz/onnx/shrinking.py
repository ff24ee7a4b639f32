"""An ONNX model made as small as its outputs on samples allow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dcz.api import save_file
from dcz.errors import DczError, locating
from dcz.lossy.selection import check_number
from dcz.onnx.calibration import calibrate
from dcz.onnx.models import save_model
from dcz.onnx.runs import Session
from dcz.onnx.samples import Feeds
from dcz.planning.outputs import alike, changed, check_metric, check_outputs, split
from dcz.planning.shrinking import Progress, Shrunk
from dcz.planning.shrinking import shrink as search

Feed = Mapping[str, np.ndarray]


def shrink(
    model: ModelProto | str | os.PathLike[str],
    samples: Iterable[Feed],
    file: str | os.PathLike[str] | None = None,
    *,
    keep: float = 0.99,
    metric: str = "cosine",
    held_out: float = 0.25,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    progress: Progress | None = None,
) -> Shrunk:
    """Calibrates a model on samples, rounds its weights with error feedback to the steps that keep its outputs, and
    verifies that on samples that were not searched on. onnxruntime judges.

    Args:
        model: a model, or the path of one; it stays as it is.
        samples: for each run the inputs by name; 128 are usually enough, and at least three are needed.
        file: where to write the weights (.dcz), or the graph and beside it the weights (.onnx). Nothing is written
            unless the target is met.
        keep: the least figure of `metric`, 1 for outputs that stay the same.
        metric: "cosine" or "correlation" of each output with the original's, in the mean over outputs, or "top1", how
            often its largest element stays the largest.
        held_out: the fraction of the samples that verify, at most a third; as many are searched on, and the layers'
            inputs measured on the rest.
        names: names or patterns of the tensors to round.

    Raises:
        DczError: samples that do not fit the model; a target out of reach, where the error says what is not.
    """
    check_metric(metric)
    share = check_number(held_out, "held_out", 0, 1 / 3, open_left=True)
    feeds = list(samples)
    file_of_samples = samples.file if isinstance(samples, Feeds) else None
    with _naming(file_of_samples):
        parts = split(len(feeds), share)
    session = Session(model)
    floats = {name: weight.read(None) for name, weight in session.weights.items() if weight.dtype.code == "F32"}
    if not floats:
        raise DczError("model: has no float32 weights to round")
    session.open()  # what onnxruntime cannot open is not the fault of a sample
    with _naming(file_of_samples):
        wanted = {number: session.outputs(feeds[number], f"sample {number}") for number in range(len(feeds))}
    check_outputs(list(wanted.values()))
    calibration = calibrate(session.model, [feeds[number] for number in parts.measured])

    def outputs(tensors: Mapping[str, np.ndarray], numbers: Sequence[int]) -> list[list[NDArray[Any]]]:
        session.write({name: tensors[name] for name in floats})
        return [session.outputs(feeds[number], f"sample {number}") for number in numbers]

    def figure(numbers: Sequence[int]) -> Any:
        return lambda tensors: alike(metric, [wanted[n] for n in numbers], outputs(tensors, numbers))

    found = search(
        floats,
        calibration or None,
        keep=keep,
        searched=figure(parts.searched),
        held_out=figure(parts.verified),
        change=lambda tensors: changed([wanted[n] for n in parts.searched], outputs(tensors, parts.searched)),
        metric=metric,
        names=None if names is None else list(names),
        profile=profile,
        progress=progress,
    )
    if file is not None:
        session.write(found.tensors)
        metadata = {"dcz.shrink": {"metric": metric, "keep": keep, "kept": found.kept, "recipe": found.recipe}}
        if os.fspath(file).lower().endswith(".onnx"):
            save_model(session.model, file, metadata, profile=profile)
        else:
            whole = {name: weight.read(None) for name, weight in session.weights.items()}
            save_file(whole, file, metadata, profile=profile)
    return found


def _naming(file: str | None) -> AbstractContextManager[None]:
    """Errors name the samples' file, if they are from one."""
    return nullcontext() if file is None else locating(file)
