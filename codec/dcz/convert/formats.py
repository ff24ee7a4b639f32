"""Which file is read and written by what: by extension, in one literal table."""

from __future__ import annotations

import os
from collections.abc import Callable

from dcz.container.sources import is_url
from dcz.convert.dcz_file import DczModel, DczTarget
from dcz.convert.model import Model, Target
from dcz.convert.net import NetModel
from dcz.convert.npz import NpyModel, NpyTarget, NpzModel, NpzTarget
from dcz.convert.safetensors import SafetensorsModel, SafetensorsTarget
from dcz.errors import DczError, UnsupportedError

_READERS: dict[str, Callable[..., Model]] = {
    ".dcz": DczModel,
    ".net": NetModel,
    ".npy": NpyModel,
    ".npz": NpzModel,
    ".safetensors": SafetensorsModel,
}
_WRITERS: dict[str, Callable[..., Target]] = {
    ".dcz": DczTarget,
    ".npy": NpyTarget,
    ".npz": NpzTarget,
    ".safetensors": SafetensorsTarget,
}
READABLE = tuple(_READERS)
WRITABLE = tuple(_WRITERS)


def _extension(path: str | os.PathLike[str], known: tuple[str, ...], what: str) -> str:
    extension = _remote_extension(path, what) if is_url(path) else os.path.splitext(os.fspath(path))[1].lower()
    if extension not in known:
        raise UnsupportedError(
            f"{os.fspath(path)}: {what} a file with the extension {extension or '(none)'} is not supported; "
            f"known are {', '.join(known)}"
        )
    return extension


def _remote_extension(url: str, what: str) -> str:
    """Of a URL; only dcz files are read and written where they are."""
    from dcz.container.remote import extension

    found = extension(url)
    if found != ".dcz":
        raise UnsupportedError(f"{url}: {what} {found or 'such'} files at URLs is not supported; copy the file first")
    return found


def open_model(path: str | os.PathLike[str], *, shapes: str | os.PathLike[str] | None = None) -> Model:
    """Opens a file to read its tensors. `shapes` goes with .net files."""
    extension = _extension(path, READABLE, "reading")
    if extension == ".net":
        return NetModel(path, shapes)
    if shapes is not None:
        raise DczError(f"{os.fspath(path)}: shapes are for .net files; {extension} files have their own")
    return _READERS[extension](path)


def open_target(path: str | os.PathLike[str], *, profile: str = "auto", threads: int | None = None) -> Target:
    """Opens a file to write tensors to. `profile` and `threads` go with .dcz files."""
    extension = _extension(path, WRITABLE, "writing")
    if extension == ".dcz":
        return DczTarget(path, profile=profile, threads=threads)
    return _WRITERS[extension](path)
