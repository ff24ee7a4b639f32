"""HDF5 files being written: the groups, datasets, links and attributes that metadata describe, in their order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dcz.convert.hdf5 import DTYPE, GROUPS, TYPES, VALUES
from dcz.convert.holding import HDF5, cannot_hold
from dcz.convert.model import Tensor, tensor_metadata
from dcz.errors import DczError
from dcz.extras import require
from dcz.io.sinks import PathSink
from dcz.tensor import to_words

if TYPE_CHECKING:
    import h5py


class Hdf5Target:
    """An HDF5 file being written: a dataset for each tensor, hard links for second names, and the groups and
    attributes that metadata of the file and of its tensors have under `hdf5`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._h5py = require("h5py", "hdf5", path)
        self._sink: PathSink | None = None
        self._root: h5py.File | None = None
        self._about: Mapping[str, Mapping[str, object]] = {}

    def source(self, model: object) -> None:
        """Note the model that the tensors come from: it may know their attributes."""
        self._about = tensor_metadata(model)

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._aliases = aliases
        names = {*aliases, *self._tensors}
        self._check_names(names)
        for tensor in tensors:
            if tensor.dtype.code not in HDF5:
                raise cannot_hold(self._path, tensor, "HDF5")
        self._values, self._types = (self._attributes(metadata, key) for key in (VALUES, TYPES))
        groups = self._groups(metadata.get(GROUPS, []), names)
        self._sink = PathSink(self._path)
        self._root = self._start(metadata, groups.get("/") is not None)
        self._make(names, groups)

    def _error(self, text: str) -> DczError:
        return DczError(f"{os.fspath(self._path)}: {text}")

    def _check_names(self, names: Iterable[str]) -> None:
        known = set(names)
        for name in known:
            parts = name.split("/")
            if not _is_path(name):
                raise self._error(f"tensor {name!r:.80}: this name is not a path of an HDF5 dataset; write safetensors")
            above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
            if taken := known.intersection(above):
                raise self._error(f"tensor {name!r:.80}: {min(taken)!r:.80} is a dataset, and cannot be its group, too")

    def _attributes(self, metadata: Mapping[str, object], key: str) -> Mapping[str, object]:
        """Return what the metadata of the file, its groups and its tensors have under a key, by path."""
        own = {name: about[key] for name, about in self._about.items() if key in about}
        return {**self._mapping(metadata, key), **own}

    def _mapping(self, metadata: Mapping[str, object], key: str) -> Mapping[str, object]:
        found = metadata.get(key, {})
        if not isinstance(found, Mapping):
            raise self._error(f"metadata: {key}: expected a mapping, found {type(found).__name__}")
        return found

    def _groups(self, found: object, names: set[str]) -> dict[str, list[str] | None]:
        """Return the groups that metadata name, with the order of their members or None."""
        out: dict[str, list[str] | None] = {}
        for each in found if isinstance(found, list) else [found]:
            match each:
                case [str(path), "ordered" | "empty" as kind, [*keys]] if all(isinstance(key, str) for key in keys):
                    if path != "/" and not _is_path(path):
                        raise self._error(f"metadata: {GROUPS}: {path!r:.80} is not the path of a group")
                    if path not in names:
                        out[path] = [str(key) for key in keys] if kind == "ordered" else None
                case _:
                    raise self._error(f"metadata: {GROUPS}: expected [path, kind, keys], found {each!r:.80}")
        return out

    def _start(self, metadata: Mapping[str, object], ordered: bool) -> h5py.File:
        assert self._sink is not None
        return self._h5py.File(self._sink.file, "w", track_order=ordered)

    def _make(self, names: set[str], groups: Mapping[str, list[str] | None]) -> None:
        """Make all groups and datasets, in the order that their groups keep."""
        assert self._root is not None
        for path in _in_order({*names, *groups} - {"/"}, groups):
            if path in self._aliases:
                if self._aliases[path] in self._root:
                    self._root[path] = self._root[self._aliases[path]]
            elif path in self._tensors:
                tensor = self._tensors[path]
                bfloat16 = tensor.dtype.code == "BF16"
                item = self._root.create_dataset(path, tensor.shape, "V2" if bfloat16 else tensor.dtype.numpy())
                if bfloat16 and not self._types.get(path):
                    item.attrs[DTYPE] = "bfloat16"
            elif path not in self._root:
                self._root.create_group(path, track_order=groups.get(path) is not None)

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._root is not None
        words = to_words(array, name)
        if len(words.data):
            item = self._root[name]
            item[()] = words.data.view(item.dtype).reshape(words.shape)

    def close(self) -> None:
        self._finish()
        assert self._sink is not None
        self._sink.publish()

    def _finish(self) -> None:
        assert self._root is not None
        for name, owner in self._aliases.items():
            if name not in self._root:
                self._root[name] = self._root[owner]
        for name, attributes in self._values.items():
            if name == "/" or name in self._tensors or (_is_path(name) and name in self._root):
                self._restore(self._root[name], name, attributes)
        for name, tensor in self._tensors.items():
            if tensor.dtype.code == "BF16" and self._root[name].attrs.get(DTYPE) != "bfloat16":
                self._root[name].attrs[DTYPE] = "bfloat16"
        self._root.close()

    def _restore(self, item: h5py.HLObject, name: str, values: object) -> None:
        from dcz.convert import hdf5_attributes

        where = f"{os.fspath(self._path)}: metadata: hdf5: {name!r:.80}"
        types = self._types.get(name, [])
        if not isinstance(values, Mapping) or not isinstance(types, list):
            raise DczError(f"{where}: expected a mapping of attributes and a list of their types")
        left = dict(values)
        for each in types:
            match each:
                case [str(key), str(kind), shape] if shape is None or isinstance(shape, list):
                    if key in left:
                        hdf5_attributes.write(item, key, left.pop(key), kind, shape, f"{where}: {key!r:.80}")
                case _:
                    raise DczError(f"{where}: expected [name, type, shape], found {each!r:.80}")
        for key, value in left.items():
            if key in item.attrs:
                continue
            try:
                item.attrs[key] = self._h5py.Empty("f") if value is None else value
            except (TypeError, ValueError, OSError, RuntimeError) as error:
                raise DczError(f"{where}: {key!r:.80}: cannot be an attribute ({error})") from None

    def abandon(self) -> None:
        if self._root is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                self._root.close()
        if self._sink is not None:
            self._sink.abandon()


def _is_path(name: str) -> bool:
    parts = name.split("/")
    return all(parts) and "." not in parts and ".." not in parts and "\0" not in name


def _in_order(paths: set[str], groups: Mapping[str, list[str] | None]) -> list[str]:
    """Return all paths, groups before their members, and members of an ordered group in its order."""
    children: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for depth in range(len(parts)):
            children.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    out: list[str] = []
    stack = [""]
    while stack:
        path = stack.pop()
        if path:
            out.append(path)
        inside = children.get(path, set())
        first = [key for key in dict.fromkeys(groups.get(path or "/") or ()) if key in inside]
        keys = [*first, *sorted(inside.difference(first))]
        stack.extend(f"{path}/{key}" if path else key for key in reversed(keys))
    return out
