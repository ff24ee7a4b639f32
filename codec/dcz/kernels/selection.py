"""Select the kernel set in use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from dcz.errors import UnsupportedError
from dcz.kernels.interface import Kernels

_forced: Kernels | None = None


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
    warnings.warn(
        "dcz was installed without its C++ kernels and runs in pure Python: correct, but slower. "
        "Install a C++ compiler and reinstall dcz, or set DCZ_KERNELS=pure to silence this",
        RuntimeWarning,
        stacklevel=2,
    )
    return sets["pure"]


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
