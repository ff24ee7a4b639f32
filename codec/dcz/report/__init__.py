"""Where the bytes go: tables of what is stored, and of what every layout would take."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcz.report.comparison import compare
    from dcz.report.storage import StorageReport, TensorStorage
    from dcz.report.stored import StoredFile, StoredTensor, stored_file

# Loaded when first asked for: `dcz inspect` has no use for the readers of other files.
_LAZY = {
    "StorageReport": "storage",
    "StoredFile": "stored",
    "StoredTensor": "stored",
    "TensorStorage": "storage",
    "compare": "comparison",
    "stored_file": "stored",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'dcz.report' has no attribute {name!r}")
    value = getattr(import_module(f"dcz.report.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


__all__ = ["StorageReport", "StoredFile", "StoredTensor", "TensorStorage", "compare", "stored_file"]
