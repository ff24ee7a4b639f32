"""The index of a checkpoint in several dcz files: which file has which piece of each tensor."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from dcz import limits
from dcz.container.info import TensorInfo
from dcz.dtypes import by_code
from dcz.errors import FormatError, LimitError, UnsupportedError
from dcz.io.sinks import PathSink
from dcz.torch.tensors import CODES, torch_dtype

FILE = "dcz.checkpoint.json"
_VERSION = 1
_LARGEST = 1 << 30
_MAX_PIECES = 4096  # of a tensor: each is compared with each
_FILE_NAME = re.compile(r"[0-9]{1,9}-[0-9a-f]{8}\.dcz")


class Place(NamedTuple):
    """A piece: its file, its name there, and once it is read from an index, its dtype and shape."""

    file: str
    name: str
    dtype: str = "U8"
    shape: tuple[int, ...] | None = None

    def fits(self, info: TensorInfo) -> bool:
        """Whether a stored tensor is this piece."""
        return info.dtype == self.dtype and (self.shape is None or info.shape == self.shape)


def pack_index(metadata: Metadata, places: Mapping[MetadataIndex, Place]) -> bytes:
    """The index of a checkpoint, as bytes."""
    tensors: dict[str, object] = {}
    others: dict[str, object] = {}
    for name, entry in metadata.state_dict_metadata.items():
        if isinstance(entry, BytesStorageMetadata):
            others[name] = list(places[MetadataIndex(name)][:2])
            continue
        pieces = []
        for number, chunk in enumerate(entry.chunks):
            place = places.get(MetadataIndex(name, chunk.offsets)) or places[MetadataIndex(name, chunk.offsets, number)]
            pieces.append([place.file, place.name, list(chunk.offsets), list(chunk.sizes)])
        tensors[name] = {"dtype": CODES[entry.properties.dtype], "shape": list(entry.size), "pieces": pieces}
    document = {"dcz_checkpoint": _VERSION, "tensors": tensors, "others": others}
    paths = _paths(metadata.planner_data)
    if paths is not None:
        document["paths"] = {name: list(path) for name, path in paths.items()}
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _paths(data: object) -> dict[str, tuple[str | int, ...]] | None:
    """Where the planner found each entry in the nested state, if that is what its data are."""
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        return None
    if not all(isinstance(p, (tuple, list)) and all(type(k) in (str, int) for k in p) for p in data.values()):
        return None
    return {name: tuple(path) for name, path in data.items()}


def write_index(folder: str, data: bytes) -> None:
    """Writes the index, with which the checkpoint is complete."""
    sink = PathSink(os.path.join(folder, FILE))
    try:
        sink.write(data)
        sink.publish()
    except BaseException:
        sink.abandon()
        raise


def remove_stale(folder: str, kept: set[str]) -> None:
    """Removes files of saves that were replaced or failed."""
    for name in os.listdir(folder):
        if _FILE_NAME.fullmatch(name) and name not in kept:
            with suppress(OSError):
                os.remove(os.path.join(folder, name))


def read_index(folder: str) -> Metadata:
    """The index of a checkpoint as PyTorch's metadata, checked: every piece inside its tensor, and the pieces of each
    tensor exactly the tensor."""
    path = os.path.join(folder, FILE)
    size = os.path.getsize(path)
    if size > _LARGEST:
        raise LimitError(f"{path}: {size} bytes; the limit is {_LARGEST}")
    with open(path, "rb") as file:
        text = file.read()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON ({error!s:.200})") from None
    if not isinstance(document, dict) or type(document.get("dcz_checkpoint")) is not int:
        raise FormatError(f"{path}: not the index of a checkpoint (it has no dcz_checkpoint)")
    if document["dcz_checkpoint"] != _VERSION:
        raise UnsupportedError(f"{path}: version {document['dcz_checkpoint']}; this dcz reads version {_VERSION}")
    entries: dict[str, Any] = {}
    places: dict[MetadataIndex, Place] = {}
    for name, value in _mapping(document, "tensors", path).items():
        entries[name] = _tensor(name, value, f"{path}: tensor {name!r:.200}", places)
    for name, value in _mapping(document, "others", path).items():
        if name in entries:
            raise FormatError(f"{path}: {name!r:.200} is a tensor and something else")
        if not isinstance(value, list) or len(value) != 2:
            raise FormatError(f"{path}: {name!r:.200}: expected a file and a name, found {value!r:.80}")
        entries[name] = BytesStorageMetadata()
        places[MetadataIndex(name)] = _place(value, f"{path}: {name!r:.200}", "U8", None)
    paths = _paths(document.get("paths"))
    if "paths" in document and (paths is None or not paths.keys() <= entries.keys()):
        raise FormatError(f"{path}: paths must map names of the checkpoint to lists of keys")
    return Metadata(entries, planner_data=paths, storage_data=places)


def _mapping(document: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise FormatError(f"{path}: {key} must be an object, found {type(value).__name__}")
    if len(value) > limits.MAX_TENSORS:
        raise LimitError(f"{path}: {len(value)} {key}; the limit is {limits.MAX_TENSORS}")
    return value


def _tensor(name: str, value: Any, where: str, places: dict[MetadataIndex, Place]) -> TensorStorageMetadata:
    if not isinstance(value, dict) or not isinstance(value.get("pieces"), list):
        raise FormatError(f"{where}: expected dtype, shape and pieces, found {value!r:.80}")
    shape, code = _lengths(value.get("shape"), where), value.get("dtype")
    if not isinstance(code, str):
        raise FormatError(f"{where}: dtype must be a string, found {code!r:.40}")
    dtype = torch_dtype(by_code(code, where), name)
    pieces = value["pieces"]
    if len(pieces) > _MAX_PIECES:
        raise LimitError(f"{where}: {len(pieces)} pieces; the limit is {_MAX_PIECES}")
    chunks = []
    for number, piece in enumerate(pieces):
        if not isinstance(piece, list) or len(piece) != 4:
            raise FormatError(f"{where}: piece {number}: expected file, name, offsets and sizes, found {piece!r:.80}")
        offsets, sizes = (_lengths(numbers, f"{where}: piece {number}") for numbers in piece[2:])
        if len(offsets) != len(shape) or len(sizes) != len(shape):
            raise FormatError(f"{where}: piece {number} has {len(offsets)} offsets, the tensor {len(shape)} dimensions")
        place = _place(piece[:2], f"{where}: piece {number}", code, sizes)
        places[MetadataIndex(name, offsets, number)] = place
        chunks.append(ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)))
    _check_whole(shape, chunks, where)
    return TensorStorageMetadata(TensorProperties(dtype=dtype), torch.Size(shape), chunks)


def _place(value: list[Any], where: str, dtype: str, shape: tuple[int, ...] | None) -> Place:
    file, name = value
    if not isinstance(file, str) or not _FILE_NAME.fullmatch(file):
        raise FormatError(f"{where}: {file!r:.80} is not the name of a file of a checkpoint, such as 0-1a2b3c4d.dcz")
    if not isinstance(name, str):
        raise FormatError(f"{where}: name must be a string, found {name!r:.80}")
    return Place(file, name, dtype, shape)


def _lengths(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(n) is not int or n < 0 for n in value):
        raise FormatError(f"{where}: expected lengths, found {value!r:.80}")
    if len(value) > limits.MAX_DIMENSIONS or prod(max(n, 1) for n in value) > limits.MAX_WORDS:
        raise LimitError(
            f"{where}: {value!r:.80}; the limit is {limits.MAX_DIMENSIONS} dimensions, {limits.MAX_WORDS} elements"
        )
    return tuple(value)


def _check_whole(shape: tuple[int, ...], chunks: list[ChunkStorageMetadata], where: str) -> None:
    """Refuses pieces that overlap, leave a hole or reach out of the tensor: loading would leave memory as it was."""
    begin = np.array([chunk.offsets for chunk in chunks], np.int64).reshape(len(chunks), len(shape))
    end = begin + np.array([chunk.sizes for chunk in chunks], np.int64).reshape(begin.shape)
    if (end > np.array(shape, np.int64)).any():
        raise FormatError(f"{where}: a piece reaches out of shape {list(shape)}")
    if sum(prod(chunk.sizes) for chunk in chunks) != prod(shape) and (prod(shape) or chunks):
        raise FormatError(f"{where}: its pieces have not as many elements as shape {list(shape)}")
    for number in range(1, len(chunks)):
        shared = np.minimum(end[:number], end[number]) - np.maximum(begin[:number], begin[number])
        if (shared > 0).all(axis=1).any():
            raise FormatError(f"{where}: piece {number} overlaps another")
