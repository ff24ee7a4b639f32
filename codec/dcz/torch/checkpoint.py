"""Checkpoints of `torch.distributed.checkpoint` in dcz files: one file a process, and an index of what lies where.

    FOLDER/dcz.checkpoint.json       the index, written last: without it there is no checkpoint
    FOLDER/0-SAVE.dcz, 1-SAVE.dcz    the pieces that each process saved

The index is JSON; what is not a tensor has to be of the kinds that `torch.load(weights_only=True)` takes: nothing in a
checkpoint is imported by its name.
"""

from __future__ import annotations

import io
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import (
    LoadItemType,
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter, WriteResult
from torch.futures import Future

from dcz.container.reader import Reader
from dcz.container.writer import Writer
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.torch.checkpoint_index import FILE, Place, pack_index, read_index, remove_stale, write_index
from dcz.torch.tensors import CODES, from_array, nbytes, to_array

__all__ = ["DczStorageReader", "DczStorageWriter"]


class DczStorageWriter(StorageWriter):
    """Saves checkpoints to a folder, by `torch.distributed.checkpoint.save(state, storage_writer=...)`.

    Args:
        path: the folder, made where it is missing. Every process writes a file of its own in it.
        overwrite: replace a checkpoint in the folder, once the new one is complete; otherwise that is a `DczError`.
        profile, threads: as of `dcz.save_file`.

    Raises (while saving):
        DczError: a checkpoint is there already; what is not a tensor is of a kind that loading would refuse.
        UnsupportedError: tensors of a dtype that cannot be stored.

    >>> import tempfile, torch, torch.distributed.checkpoint as dcp
    >>> from dcz.torch.checkpoint import DczStorageReader, DczStorageWriter
    >>> folder, state = tempfile.mkdtemp(), {"w": torch.ones(3), "epoch": 7}
    >>> saved = dcp.save(state, storage_writer=DczStorageWriter(folder), no_dist=True)
    >>> again = {"w": torch.zeros(3), "epoch": 0}
    >>> dcp.load(again, storage_reader=DczStorageReader(folder), no_dist=True)
    >>> again
    {'w': tensor([1., 1., 1.]), 'epoch': 7}
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        profile: str = "auto",
        threads: int | None = None,
    ) -> None:
        super().__init__()
        self._path, self._overwrite = os.fspath(path), overwrite
        self._profile, self._threads = profile, threads

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        if checkpoint_id:
            self._path = os.fspath(checkpoint_id)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **options: Any) -> None:
        if not options.get("use_collectives", True):
            raise DczError("use_collectives=False: a dcz checkpoint has one index, which the processes make together")

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        os.makedirs(self._path, exist_ok=True)
        if not self._overwrite and os.path.exists(os.path.join(self._path, FILE)):
            raise DczError(f"{self._path}: has a checkpoint; pass overwrite=True, or save to another folder")
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        save = secrets.token_hex(4)  # the files of this save beside those of the one that it replaces
        return [replace(plan, storage_data=f"{number}-{save}.dcz") for number, plan in enumerate(plans)]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        results: list[WriteResult] = []
        if plan.items:
            file, taken = plan.storage_data, Counter[str]()
            with Writer(os.path.join(self._path, file), profile=self._profile, threads=self._threads) as writer:
                for item in plan.items:
                    name = _name(item, taken)
                    array = to_array(_data(item, planner))
                    writer.add(name, array)
                    results.append(WriteResult(item.index, array.nbytes, (file, name)))
        future: Future[list[WriteResult]] = Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        places = {each.index: Place(*each.storage_data) for group in results for each in group}
        write_index(self._path, pack_index(metadata, places))
        remove_stale(self._path, {place.file for place in places.values()})

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return "://" not in os.fspath(checkpoint_id)


def _name(item: WriteItem, taken: Counter[str]) -> str:
    """The name of an item in its file: that in the state dict, and the offsets of a piece."""
    data, name = item.tensor_data, item.index.fqn
    if data is not None and tuple(data.chunk.sizes) != tuple(data.size):
        name += "@" + ",".join(map(str, data.chunk.offsets))
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}~{taken[name]}"


def _data(item: WriteItem, planner: SavePlanner) -> torch.Tensor:
    data = planner.resolve_data(item)
    if item.type != WriteItemType.BYTE_IO:
        assert isinstance(data, torch.Tensor)
        nbytes(data, item.index.fqn)
        if data.dtype not in CODES or data.element_size() * data.numel() != nbytes(data, item.index.fqn):
            raise UnsupportedError(f"tensor {item.index.fqn!r:.200}: {data.dtype} is packed, which pieces cannot be")
        return data.detach()
    assert isinstance(data, io.BytesIO)
    content = data.getvalue()
    _check_bytes(content, f"{item.index.fqn!r:.200}", "cannot be saved")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _check_bytes(content: bytes, where: str, what: str) -> None:
    """Refuses what would make the planner, which loads anything, import and call what the file names."""
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # of pickle, zip and torch: any of them means that it is not to be trusted
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DczError(
            f"{where}: {what}: torch.load(weights_only=True) refuses it ({reason:.200}); store tensors, numbers and "
            "strings, or allow its class by torch.serialization.add_safe_globals"
        ) from None


class DczStorageReader(StorageReader):
    """Loads what `DczStorageWriter` saved, in any number of processes: each reads the parts of pieces that it needs.

    Args:
        path: the folder.
        max_bytes: how much one call may hold in memory, as of `dcz.open`.

    Raises (while loading):
        FileNotFoundError: there is no checkpoint, or one of its files is missing.
        FormatError: an index that is damaged, or whose pieces do not make up the tensors; files of another save.
        DczError: an entry that is not a tensor and not of the kinds that `torch.load(weights_only=True)` takes.
        ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int | None = None) -> None:
        super().__init__()
        self._path, self._max_bytes = os.fspath(path), max_bytes
        self._places: dict[MetadataIndex, Place] = {}

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        if checkpoint_id:
            self._path = os.fspath(checkpoint_id)

    def read_metadata(self, *args: Any, **options: Any) -> Metadata:
        return read_index(self._path)

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **options: Any) -> None:
        self._places = metadata.storage_data

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        files: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            files.setdefault(self._places[item.storage_index].file, []).append(item)
        for file, items in files.items():
            with Reader(os.path.join(self._path, file), max_bytes=self._max_bytes) as reader:
                for item in items:
                    self._read(reader, item, planner)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def _read(self, reader: Reader, item: ReadItem, planner: LoadPlanner) -> None:
        place, where = self._places[item.storage_index], f"{reader.source}: {item.storage_index.fqn!r:.200}"
        if place.name not in reader or not place.fits(reader.info(place.name)):
            raise FormatError(f"{where}: is not what the index says; the file is of another save")
        if item.type == LoadItemType.BYTE_IO:
            content = reader[place.name].tobytes()
            _check_bytes(content, where, "cannot be loaded")
            planner.load_bytes(item, io.BytesIO(content))
            return
        array = _part(reader, place.name, item.storage_offsets, item.lengths)
        target = planner.resolve_tensor(item).detach()
        if tuple(target.shape) != array.shape:
            raise DczError(f"{where}: {array.shape} is to be loaded into {tuple(target.shape)}")
        target.copy_(from_array(array, item.storage_index.fqn))
        planner.commit_tensor(item, target)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return "://" not in os.fspath(checkpoint_id)


def _part(reader: Reader, name: str, offsets: Sequence[int], lengths: Sequence[int]) -> np.ndarray:
    """Part of a tensor, of which only the chunks that it touches are decoded."""
    if tuple(lengths) == reader.info(name).shape:
        return reader[name]
    part = reader.get_slice(name)[tuple(slice(at, at + n) for at, n in zip(offsets, lengths))]
    return np.ascontiguousarray(part)
