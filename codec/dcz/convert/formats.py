"""The table of file formats: the reader and the writer of each extension."""

from __future__ import annotations

import os
from collections.abc import Callable

from dcz.container.shards import SUFFIX
from dcz.convert.bitmask import with_dense_bitmasks
from dcz.convert.coreml import CoremlModel
from dcz.convert.dcz_file import DczModel, DczTarget
from dcz.convert.dfloat11 import with_plain_dfloat11
from dcz.convert.gguf import GgufModel, GgufTarget
from dcz.convert.guard import Guard
from dcz.convert.hdf5 import Hdf5Model
from dcz.convert.hdf5_writer import Hdf5Target
from dcz.convert.keras_archive import KerasModel, KerasTarget
from dcz.convert.model import Model, Target
from dcz.convert.net import NetModel
from dcz.convert.npz import NpyModel, NpzModel
from dcz.convert.npz_writer import NpyTarget, NpzTarget
from dcz.convert.onnx import OnnxModel
from dcz.convert.safetensors import SafetensorsModel, SafetensorsTarget
from dcz.convert.shards import ShardedModel, ShardedTarget
from dcz.convert.tflite import TfliteModel
from dcz.convert.torch import TorchModel
from dcz.convert.torch_writer import TorchTarget
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.io.sources import is_url


def _sharded(path: str | os.PathLike[str], guard: Guard) -> Model:
    return ShardedModel(path, guard, _open_shard)


def _open_shard(path: str, guard: Guard) -> Model:
    extension = _extension(path, READABLE, "reading")
    if extension.endswith(SUFFIX):
        raise FormatError(f"{guard.path}: weight_map: {os.path.basename(path)!r:.80} is an index itself")
    guard.beside(path, extension)
    return _READERS[extension](path, guard)


def _open_safetensors_shard(path: str, guard: Guard) -> Model:
    guard.beside(path, ".safetensors")
    return SafetensorsModel(path, guard)


Shapes = str | os.PathLike[str] | None


def _safetensors(path: str | os.PathLike[str], guard: Guard, shapes: Shapes = None) -> Model:
    return with_plain_dfloat11(with_dense_bitmasks(SafetensorsModel(path, guard), guard), guard, shapes)


def _sharded_safetensors(path: str | os.PathLike[str], guard: Guard, shapes: Shapes = None) -> Model:
    model = ShardedModel(path, guard, _open_safetensors_shard)
    return with_plain_dfloat11(with_dense_bitmasks(model, guard), guard, shapes)


_READERS: dict[str, Callable[..., Model]] = {
    ".bin": TorchModel,
    ".bin.index.json": _sharded,
    ".ckpt": TorchModel,
    ".dcz": DczModel,
    ".dcz.index.json": _sharded,
    ".gguf": GgufModel,
    ".h5": Hdf5Model,
    ".hdf5": Hdf5Model,
    ".keras": KerasModel,
    ".mlmodel": CoremlModel,
    ".mlpackage": CoremlModel,
    ".net": NetModel,
    ".npy": NpyModel,
    ".npz": NpzModel,
    ".onnx": OnnxModel,
    ".pt": TorchModel,
    ".pth": TorchModel,
    ".pth.tar": TorchModel,
    ".safetensors": _safetensors,
    ".safetensors.index.json": _sharded_safetensors,
    ".tflite": TfliteModel,
}
_WRITERS: dict[str, Callable[..., Target]] = {
    ".bin": TorchTarget,
    ".bin.index.json": ShardedTarget,
    ".dcz": DczTarget,
    ".dcz.index.json": ShardedTarget,
    ".gguf": GgufTarget,
    ".h5": Hdf5Target,
    ".hdf5": Hdf5Target,
    ".keras": KerasTarget,
    ".npy": NpyTarget,
    ".npz": NpzTarget,
    ".pt": TorchTarget,
    ".pth": TorchTarget,
    ".pth.tar": TorchTarget,
    ".safetensors": SafetensorsTarget,
    ".safetensors.index.json": ShardedTarget,
}
READABLE = tuple(_READERS)
# Formats that have no shapes, or have none where they hold DFloat11.
SHAPED = (".net", ".safetensors", ".safetensors.index.json")
WRITABLE = tuple(_WRITERS)


