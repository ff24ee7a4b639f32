"""Select the kernel set in use."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from dcz.errors import UnsupportedError
from dcz.kernels.interface import Kernels

_forced: Kernels | None = None
# Seconds between warnings that the kernels are missing.
_DAY = 86_400


@cache
def available() -> dict[str, Kernels]:
    """Return the kernel sets of this install that this machine runs, by name, the fastest last."""
    from dcz.kernels.pure import PureKernels

    sets: list[Kernels] = [PureKernels(), *_native()]
    return {kernels.name: kernels for kernels in sets}


@cache
def _native() -> Sequence[Kernels]:
    try:
        from dcz.kernels import compiled
    except ImportError:
        return []
    return compiled.sets()


@cache
def _chosen() -> Kernels:
    wanted = os.environ.get("DCZ_KERNELS")
    if not wanted and _native():
        return _native()[-1]  # without importing the pure ones
    sets = available()
    if wanted:
        if wanted not in sets:
            raise UnsupportedError(
                f"DCZ_KERNELS={wanted}: this machine has no such kernel set; expected one of {', '.join(sets)}. "
                "Unset the variable to take the fastest"
            )
        return sets[wanted]
    if _said_today():
        return sets["pure"]
    warnings.warn(
        "dcz was installed without its C++ kernels and runs in pure Python: correct, but slower. "
        "Install a C++ compiler and reinstall dcz, or set DCZ_KERNELS=pure to silence this",
        RuntimeWarning,
        stacklevel=2,
    )
    return sets["pure"]


def _said_today() -> bool:
    """True if this user was told less than a day ago; remembers that it is told now. A folder for such things that
    cannot be written to is no reason to fail, nor to be silent."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    mark = os.path.join(folder, "dcz", "pure-python")
    try:
        if 0 <= time.time() - os.stat(mark).st_mtime < _DAY:
            return True
    except OSError:
        pass
    with suppress(OSError):
        os.makedirs(os.path.dirname(mark), exist_ok=True)
        with open(mark, "wb"):
            os.utime(mark)
    return False


def active() -> Kernels:
    """Return the kernel set in use."""
    return _forced or _chosen()


@contextmanager
def use(kernels: Kernels) -> Iterator[None]:
    """Force a kernel set within a context, in all threads: for tests and benchmarks."""
    global _forced
    before, _forced = _forced, kernels
    try:
        yield
    finally:
        _forced = before
