"""HDF5 files of weights, read one dataset at a time by h5py.

A tensor's name is its dataset's path. Its attributes become its metadata: their values under `hdf5`, their types and
order under `hdf5.types`. Those of groups are under the same keys, by the groups' paths, in the file's metadata, and
groups that datasets do not imply (empty ones, those that keep an order) under `hdf5.groups`: unpacking makes the file
again. External links, external storage and virtual datasets are refused: they would read other files of the machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from dcz import dtypes, limits
from dcz.convert.guard import Guard
from dcz.convert.hdf5_heaps import check_heaps
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.extras import require

if TYPE_CHECKING:
    import h5py

_MAX_DEPTH = 64
# Keras stores bfloat16, which HDF5 lacks, as two opaque bytes with this attribute.
DTYPE = "dtype"
VALUES, TYPES, GROUPS = "hdf5", "hdf5.types", "hdf5.groups"
_ERRORS = (RuntimeError, KeyError, OSError, TypeError, ValueError, OverflowError, AttributeError, MemoryError)


class Hdf5Model:
    """An HDF5 file: its datasets. A second hard link to a dataset is a second name."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        self._guard = guard or Guard(path)
        self._h5py = require("h5py", "hdf5", path)
        self.aliases: Mapping[str, str] = {}
        self.left_out: dict[str, str] = {}
        self._datasets: dict[str, tuple[h5py.Dataset, Dtype]] = {}
        self._seen: dict[object, str] = {}
        self._seconds: dict[str, str] = {}
        self._values: dict[str, dict[str, object]] = {}
        self._types: dict[str, list[list[object]]] = {}
        self._groups: list[list[object]] = []
        self._visits = 0
        self._checked = False
        self._stack = contextlib.ExitStack()
        try:
            members = self._open()
            with self._errors(self._path):
                self._walk(self._root["/"], "", 0)  # HDF5 does not report the order property of the file itself
            self._guard.check(self)
        except BaseException:
            self._stack.close()
            raise
        self.aliases = self._seconds
        kept: dict[str, Mapping[str, object]] = {VALUES: self._values, TYPES: self._types}
        found: dict[str, object] = {
            key: {n: v for n, v in value.items() if n not in self._datasets} for key, value in kept.items()
        }
        found |= {GROUPS: self._groups, "keras": members}
        self.metadata: Mapping[str, object] = {key: value for key, value in found.items() if value}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = {
            name: {key: value[name] for key, value in kept.items()} for name in self._datasets if name in self._values
        }

    @contextlib.contextmanager
    def _errors(self, where: str) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{where}: cannot be read as HDF5 ({error or type(error).__name__})") from None

    def _open(self) -> dict[str, object]:
        self._root = self._file(self._path)
        return {}

    def _file(self, place: str | BinaryIO) -> h5py.File:
        self._file_object = place
        try:
            return self._stack.enter_context(self._h5py.File(place, "r"))
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatError(f"{self._path}: not an HDF5 file, or one that is cut off ({error})") from None

    def _check_heaps(self) -> None:
        """Check the heaps once, and only of files with strings: it reads the file."""
        if not self._checked:
            self._checked = True
            if self._root.id.get_create_plist().get_sizes() != (8, 8):
                raise UnsupportedError(f"{self._path}: its addresses and lengths are not of 8 bytes each")
            if isinstance(self._file_object, str):
                with open(self._file_object, "rb") as file:
                    check_heaps(file, self._path)
            else:
                check_heaps(self._file_object, self._path)

    def _walk(self, group: h5py.Group, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise LimitError(f"{self._path}: groups are nested deeper than {_MAX_DEPTH} levels")
        self._keep_attributes(group, path or "/")
        children = list(group)
        self._keep_group(group, path or "/", children)
        for key in children:
            self._visits += 1
            if self._visits > limits.MAX_TENSORS:
                raise LimitError(
                    f"{self._path}: more than {limits.MAX_TENSORS} groups, datasets and links; save the weights alone"
                )
            name = f"{path}/{key}" if path else key
            if not isinstance(group.get(key, getlink=True), self._h5py.HardLink):
                raise UnsupportedError(
                    f"{self._path}: {name!r:.80} is a link to somewhere else, which is not followed; store the "
                    "dataset itself"
                )
            item = group[key]
            if isinstance(item, self._h5py.Group):
                where = self._identity(item)
                if where in self._seen:
                    raise FormatError(
                        f"{self._path}: group {name!r:.80}: is {self._seen[where]!r:.80} again; store it once"
                    )
                self._seen[where] = name
                self._walk(item, name, depth + 1)
            elif isinstance(item, self._h5py.Dataset):
                self._dataset(item, name)
            else:
                self.left_out[name] = "neither a group nor a dataset"

    def _keep_group(self, group: h5py.Group, path: str, children: list[str]) -> None:
        """Keep a group that the names of datasets do not imply: an empty one, or one with an order."""
        plist = group.id.get_create_plist()
        if plist.get_link_creation_order():
            self._groups.append([path, "ordered", children])
        elif not children and path != "/":
            self._groups.append([path, "empty", []])

    def _identity(self, item: h5py.HLObject) -> object:
        info = self._h5py.h5o.get_info(item.id)
        return info.fileno, info.addr

    def _dataset(self, item: h5py.Dataset, name: str) -> None:
        where = f"{self._path}: dataset {name!r:.80}"
        if item.is_virtual or item.external:
            raise UnsupportedError(f"{where} keeps its values in other files, which are not read")
        if item.shape is None:
            self.left_out[name] = "a dataset without values (a null dataspace)"
            return
        owner = self._seen.setdefault(self._identity(item), name)
        if owner != name:
            if owner in self.left_out:
                self.left_out[name] = self.left_out[owner]
            else:
                self._seconds[name] = owner
            return
        try:
            opaque = item.dtype.str == "|V2" and self._is_bfloat16(item)
            dtype = DTYPES["BF16"] if opaque else dtypes.by_numpy(item.dtype, where)
        except (UnsupportedError, TypeError) as error:
            self.left_out[name] = str(error).removeprefix(f"{where}: ")
            return
        allowed = self._guard.allowed
        if item.chunks is not None and prod(item.chunks) * dtype.itemsize > allowed:  # one is decompressed whole
            raise LimitError(f"{where}: chunks of {item.chunks} {dtype.code}; the limit is {allowed} bytes")
        self._keep_attributes(item, name)
        self._datasets[name] = item, dtype

    def _keep_attributes(self, item: h5py.HLObject, name: str) -> None:
        from dcz.convert import hdf5_attributes

        for key in item.attrs:
            what = f"attribute {key!r:.80} of {name!r:.80}"
            try:
                value, kind, shape = hdf5_attributes.read(item, key, f"{self._path}: {what}", self._check_heaps)
                key.encode()
            except hdf5_attributes.Unkept as error:
                self.left_out[what] = str(error)
            except UnicodeEncodeError:
                self.left_out[what] = "an attribute whose name is not valid UTF-8"
            else:
                self._values.setdefault(name, {})[key] = value
                self._types.setdefault(name, []).append([key, kind, shape])

    def _is_bfloat16(self, item: h5py.Dataset) -> bool:
        self._check_heaps()
        value = item.attrs.get(DTYPE)
        return isinstance(value, str) and value == "bfloat16"

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, dtype, tuple(item.shape)) for name, (item, dtype) in self._datasets.items()]

    def read(self, name: str) -> np.ndarray:
        item, dtype = self._datasets[name]
        with self._errors(f"{self._path}: dataset {name!r:.80}"):
            array = np.asarray(item[()])
        return array.view(dtype.numpy()) if array.dtype.kind == "V" else array

    def __enter__(self) -> Hdf5Model:
        return self

    def __exit__(self, *error: object) -> None:
        self._datasets.clear()
        self._stack.close()