def extension_of(path: str | os.PathLike[str], known: tuple[str, ...]) -> str | None:
    """Return the longest known extension of a name."""
    name = os.path.basename(os.path.normpath(os.fspath(path))).lower()
    found = [extension for extension in known if name.endswith(extension) and name != extension]
    return max(found, key=len, default=None)


def _extension(path: str | os.PathLike[str], known: tuple[str, ...], what: str) -> str:
    extension = _remote_extension(path, what) if is_url(path) else extension_of(path, known)
    if extension not in known:
        found = extension or os.path.splitext(os.fspath(path))[1].lower()
        raise UnsupportedError(
            f"{os.fspath(path)}: {what} a file with the extension {found or '(none)'} is not supported; "
            f"expected one of {', '.join(known)}"
        )
    return extension


# Formats that are read a range at a time, so that a server can send them.
_REMOTE = (".dcz", ".dcz.index.json", ".safetensors", ".safetensors.index.json")


def _remote_extension(url: str, what: str) -> str:
    """Return the extension of a URL, one of those that are read remotely; only dcz files are written."""
    from dcz.io.remote import extension

    name = url.partition("::")[0].partition("?")[0].partition("#")[0]
    found = extension_of(name, _REMOTE) or extension(url)
    if found not in (_REMOTE if what == "reading" else (".dcz", ".dcz" + SUFFIX)):
        raise UnsupportedError(f"{url}: {what} {found or 'such'} files at URLs is not supported; copy the file first")
    return found


def open_model(
    path: str | os.PathLike[str],
    *,
    shapes: str | os.PathLike[str] | None = None,
    max_bytes: int | None = None,
) -> Model:
    """Open a file to read its tensors. `shapes` belongs to .net files and DFloat11; `max_bytes` bounds the bytes of all
    tensors, by default a generous multiple of the file's size."""
    extension = _extension(path, READABLE, "reading")
    if is_url(path) and extension == ".dcz":
        return DczModel(path)
    if shapes is not None and extension not in SHAPED:
        raise DczError(f"{os.fspath(path)}: shapes are for .net files and DFloat11; {extension} files have their own")
    guard = Guard(path, extension, max_bytes)
    model = _READERS[extension](path, guard) if shapes is None else _READERS[extension](path, guard, shapes)
    try:
        guard.check(model)
    except BaseException:
        model.__exit__()
        raise
    return model


def check_target(path: str | os.PathLike[str], shard_size: int | None = None) -> str:
    """Return the extension of a file to write; it is known, and that of an index if there is a shard size."""
    extension = _extension(path, WRITABLE, "writing")
    if shard_size is not None and not extension.endswith(SUFFIX):
        raise DczError(
            f"{os.fspath(path)}: a shard size is for several files; name their index, such as model{extension}{SUFFIX}"
        )
    return extension


def open_target(
    path: str | os.PathLike[str],
    *,
    profile: str = "auto",
    threads: int | None = None,
    shard_size: int | None = None,
    replace: bool = True,
    source: str | os.PathLike[str] | None = None,
    portable: bool = False,
) -> Target:
    """Open a file to write tensors to.

    `profile`, `portable` and `threads` belong to .dcz files, `shard_size` in bytes to the index of shards, and so does
    `replace`, whether existing files may be replaced. `source` is the file being read: it is never removed."""
    extension = check_target(path, shard_size)
    if extension.endswith(SUFFIX) and is_url(path):  # several files at a store take a job, which knows what is whole
        raise UnsupportedError(f"{path}: only a job writes several files to a URL; see dcz.jobs.pack")
    if extension.endswith(SUFFIX):

        def open_one(part: str) -> Target:
            return open_target(part, profile=profile, threads=threads, portable=portable)

        return ShardedTarget(path, extension.removesuffix(SUFFIX), open_one, shard_size, replace, source)
    if extension == ".dcz":
        return DczTarget(path, profile=profile, threads=threads, portable=portable)
    return _WRITERS[extension](path)
