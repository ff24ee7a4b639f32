"""HDF5 files of weights, and the `.keras` archives that hold one: one dataset at a time, through h5py.

A tensor's name is its dataset's path. Attributes become metadata under `hdf5`, the other members of a `.keras`
archive (its configuration) under `keras`, so that unpacking makes a file that Keras loads. What points out of the
file (external links, external storage, virtual datasets) is refused: it would read files of the machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from dcz import dtypes
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES, Dtype
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.extras import need
from dcz.io.sinks import PathSink
from dcz.tensor import from_words, to_words

if TYPE_CHECKING:
    import h5py

_WEIGHTS = "model.weights.h5"
_MAX_MEMBERS = 8 << 20  # configuration, vocabularies: what is no weights of a .keras archive, all together
_MAX_DEPTH = 64
# Keras stores bfloat16, which HDF5 lacks, as two opaque bytes with this attribute.
_DTYPE = "dtype"
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, KeyError, ValueError)


class Hdf5Model:
    """An HDF5 file: its datasets. A second hard link to a dataset is a second name."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        os.stat(path)  # a missing file is the operating system's to report
        self._h5py = need("h5py", "hdf5", path)
        self.metadata: Mapping[str, object] = {}
        self.aliases: Mapping[str, str] = {}
        self._stack = contextlib.ExitStack()
        try:
            members = self._open()
            self._datasets: dict[str, tuple[h5py.Dataset, Dtype]] = {}
            self._seen: dict[object, str] = {}
            self._attributes: dict[str, dict[str, object]] = {}
            self._seconds: dict[str, str] = {}
            try:
                self._walk(self._root, "", 0)
            except (RuntimeError, KeyError, OSError, TypeError, ValueError) as error:
                if isinstance(error, DczError):
                    raise
                raise FormatError(f"{self._path}: cannot be read as HDF5 ({error})") from None
        except BaseException:
            self._stack.close()
            raise
        self.aliases = self._seconds
        self.metadata = {"hdf5": self._attributes} if self._attributes else {}
        if members:
            self.metadata = {**self.metadata, "keras": members}

    def _open(self) -> dict[str, object]:
        self._root = self._file(self._path)
        return {}

    def _file(self, place: str | BinaryIO) -> h5py.File:
        try:
            return self._stack.enter_context(self._h5py.File(place, "r"))
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatError(f"{self._path}: no HDF5 file, or one that is cut off ({error})") from None

    def _walk(self, group: h5py.Group, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise LimitError(f"{self._path}: groups nested deeper than {_MAX_DEPTH}")
        self._keep_attributes(group, path or "/")
        for key in group:
            name = f"{path}/{key}" if path else key
            if not isinstance(group.get(key, getlink=True), self._h5py.HardLink):
                raise UnsupportedError(f"{self._path}: {name!r:.80} is a link to somewhere else, which is not followed")
            item = group[key]
            if isinstance(item, self._h5py.Group):
                where = self._identity(item)
                if where in self._seen:
                    raise FormatError(f"{self._path}: group {name!r:.80} is {self._seen[where]!r:.80} again")
                self._seen[where] = name
                self._walk(item, name, depth + 1)
            elif isinstance(item, self._h5py.Dataset):
                self._dataset(item, name)
            else:
                raise UnsupportedError(f"{self._path}: {name!r:.80} is neither a group nor a dataset")

    def _identity(self, item: h5py.HLObject) -> object:
        info = self._h5py.h5o.get_info(item.id)
        return info.fileno, info.addr

    def _dataset(self, item: h5py.Dataset, name: str) -> None:
        where = f"{self._path}: dataset {name!r:.80}"
        if item.is_virtual or item.external:
            raise UnsupportedError(f"{where} keeps its values in other files, which are not read")
        if item.shape is None:
            raise UnsupportedError(f"{where} has no values (a null dataspace)")
        owner = self._seen.setdefault(self._identity(item), name)
        if owner != name:
            self._seconds[name] = owner
            return
        self._keep_attributes(item, name)
        opaque = item.dtype.str == "|V2" and self._attributes.get(name, {}).get(_DTYPE) == "bfloat16"
        self._datasets[name] = item, DTYPES["BF16"] if opaque else dtypes.by_numpy(item.dtype, where)

    def _keep_attributes(self, item: h5py.HLObject, name: str) -> None:
        found = {
            key: _plain(item.attrs[key], f"{self._path}: attribute {key!r:.80} of {name!r:.80}") for key in item.attrs
        }
        if found:
            self._attributes[name] = found

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, dtype, tuple(item.shape)) for name, (item, dtype) in self._datasets.items()]

    def read(self, name: str) -> np.ndarray:
        item, dtype = self._datasets[name]
        try:
            array = np.asarray(item[()])
        except (OSError, RuntimeError, ValueError) as error:
            raise FormatError(f"{self._path}: dataset {name!r:.80} cannot be read ({error})") from None
        return array.view(dtype.numpy()) if array.dtype.kind == "V" else array

    def __enter__(self) -> Hdf5Model:
        return self

    def __exit__(self, *error: object) -> None:
        self._datasets.clear()
        self._stack.close()


