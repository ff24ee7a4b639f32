"""Libraries of other formats: imported when such a file is opened, with a clear word where one is missing."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from dcz.errors import UnsupportedError


def need(module: str, extra: str, path: str | os.PathLike[str]) -> ModuleType:
    """A library that an extra of dcz installs; raises `UnsupportedError` that names the extra."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise UnsupportedError(
            f"{os.fspath(path)}: needs {library}, which is missing or broken ({error}); pip install 'dcz[{extra}]'"
        ) from None
