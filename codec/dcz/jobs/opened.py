"""Models that stay open between tasks: each thread of a worker keeps a few, so that headers are read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from dcz.io.sources import is_url
from dcz.jobs import places

M = TypeVar("M")

# Models that a thread keeps open.
_KEPT = 4

_threads = threading.local()


def kept(kind: str, path: str, options: tuple[Any, ...], make: Callable[[], M]) -> M:
    """Return `make()`, or what it returned when it was last called in this thread for the same unchanged file."""
    own: OrderedDict[tuple[Any, ...], Any] = getattr(_threads, "kept", None) or OrderedDict()
    _threads.kept = own
    state = () if is_url(path) else tuple(places.fingerprint(path).values())
    key = (kind, path, options, state)
    found = own.pop(key, None)
    if found is None:
        while len(own) >= _KEPT:
            own.popitem(last=False)[1].__exit__(None, None, None)
        found = make()
    own[key] = found
    result: M = found
    return result


def close_all() -> None:
    """Close the models that this thread keeps."""
    own: OrderedDict[tuple[Any, ...], Any] = getattr(_threads, "kept", None) or OrderedDict()
    while own:
        own.popitem()[1].__exit__(None, None, None)
