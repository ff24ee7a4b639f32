"""Tables of stored sizes, and of the size of every layout."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dcz.container.summary import StoredFile, StoredTensor, stored_file
    from dcz.report.comparison import compare
    from dcz.report.storage import StorageReport, TensorStorage

# Loaded when first asked for: `dcz inspect` has no use for the readers of other files.
_LAZY = {
    "StorageReport": "report.storage",
    "StoredFile": "container.summary",
    "StoredTensor": "container.summary",
    "TensorStorage": "report.storage",
    "compare": "report.comparison",
    "stored_file": "container.summary",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'dcz.report' has no attribute {name!r}")
    value = getattr(import_module(f"dcz.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


__all__ = ["StorageReport", "StoredFile", "StoredTensor", "TensorStorage", "compare", "stored_file"]
