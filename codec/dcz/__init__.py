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
    from dcz.calibrations import load_calibration, save_calibration
    from dcz.container import Reader, ShardedReader, TensorInfo
    from dcz.container.merge import merge
    from dcz.delta.opening import open_file as open
    from dcz.delta.reader import DeltaReader
    from dcz.delta.writer import Writer
    from dcz.deltas import apply_delta, fold, invert, rebase, save_delta, undo_delta, verify
    from dcz.handles import safe_open
    from dcz.lossy import Calibration, cluster, compress, prune
    from dcz.planning import plan, sensitivity
    from dcz.report import StorageReport, compare
    from dcz.sharding import save_sharded

# Loaded when first asked for, so that `import dcz` costs next to nothing.
_LAZY = {
    "Calibration": "dcz.lossy",
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
    "load_calibration": "dcz.calibrations",
    "load_file": "dcz.api",
    "merge": "dcz.container.merge",
    "open_file": "dcz.delta.opening",
    "plan": "dcz.planning",
    "prune": "dcz.lossy",
    "rebase": "dcz.deltas",
    "save": "dcz.api",
    "save_calibration": "dcz.calibrations",
    "save_delta": "dcz.deltas",
    "safe_open": "dcz.handles",
    "save_file": "dcz.api",
    "save_sharded": "dcz.sharding",
    "sensitivity": "dcz.planning",
    "undo_delta": "dcz.deltas",
    "verify": "dcz.deltas",
}
_MODULES = ("lossy", "numcodecs", "numpy", "planning", "zarr")
# Libraries of those that need one, where the names differ or there are two.
_NEEDS = {
    "hub": ("huggingface_hub", "torch"),
    "mlx": ("mlx.core",),
    "numcodecs": ("numcodecs",),
    "paddle": ("paddle",),
    "transformers": ("transformers", "torch"),
    "zarr": ("zarr", "numcodecs"),
}
# Integrations of frameworks, each an extra of its own.
_INTEGRATIONS = ("jax", "keras", "mlx", "onnx", "paddle", "tensorflow", "torch")
# Integrations of libraries that load models by folder.
_TOOLS = ("hub", "transformers", "vllm")


def __getattr__(name: str) -> object:
    if name == "open":
        value = __getattr__("open_file")
    elif name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
    elif name in (*_MODULES, *_INTEGRATIONS, *_TOOLS):
        value = import_module(f"dcz.{name}")
    else:
        raise AttributeError(f"module 'dcz' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Names that can be had: `help(dcz)` and completion ask for each, and fail at one whose library is missing."""
    from importlib.util import find_spec

    def there(name: str) -> bool:
        try:
            return all(map(find_spec, _NEEDS.get(name, (name,))))
        except (ImportError, ValueError):  # a library that is not whole
            return False

    modules = [name for name in _MODULES if name not in _NEEDS or there(name)]
    return sorted({*globals(), *__all__, *modules, *filter(there, (*_INTEGRATIONS, *_TOOLS))})


__all__ = [
    "BaseError",
    "Calibration",
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
    "load_calibration",
    "load_file",
    "merge",
    "open",
    "plan",
    "prune",
    "rebase",
    "safe_open",
    "save",
    "save_calibration",
    "save_delta",
    "save_file",
    "save_sharded",
    "sensitivity",
    "undo_delta",
    "verify",
]
