"""Libraries that only some users need: imported when they are, with one line that says how to install them."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType

from dcz.errors import MissingLibraryError


def require(module: str, extra: str, what: str | os.PathLike[str]) -> ModuleType:
    """Imports and returns `module`, without which there is no `what`: a feature, or a file that it reads.

    Raises `MissingLibraryError` that names the extra to install.

    >>> require("a_library_that_is_not_there", "torch", "dcz.torch")
    Traceback (most recent call last):
    dcz.errors.MissingLibraryError: dcz.torch needs a_library_that_is_not_there, which is not installed: \
pip install 'dcz[torch]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == library
        problem = "is not installed" if missing else f"cannot be imported ({error})"
        raise MissingLibraryError(
            f"{os.fspath(what)} needs {library}, which {problem}: pip install 'dcz[{extra}]'", name=module
        ) from (None if missing else error)