class KerasModel(Hdf5Model):
    """A `.keras` archive: the weights in it, and its configuration as metadata."""

    def _open(self) -> dict[str, object]:
        file = self._stack.enter_context(open(self._path, "rb"))
        try:
            archive = self._stack.enter_context(zipfile.ZipFile(file))
            infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            weights = infos.pop(_WEIGHTS)
            if len(infos) + 1 != sum(not info.is_dir() for info in archive.infolist()):
                raise FormatError(f"{self._path}: a member is there twice")
            if sum(info.file_size for info in infos.values()) > _MAX_MEMBERS:
                raise LimitError(f"{self._path}: what is beside the weights takes more than {_MAX_MEMBERS} bytes")
            members = {name: archive.read(info) for name, info in infos.items()}
            with archive.open(weights) as member:
                self._root = self._file(self._place(member, weights, file))
        except DczError:
            raise
        except _ZIP_ERRORS as error:
            raise FormatError(f"{self._path}: no .keras archive with {_WEIGHTS} ({error})") from None
        return {name: _text(data) for name, data in members.items()}

    def _place(self, member: BinaryIO, info: zipfile.ZipInfo, file: BinaryIO) -> BinaryIO:
        """The weights as a file: that part of the archive itself, or unpacked where they are compressed."""
        if info.compress_type == zipfile.ZIP_STORED:
            member.read(1)  # puts the archive's file at the member's bytes
            file.seek(info.header_offset + 26)
            lengths = file.read(4)
            start = (
                info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            )
            return io.BufferedReader(_Part(file, start, info.file_size))
        whole = self._stack.enter_context(tempfile.TemporaryFile())
        while part := member.read(1 << 20):
            whole.write(part)
        return whole


class _Part(io.RawIOBase):
    """Bytes of a larger file as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        done = self._file.readinto(view) or 0
        self._at += done
        return done


def _plain(value: object, where: str) -> object:
    """An attribute as metadata hold it."""
    if isinstance(value, np.ndarray):
        return [_plain(item, where) for item in value.tolist()]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bytes, bool, int, float, list)):
        return value
    raise UnsupportedError(f"{where}: a {type(value).__name__} cannot be kept")


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class Hdf5Target:
    """An HDF5 file being written: a dataset for each tensor, hard links for second names, and the attributes that
    metadata have under `hdf5`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._h5py = need("h5py", "hdf5", path)
        self._sink: PathSink | None = None
        self._root: h5py.File | None = None

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        names = {*aliases, *(tensor.name for tensor in tensors)}
        for name in names:
            parts = name.split("/")
            if not all(parts) or "." in parts or ".." in parts or "\0" in name:
                raise DczError(
                    f"tensor {name!r:.80}: this name is no path of an HDF5 dataset; write safetensors instead"
                )
            above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
            if taken := names.intersection(above):
                raise DczError(f"tensor {name!r:.80}: {min(taken)!r:.80} is a dataset, and cannot be its group, too")
        for tensor in tensors:
            code = tensor.dtype.code
            if code != "BF16" and not tensor.dtype.in_numpy:
                raise UnsupportedError(f"tensor {tensor.name!r}: HDF5 cannot hold {code}; write safetensors instead")
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._aliases = aliases
        attributes = metadata.get("hdf5")
        self._attributes = attributes if isinstance(attributes, Mapping) else {}
        self._sink = PathSink(self._path)
        self._root = self._start(metadata)

    def _start(self, metadata: Mapping[str, object]) -> h5py.File:
        assert self._sink is not None
        return self._h5py.File(self._sink.file, "w")

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._root is not None
        words = to_words(array, name)
        item = self._root.create_dataset(name, data=from_words(words.data, words.dtype, words.shape))
        if words.dtype.code == "BF16":
            item.attrs[_DTYPE] = "bfloat16"

    def close(self) -> None:
        self._finish()
        assert self._sink is not None
        self._sink.publish()

    def _finish(self) -> None:
        assert self._root is not None
        for name, owner in self._aliases.items():
            self._root[name] = self._root[owner]
        for name, attributes in self._attributes.items():
            if name == "/" or name in self._tensors or name in self._root:
                self._restore(self._root[name], name, attributes)
        self._root.close()

    def _restore(self, item: h5py.HLObject, name: str, attributes: object) -> None:
        for key, value in attributes.items() if isinstance(attributes, Mapping) else ():
            if key == _DTYPE and name in self._tensors and value == "bfloat16":
                continue  # says how the values are stored, which is known here
            try:
                item.attrs[key] = self._h5py.Empty("f") if value is None else value
            except (TypeError, ValueError, OSError, RuntimeError) as error:
                raise DczError(f"metadata: hdf5.{name}.{key}: cannot be an attribute ({error})") from None

    def abandon(self) -> None:
        if self._root is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                self._root.close()
        if self._sink is not None:
            self._sink.abandon()


class KerasTarget(Hdf5Target):
    """A `.keras` archive being written: one whose configuration was packed with its weights."""

    def _start(self, metadata: Mapping[str, object]) -> h5py.File:
        members = metadata.get("keras")
        if not isinstance(members, Mapping) or "config.json" not in members:
            raise DczError(
                f"{os.fspath(self._path)}: the metadata have no configuration of a Keras model; only what was packed from "
                "a .keras file can become one again; write NAME.weights.h5 instead"
            )
        self._members = members
        self._scratch = tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(self._path)))
        return self._h5py.File(self._scratch, "w")

    def _finish(self) -> None:
        super()._finish()
        assert self._sink is not None
        with zipfile.ZipFile(self._sink.file, "w", allowZip64=True) as archive:
            for name, data in self._members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
            self._scratch.seek(0)
            with archive.open(zipfile.ZipInfo(_WEIGHTS), "w", force_zip64=True) as file:
                while part := self._scratch.read(1 << 20):
                    file.write(part)
        self._scratch.close()

    def abandon(self) -> None:
        super().abandon()
        if hasattr(self, "_scratch"):
            self._scratch.close()
