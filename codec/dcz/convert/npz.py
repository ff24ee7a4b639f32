"""numpy's own files, npz and npy, one array at a time.

Nothing is unpickled. A file that goes on after its array is refused: several calls of `np.save` to one open file make
such a file, of which `np.load` reads the first array alone.
"""

from __future__ import annotations

import io
import os
import tokenize
import zipfile
from collections.abc import Mapping
from math import prod
from pathlib import PurePosixPath
from typing import IO, NamedTuple

import numpy as np

from dcz import dtypes, limits
from dcz.convert.archives import ARCHIVE_ERRORS, check_alone, open_member, piece_of
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.tensor.shapes import check_shape
from dcz.text import plural

_SUFFIX = ".npy"
_MAX_HEADER = 10_000  # numpy's own limit for untrusted files
_ERRORS = (*ARCHIVE_ERRORS, SyntaxError, tokenize.TokenError)
_PICKLE = (
    "holds Python objects as a pickle, which could run code and is not read; where you trust it, load it with "
    "np.load(..., allow_pickle=True) and save its arrays alone: np.savez(NAME, **arrays)"
)


class _Header(NamedTuple):
    tensor: Tensor
    stored: np.dtype
    fortran: bool


class NpzModel:
    """An npz archive of arrays. Other members are left out."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self.metadata: Mapping[str, object] = {}
        self.left_out: dict[str, str] = {}
        self._path = os.fspath(path)
        self._guard = guard or Guard(path, ".npz")
        file = open(path, "rb")
        try:
            self._zip = zipfile.ZipFile(file)
        except _ERRORS as error:
            file.close()
            raise FormatError(f"{self._path}: not an npz archive ({error})") from None
        self._file = file
        try:
            check_alone(self._zip, self._path)
            self._members = self._list()
            self._guard.check(self)
        except BaseException:
            self.__exit__()
            raise

    def _list(self) -> dict[str, tuple[zipfile.ZipInfo, _Header]]:
        out: dict[str, tuple[zipfile.ZipInfo, _Header]] = {}
        infos = self._zip.infolist()
        if len(infos) > limits.MAX_TENSORS:
            raise LimitError(f"{self._path}: {len(infos)} members; the limit is {limits.MAX_TENSORS}")
        for info in infos:
            name = info.filename.removesuffix(_SUFFIX)
            if info.filename.endswith("/") and not info.file_size:
                continue
            if not info.filename.endswith(_SUFFIX):
                self.left_out[name] = "a member that is not an array (.npy)"
                continue
            where = f"{self._path}: array {name!r:.80}"
            if name in out or name in self.left_out:
                raise FormatError(f"{where}: duplicate name")
            try:
                with open_member(self._zip, info) as file:
                    out[name] = info, _header(name, file, where)
            except UnsupportedError as error:
                self.left_out[name] = str(error).removeprefix(f"{where}: ")
            except _ERRORS as error:
                if isinstance(error, DczError):
                    raise
                raise FormatError(f"{where}: cannot be read ({_said(error)})") from None
        return out

    def tensors(self) -> list[Tensor]:
        return [header.tensor for _, header in self._members.values()]

    def read(self, name: str) -> np.ndarray:
        info, header = self._members[name]
        try:
            with open_member(self._zip, info) as file:
                return _array(file, f"{self._path}: array {name!r:.80}", header, piece_of(info))
        except _ERRORS as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{self._path}: array {name!r:.80}: cannot be read ({_said(error)})") from None

    def __enter__(self) -> NpzModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()
        self._file.close()


class NpyModel:
    """A single array; its name is the file's."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self.metadata: Mapping[str, object] = {}
        self._path = os.fspath(path)
        self._guard = guard or Guard(path, ".npy")
        with open(path, "rb") as file:
            try:
                self._header = _header(PurePosixPath(self._path).stem, file, self._path)
            except _ERRORS as error:
                if isinstance(error, DczError):
                    raise
                raise FormatError(f"{self._path}: not an npy file ({_said(error)})") from None
        self._guard.check(self)

    def tensors(self) -> list[Tensor]:
        return [self._header.tensor]

    def read(self, name: str) -> np.ndarray:
        with open(self._path, "rb") as file:
            try:
                return _array(file, self._path, self._header, 1 << 20)
            except _ERRORS as error:
                if isinstance(error, (DczError, OSError)):
                    raise
                raise FormatError(f"{self._path}: the array cannot be read ({_said(error)})") from None

    def __enter__(self) -> NpyModel:
        return self

    def __exit__(self, *error: object) -> None: ...


def _said(error: Exception) -> str:
    return f"{str(error) or type(error).__name__:.200}"


def _header(name: str, file: IO[bytes], where: str) -> _Header:
    """Read the header of an array; its length is checked before it is parsed."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format is not known; expected 1.0, 2.0 or 3.0")
    start = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(start, "little")
    if length > _MAX_HEADER:
        raise LimitError(f"{where}: a header of {length} bytes; the limit is {_MAX_HEADER}")
    text = start + file.read(length)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, stored = read(io.BytesIO(text))
    except RecursionError:
        raise FormatError(f"{where}: cannot be read (its header is nested too deep)") from None
    if stored.hasobject:
        raise UnsupportedError(f"{where}: {_PICKLE}")
    lengths = check_shape(shape, where)
    # Numpy writes the names of ml_dtypes' types as raw bytes; of two bytes there is one.
    dtype = DTYPES["BF16"] if stored.str == "|V2" else dtypes.by_numpy(stored, where)
    return _Header(Tensor(name, dtype, lengths), stored, fortran)


def _array(file: IO[bytes], where: str, expected: _Header, piece: int) -> np.ndarray:
    """Read an array whose header is known, and check that its bytes are all there and the last."""
    header = _header(expected.tensor.name, file, where)
    if header != expected:
        raise FormatError(f"{where}: changed while it was read")
    shape = header.tensor.shape
    data = np.empty(prod(shape) * header.stored.itemsize, np.uint8)
    done, view = 0, data.data
    while done < len(data):
        part = file.read(min(piece, len(data) - done))
        if not part:
            raise TruncatedError(
                f"{where}: {plural(len(data) - done, 'byte')} short ({done} of {len(data)}); finish the download"
            )
        view[done : done + len(part)] = part
        done += len(part)
    if file.read(1):
        raise FormatError(
            f"{where}: goes on after its array, as a file does that several arrays were saved to; np.load reads the "
            "first alone. Save each to its own file, or all by np.savez"
        )
    array = data.view(header.stored).reshape(shape[::-1] if header.fortran else shape)
    array = array.T if header.fortran else array
    return array.view(header.tensor.dtype.numpy()) if header.stored.kind == "V" else array
