"""numpy's own files, npz and npy, one array at a time."""

from __future__ import annotations

import contextlib
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from dcz import dtypes
from dcz.convert.model import Tensor, resolved
from dcz.dtypes import Dtype
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.io.sinks import PathSink

_SUFFIX = ".npy"
# What numpy's format can name; ml_dtypes' types would come back as raw bytes.
_STORABLE = frozenset(code for code, dtype in dtypes.DTYPES.items() if dtype.in_numpy)
_ERRORS = (
    *(ValueError, EOFError, OSError, KeyError, SyntaxError, TypeError, RuntimeError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


class NpzModel:
    """An npz archive of arrays."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.metadata: Mapping[str, object] = {}
        self._path = os.fspath(path)
        file = open(path, "rb")  # a missing file is the operating system's to report
        try:
            self._zip = zipfile.ZipFile(file)
        except _ERRORS as error:
            file.close()
            raise FormatError(f"{self._path}: no npz archive ({error})") from None
        self._file = file
        try:
            self._members = self._list()
        except BaseException:
            self.__exit__()
            raise

    def _list(self) -> dict[str, tuple[str, Tensor]]:
        out: dict[str, tuple[str, Tensor]] = {}
        for member in self._zip.namelist():
            if not member.endswith(_SUFFIX):
                raise FormatError(f"{self._path}: member {member!r:.80} is no array (.npy)")
            name = member.removesuffix(_SUFFIX)
            if name in out:
                raise FormatError(f"{self._path}: array {name!r} is there twice")
            try:
                with self._zip.open(member) as file:
                    out[name] = member, _header(name, file)
            except UnsupportedError:
                raise
            except _ERRORS as error:
                raise FormatError(f"{self._path}: array {name!r} cannot be read ({error})") from None
        return out

    def tensors(self) -> list[Tensor]:
        return [tensor for _, tensor in self._members.values()]

    def read(self, name: str) -> np.ndarray:
        try:
            with self._zip.open(self._members[name][0]) as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except _ERRORS as error:
            raise FormatError(f"{self._path}: array {name!r} cannot be read ({error})") from None

    def __enter__(self) -> NpzModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()
        self._file.close()


class NpyModel:
    """A single array; its name is the file's."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.metadata: Mapping[str, object] = {}
        self._path = os.fspath(path)
        self._name = PurePosixPath(self._path).stem
        with open(path, "rb") as file:
            try:
                self._tensor = _header(self._name, file)
            except _ERRORS as error:
                if isinstance(error, UnsupportedError):
                    raise
                raise FormatError(f"{self._path}: no npy file ({error})") from None

    def tensors(self) -> list[Tensor]:
        return [self._tensor]

    def read(self, name: str) -> np.ndarray:
        try:
            return np.load(self._path, allow_pickle=False)
        except _ERRORS as error:
            raise FormatError(f"{self._path}: the array cannot be read ({error})") from None

    def __enter__(self) -> NpyModel:
        return self

    def __exit__(self, *error: object) -> None: ...


def _header(name: str, file) -> Tensor:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {shape}")
    return Tensor(name, dtypes.by_numpy(dtype, f"array {name!r}"), shape)


def check_storable(name: str, dtype: Dtype) -> None:
    """numpy's format has no name for bfloat16 and the small floats."""
    if dtype.code not in _STORABLE:
        raise UnsupportedError(
            f"tensor {name!r}: numpy files cannot hold {dtype.code}; write safetensors instead (-o NAME.safetensors)"
        )


class NpzTarget:
    """An uncompressed npz archive being written. Second names become copies."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None
        self._copies: dict[str, list[str]] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        for tensor, owner in resolved(tensors, aliases):
            check_storable(tensor.name, tensor.dtype)
            check_member(tensor.name)
            self._copies.setdefault(owner, []).append(tensor.name)
        self._sink = PathSink(self._path)
        self._zip = zipfile.ZipFile(self._sink.file, "w", allowZip64=True)

    def add(self, name: str, array: np.ndarray) -> None:
        for copy in self._copies[name]:
            info = zipfile.ZipInfo(copy + _SUFFIX)  # without a clock: the same tensors, the same bytes
            with self._zip.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)

    def close(self) -> None:
        assert self._sink is not None
        self._zip.close()
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(OSError, ValueError):  # left open, it would complain of its file later
                self._zip.close()
            self._sink.abandon()


class NpyTarget:
    """A single array being written."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        if len(tensors) + len(aliases) != 1:
            raise DczError(
                f"{os.fspath(self._path)}: an npy file holds one array, there are {len(tensors) + len(aliases)}; "
                "write npz or safetensors"
            )
        check_storable(tensors[0].name, tensors[0].dtype)
        self._sink = PathSink(self._path)

    def add(self, name: str, array: np.ndarray) -> None:
        assert self._sink is not None
        np.lib.format.write_array(self._sink.file, np.asarray(array), allow_pickle=False)

    def close(self) -> None:
        assert self._sink is not None
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            self._sink.abandon()


def check_member(name: str) -> None:
    """A name that would leave the folder an archive is unpacked in is refused."""
    parts = name.replace("\\", "/").split("/")
    if not name or ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in name:
        raise DczError(
            f"tensor {name!r:.80}: as a member of an archive this name could escape the folder it is unpacked in; "
            "write safetensors instead (-o NAME.safetensors)"
        )
