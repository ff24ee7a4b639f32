"""Differences to a base as patches of checkpoint tensors, for engines that load weights by name and layout of their
own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from dcz.container.sharded import ShardedReader
from dcz.delta.base import Base
from dcz.delta.opening import open_file
from dcz.delta.reader import DeltaReader, ShardedDeltaReader
from dcz.dtypes import by_code
from dcz.errors import BaseError, DczError
from dcz.torch.deltas import Arrays
from dcz.torch.tensors import from_array, torch_dtype

# Of these an engine can mark unchanged elements with NaN.
_FLOATS = (torch.bfloat16, torch.float16, torch.float32, torch.float64)


class WeightPatch(NamedTuple):
    """An update of one checkpoint tensor: new `values` at flat `indices`, int32 or, from 2^31 elements on, int64; or
    all of its values, flattened, where `indices` is None."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    values: torch.Tensor
    indices: torch.Tensor | None = None


class WeightPatches(NamedTuple):
    """Updates of a checkpoint: of tensors of which some elements change, and of those that change as a whole: integers,
    complex numbers, floats of a byte, tensors that get a NaN, and tensors that the file stores whole."""

    sparse: list[WeightPatch]
    dense: list[WeightPatch]


def weight_patches(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    base: Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
) -> WeightPatches:
    """The changes of a file of differences as patches, once all of it is checked as `dcz.torch.apply_delta` checks it:
    whoever applies them need not expect an error halfway. Tensors that do not change have no patch, and second names
    of a tensor have one each.

    Args:
        file: a file of differences, or the index of several.
        base: the checkpoint that the file was made from: a dictionary of tensors or arrays, or what `dcz.open` gives.
            A file written with `transform="replace"` can do without: then nothing can be compared with the base.
        max_bytes: how much a call may hold in memory, as for `dcz.open`.

    Raises:
        BaseError: another base than the file was made from, or files of a chain out of order.
        DczError: a file that adds, removes, renames or reshapes a tensor; a change that needs a base where none is
            given; a whole model.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.

    >>> import io, torch, dcz.torch
    >>> old, file = {"w": torch.zeros(1000, dtype=torch.bfloat16)}, io.BytesIO()
    >>> saved = dcz.torch.save_delta({"w": old["w"].index_fill(0, torch.tensor([3]), 1)}, file, base=old)
    >>> patch = dcz.torch.weight_patches(file.getvalue(), base=old).sparse[0]
    >>> patch.name, patch.indices.tolist(), patch.values.tolist()
    ('w', [3], [1.0])
    """
    readable = Arrays(base) if isinstance(base, Mapping) and not hasattr(base, "info") else base
    with open_file(file, base=readable, max_bytes=max_bytes) as reader:
        if isinstance(reader, ShardedReader) and not isinstance(reader, ShardedDeltaReader):
            raise DczError(f"{reader.source}: an index of several files needs a base; pass base=")
        if not isinstance(reader, (DeltaReader, ShardedDeltaReader)):
            raise DczError(f"{reader.source}: is a whole model, not the differences to a base; load it instead")
        if base is not None:
            _check_names(reader, base)
        out = WeightPatches([], [])
        for name in reader:
            made = _patch(reader, name, base)
            if made is not None:
                (out.dense if made.indices is None else out.sparse).append(made)
        return out


def _check_names(reader: DeltaReader | ShardedDeltaReader, base: Mapping[str, Any]) -> None:
    gone, new = [name for name in base if name not in reader], [name for name in reader if name not in base]
    for names, what in ((gone, "removes"), (new, "adds")):
        if names:
            raise DczError(
                f"{reader.source}: {what} tensor {names[0]!r:.200}, which no patch can; load the whole model"
            )


def _patch(reader: DeltaReader | ShardedDeltaReader, name: str, base: Mapping[str, Any] | None) -> WeightPatch | None:
    info, kind = reader.info(name), reader.transform(name)
    where = f"{reader.source}: tensor {name!r:.200}"
    if kind != "whole" and reader.base_name(name) != name and name not in reader.aliases:
        raise DczError(f"{where}: is made of {reader.base_name(name)!r:.200}, which no patch can; load the whole model")
    if base is not None:
        _check_shape(base, name, info.shape, where)
    elif kind not in ("whole", "copy", "replace"):
        raise DczError(f"{where}: is a {kind} from the base; pass base=, or write the file with transform='replace'")
    if kind == "copy":
        if base is not None:
            reader[name]  # compares the base's words with their checksum
        return None
    indices = reader.patch(name).indices
    if base is None and kind == "replace":
        values = from_array(reader.patch(name).values, name)
        whole = None
    else:
        whole = from_array(np.ascontiguousarray(reader[name]), name).reshape(-1)
        values = whole
    dtype = torch_dtype(by_code(info.dtype, where), name)
    sparse = kind != "whole" and dtype in _FLOATS
    if sparse and whole is not None:
        values = whole[torch.from_numpy(indices.astype(np.int64))]
    if sparse and not bool(torch.isnan(values).any()):
        return WeightPatch(name, info.shape, dtype, values, torch.from_numpy(indices)) if len(indices) else None
    if whole is None:
        raise DczError(f"{where}: its new values of {info.dtype} need all of the tensor; pass base=")
    return WeightPatch(name, info.shape, dtype, whole)


def _check_shape(base: Mapping[str, Any], name: str, shape: tuple[int, ...], where: str) -> None:
    found = base[name].shape if not hasattr(base, "info") else Base(base).known(name).shape
    if tuple(found) != shape:
        raise BaseError(f"{where}: has shape {shape}, in the base {tuple(found)}; a patch keeps the shape")
