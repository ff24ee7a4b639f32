"""Pruned and clustered neural network weights, small on disk: Deep Compression (Han, Mao, Dally, ICLR 2016)
as a file format and codec."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from dcz.errors import (
    BaseError,
    ChecksumError,
    DczError,
    FormatError,
    LimitError,
    MissingLibraryError,
    TruncatedError,
    UnsupportedError,
)
from dcz.version import __version__

if TYPE_CHECKING:
    from dcz.api import load, load_file, save, save_file
    from dcz.container import Reader, ShardedReader, TensorInfo
    from dcz.container.merge import merge
    from dcz.delta.opening import open_file as open
    from dcz.delta.reader import DeltaReader
    from dcz.delta.writer import Writer
    from dcz.deltas import apply_delta, fold, invert, rebase, save_delta, undo_delta, verify
    from dcz.handles import safe_open
    from dcz.lossy import cluster, compress, prune
    from dcz.planning import plan, sensitivity
    from dcz.report import StorageReport, compare
    from dcz.sharding import save_sharded

# Loaded when first asked for, so that `import dcz` costs next to nothing.
_LAZY = {
    "DeltaReader": "dcz.delta.reader",
    "Reader": "dcz.container.reader",
    "ShardedReader": "dcz.container.sharded",
    "StorageReport": "dcz.report",
    "TensorInfo": "dcz.container.reader",
    "Writer": "dcz.delta.writer",
    "apply_delta": "dcz.deltas",
    "cluster": "dcz.lossy",
    "compare": "dcz.report",
    "compress": "dcz.lossy",
    "fold": "dcz.deltas",
    "invert": "dcz.deltas",
    "load": "dcz.api",
    "load_file": "dcz.api",
    "merge": "dcz.container.merge",
    "open_file": "dcz.delta.opening",
    "plan": "dcz.planning",
    "prune": "dcz.lossy",
    "rebase": "dcz.deltas",
    "save": "dcz.api",
    "save_delta": "dcz.deltas",
    "safe_open": "dcz.handles",
    "save_file": "dcz.api",
    "save_sharded": "dcz.sharding",
    "sensitivity": "dcz.planning",
    "undo_delta": "dcz.deltas",
    "verify": "dcz.deltas",
}
_MODULES = ("lossy", "numcodecs", "numpy", "planning", "zarr")
# Integrations of frameworks, each an extra of its own.
_INTEGRATIONS = ("jax", "keras", "mlx", "onnx", "paddle", "tensorflow", "torch")


def __getattr__(name: str) -> object:
    if name == "open":
        value = __getattr__("open_file")
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    elif name in _MODULES or name in _INTEGRATIONS:
        value = import_module(f"dcz.{name}")
    else:
        raise AttributeError(f"module 'dcz' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from importlib.util import find_spec

    return sorted({*globals(), *__all__, *_MODULES, *filter(find_spec, _INTEGRATIONS)})


__all__ = [
    "BaseError",
    "ChecksumError",
    "DczError",
    "DeltaReader",
    "FormatError",
    "LimitError",
    "MissingLibraryError",
    "Reader",
    "ShardedReader",
    "StorageReport",
    "TensorInfo",
    "TruncatedError",
    "UnsupportedError",
    "Writer",
    "__version__",
    "apply_delta",
    "cluster",
    "compare",
    "compress",
    "fold",
    "invert",
    "load",
    "load_file",
    "merge",
    "open",
    "plan",
    "prune",
    "rebase",
    "safe_open",
    "save",
    "save_delta",
    "save_file",
    "save_sharded",
    "sensitivity",
    "undo_delta",
    "verify",
]
