"""Libraries that only some users need: imported when they are, with one line that says how to install them."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from dcz.errors import UnsupportedError


def require(module: str, extra: str, what: str) -> None:
    """Imports `module`, without which there is no `what`; raises `ImportError` that names the extra to install.

    >>> require("a_library_that_is_not_there", "torch", "dcz.torch")
    Traceback (most recent call last):
    ImportError: dcz.torch needs a_library_that_is_not_there, which is not installed: pip install 'dcz[torch]'
    """
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and lacks something of its own
        raise ImportError(
            f"{what} needs {module}, which is not installed: pip install 'dcz[{extra}]'", name=module
        ) from None


def need(module: str, extra: str, path: str | os.PathLike[str]) -> ModuleType:
    """The library that reads a file; raises `UnsupportedError` that names the file and the extra to install."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise UnsupportedError(
            f"{os.fspath(path)}: needs {library}, which is missing or broken ({error}); pip install 'dcz[{extra}]'"
        ) from None
