"""Samples in .npz files: for each input of a model an array of all of them."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dcz.errors import DczError, FormatError
from dcz.text import plural


class Feeds(list[dict[str, NDArray[Any]]]):
    """Samples, and the file that they are from, which errors about them name."""

    file: str | None = None


def load_samples(path: str | os.PathLike[str], model: ModelProto) -> Feeds:
    """The samples of an .npz file, one mapping of inputs to arrays each.

    The first dimension of an array counts samples. An array of as many dimensions as the input has is cut along it, a
    batch of one each; one of a dimension more has whole inputs. An array that has exactly the shape of a scalar input
    is used for all.

    Raises `DczError` for names that the model lacks or the file does, and for arrays of different numbers of samples.
    """
    name = os.fspath(path)
    if not zipfile.is_zipfile(path):
        raise FormatError(
            f"{name}: is not an .npz file; numpy.savez writes one, with an array for each input of the model"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"{name}: has an array that cannot be read ({str(error)[:200]})") from None
    others = [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]
    if others:
        raise FormatError(f"{name}: {others[0]!r:.80} is not a NumPy array")
    found = feeds(name, arrays, model)
    found.file = name
    return found


def feeds(where: str, arrays: Mapping[str, NDArray[Any]], model: ModelProto) -> Feeds:
    """The same from arrays by name; `where` begins errors."""
    ranks = _inputs(model)
    for key in arrays:
        if key not in ranks:
            raise DczError(f"{where}: the model has no input {key!r}; its inputs are {', '.join(ranks)}")
    for key in ranks:
        if key not in arrays:
            raise DczError(
                f"{where}: has no array {key!r}, an input of the model; it has {', '.join(arrays) or 'no arrays'}"
            )
    counts = {key: len(array) for key, array in arrays.items() if array.ndim}
    if not counts:
        raise DczError(f"{where}: has scalars alone; the first dimension of an array counts samples")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {key}" for key, count in counts.items())
        raise DczError(f"{where}: {listed}: each input needs as many samples as the others")
    for key, array in arrays.items():
        rank = ranks[key]
        if array.ndim and array.ndim not in (rank, rank + 1):
            raise DczError(
                f"{where}: array {key!r} has {plural(array.ndim, 'dimension')}; samples of an input of {rank} have "
                f"{rank} or {rank + 1}"
            )
    count = next(iter(counts.values()))
    return Feeds({key: _sample(array, ranks[key], number) for key, array in arrays.items()} for number in range(count))


def _sample(array: NDArray[Any], rank: int, number: int) -> NDArray[Any]:
    if not array.ndim:
        return array
    return np.asarray(array[number]) if array.ndim == rank + 1 else array[number : number + 1]


def _inputs(model: ModelProto) -> dict[str, int]:
    """Inputs that are no weights, and how many dimensions each has."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: len(value.type.tensor_type.shape.dim) for value in model.graph.input if value.name not in weights
    }
