"""The values that options take: what shells complete them to, and what their help says.

They are literal, as importing the modules that use them takes longer than a shell should wait; tests compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

PROFILES = ("auto", "csr", "bitmap", "dense", "paper", "raw")
INITS = ("linear", "density", "random", "kmeans++", "optimal")
TRANSFORMS = ("auto", "step", "xor", "replace")
VIEWS = ("layouts", "tensors", "stages", "bars", "all")
SORTS = ("name", "bytes", "dense", "density", "ratio", "bits")
METRICS = ("cosine", "correlation", "top1")


def values(allowed: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell completes an option or an argument to.

    >>> values(PROFILES)("c")
    ['csr']
    """
    listed = list(allowed)

    def complete(incomplete: str) -> list[str]:  # typer goes by the name
        return [value for value in listed if value.lower().startswith(incomplete.lower())]

    return complete
