"""numpy's own files being written, npz and npy, one array at a time."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Mapping

import numpy as np

from dcz import limits
from dcz.convert.holding import NUMPY, cannot_hold
from dcz.convert.model import Tensor, resolved
from dcz.errors import DczError, LimitError
from dcz.io.sinks import PathSink

_SUFFIX = ".npy"
_DRIVE = re.compile("[A-Za-z]:")


def _check_held(tensor: Tensor, path: str | os.PathLike[str]) -> None:
    """Refuse a dtype that numpy's format cannot name."""
    if tensor.dtype.code not in NUMPY:
        raise cannot_hold(path, tensor, "numpy files")


class NpzTarget:
    """An uncompressed npz archive being written. Second names become copies."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._sink: PathSink | None = None
        self._copies: dict[str, list[str]] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        for tensor, owner in resolved(tensors, aliases):
            _check_held(tensor, self._path)
            check_member(tensor.name, self._path)
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
            with contextlib.suppress(OSError, ValueError):  # an open archive would raise an error when it is collected
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
        _check_held(tensors[0], self._path)
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


def check_member(name: str, path: str | os.PathLike[str], what: str = "tensor") -> None:
    """Refuse a name that would leave the folder an archive is unpacked in: absolute, on another drive, or above it."""
    parts = name.replace("\\", "/").split("/")
    if not name or ".." in parts or parts[0] == "" or _DRIVE.match(parts[0]) or "\0" in name:
        raise DczError(
            f"{os.fspath(path)}: {what} {name!r:.80}: as a member of an archive this name could escape the folder it "
            "is unpacked in; write safetensors instead (-o NAME.safetensors)"
        )
    if len(name.encode()) > limits.MAX_NAME_BYTES:
        raise LimitError(
            f"{os.fspath(path)}: {what} {name!r:.40}: {len(name.encode())} bytes; the limit is "
            f"{limits.MAX_NAME_BYTES}; shorten it"
        )
