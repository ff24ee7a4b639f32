"""Calibrations in files, which are dcz files themselves: measured once where the framework is, used where it is not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from dcz.api import load_file, save_file
from dcz.delta.opening import open_file
from dcz.errors import DczError, FormatError, locating
from dcz.io.sources import name_of
from dcz.lossy.moments import F32, Calibration, Moments

_KEY = "dcz.calibration"
_VERSION = 1


def save_calibration(calibration: Calibration, filename: str | os.PathLike[str] | BinaryIO) -> None:
    """Writes a calibration to a dcz file: means, and the upper triangles of second moments, in float32.

    >>> import io, numpy, dcz
    >>> file = io.BytesIO()
    >>> dcz.save_calibration(dcz.Calibration.of({"w": numpy.ones((5, 3), "float32")}), file)
    >>> dcz.load_calibration(file.getvalue())["w"].count
    5
    """
    tensors: dict[str, np.ndarray] = {}
    layers: list[dict[str, object]] = []
    for number, (name, moments) in enumerate(calibration.items()):
        tensors[f"{number}.mean"] = moments.mean
        tensors[f"{number}.shrinkage"] = moments.shrinkage
        for at, block in enumerate(moments.blocks):
            tensors[f"{number}.block.{at}"] = _triangle(block)
        layers.append(
            {
                "tensor": name,
                "count": moments.count,
                "inputs_first": moments.inputs_first,
                "bias": moments.bias,
                "blocks": [block.shape[1] for block in moments.blocks],
            }
        )
    document = {"version": _VERSION, "layers": layers, "unreached": list(calibration.unreached)}
    save_file(tensors, filename, {_KEY: document})


def load_calibration(filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO) -> Calibration:
    """Reads what `save_calibration` wrote.

    Raises:
        FormatError: the file has no calibration, or one whose parts do not fit each other.
    """
    with locating(name_of(filename)):
        with open_file(filename) as reader:
            document = reader.metadata.get(_KEY)
        if not isinstance(document, Mapping):
            raise FormatError("is not a calibration; dcz.save_calibration writes one")
        if document.get("version") != _VERSION:
            raise FormatError(f"calibration: version {document.get('version')!r:.40}, expected {_VERSION}")
        tensors = load_file(filename)
        try:
            layers = document["layers"]
            found = {layer["tensor"]: _moments(layer, number, tensors) for number, layer in enumerate(layers)}
            return Calibration(found, tuple(map(str, document["unreached"])))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"calibration: is not whole ({error!r:.120})") from None


def _moments(layer: Mapping[str, object], number: int, tensors: Mapping[str, np.ndarray]) -> Moments:
    """One layer's, checked."""
    mean, sizes = tensors[f"{number}.mean"], layer["blocks"]
    field = f"calibration of {layer['tensor']!r:.80}"
    if not isinstance(sizes, list) or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise FormatError(f"{field}: blocks: expected their sizes, found {sizes!r:.80}")
    if mean.dtype != np.float32 or mean.ndim != 2 or 0 in mean.shape or sum(sizes) != mean.shape[1]:
        raise FormatError(f"{field}: means of {mean.dtype} {mean.shape} do not fit blocks of {sizes!r:.80} inputs")
    count, bias, inputs_first = layer["count"], layer["bias"], layer["inputs_first"]
    if not isinstance(count, int) or count < 1 or not isinstance(inputs_first, bool):
        raise FormatError(f"{field}: count {count!r:.40}, inputs_first {inputs_first!r:.40}")
    if bias is not None and not isinstance(bias, str):
        raise FormatError(f"{field}: bias: expected a name, found {bias!r:.40}")
    blocks = []
    for at, size in enumerate(sizes):
        triangle = tensors[f"{number}.block.{at}"]
        if triangle.dtype != np.float32 or triangle.shape != (len(mean), size * (size + 1) // 2):
            raise FormatError(f"{field}: block {at}: {triangle.dtype} {triangle.shape} does not fit {size} inputs")
        blocks.append(_square(triangle, size))
    shrinkage = tensors[f"{number}.shrinkage"]
    if shrinkage.dtype != np.float32 or shrinkage.shape != (len(sizes), len(mean)):
        raise FormatError(f"{field}: shrinkage of {shrinkage.dtype} {shrinkage.shape} does not fit its blocks")
    if not ((shrinkage >= 0) & (shrinkage <= 1)).all():
        raise FormatError(f"{field}: shrinkage is outside of 0 to 1")
    if not np.isfinite(mean).all() or not all(np.isfinite(block).all() for block in blocks):
        raise FormatError(f"{field}: has NaN or infinity")
    return Moments(tuple(blocks), mean, shrinkage, count, inputs_first, bias)


def _triangle(block: F32) -> F32:
    """The upper triangles of symmetric matrices, shape (groups, n (n + 1) / 2)."""
    rows, columns = np.triu_indices(block.shape[1])
    return block[:, rows, columns]


def _square(triangle: F32, size: int) -> F32:
    """Symmetric matrices from their upper triangles."""
    rows, columns = np.triu_indices(size)
    out = np.empty((len(triangle), size, size), np.float32)
    out[:, rows, columns] = triangle
    out[:, columns, rows] = triangle
    return out
