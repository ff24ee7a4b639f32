"""The functions of `dcz` for NumPy arrays, with the signatures of `safetensors.numpy`: switching is one import."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dcz import api
from dcz.adapters import check_backend
from dcz.api import load
from dcz.saving import Progress

__all__ = ["load", "load_file", "save", "save_file"]


def save_file(
    tensor_dict: Mapping[str, np.ndarray],
    filename: str | os.PathLike[str] | BinaryIO,
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes arrays to a dcz file, bit for bit; see `dcz.save_file`.

    >>> import io, numpy, dcz.numpy
    >>> file = io.BytesIO()
    >>> dcz.numpy.save_file({"w": numpy.arange(3)}, file, {"step": "3"})
    >>> dcz.numpy.load(file.getvalue())
    {'w': array([0, 1, 2])}
    """
    api.save_file(tensor_dict, filename, metadata, profile=profile, threads=threads, progress=progress)


def save(
    tensor_dict: Mapping[str, np.ndarray],
    metadata: Mapping[str, object] | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
) -> bytes:
    """The same file as bytes; see `save_file`."""
    return api.save(tensor_dict, metadata, profile=profile, threads=threads)


def load_file(
    filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    backend: str = "mmap",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    out: Mapping[str, NDArray[Any]] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[Any]]:
    """Reads arrays from a dcz file; see `dcz.load_file`.

    `backend` is "mmap" or "pread", as in safetensors. It changes nothing: a dcz file is decoded as it is read."""
    check_backend(backend)
    return api.load_file(filename, names=names, threads=threads, out=out, max_bytes=max_bytes, progress=progress)
