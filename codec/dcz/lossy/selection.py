"""Selection of the tensors that the lossy step changes, and the reason for each that it skips."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np

from dcz.errors import DczError
from dcz.lossy.flat import FLOATS, Stored, finite
from dcz.text import plural

# Weights below which a codebook and a mask save less than they cost; coremltools' number.
WEIGHT_THRESHOLD = 2048

_WILD = frozenset("*?[")


def check_tensors(tensors: object) -> None:
    """Refuses anything but a mapping of names to numpy arrays."""
    if not isinstance(tensors, Mapping):
        raise DczError(f"tensors: expected a mapping of names to arrays, found {type(tensors).__name__}")
    for name, array in tensors.items():
        if not isinstance(name, str):
            raise DczError(f"tensors: names are strings, found {name!r:.80}")
        if not isinstance(array, (np.ndarray, np.generic)):
            raise DczError(
                f"tensor {name!r}: expected a numpy array, found {type(array).__name__}; convert it with numpy.asarray"
            )


def select(
    tensors: Mapping[str, np.ndarray], names: Iterable[str] | None, weight_threshold: int, keep_nonfinite: bool
) -> tuple[list[str], dict[str, str]]:
    """Names of the tensors to work on, and why the others are left alone."""
    check_tensors(tensors)
    check_integer(weight_threshold, "weight_threshold", 0, 1 << 62)
    wanted = None if names is None else [names] if isinstance(names, str) else list(names)
    if wanted is not None:
        check_patterns(wanted, tensors, "names")
    chosen, skipped = [], {}
    for name, array in tensors.items():
        if wanted is not None and not any(matches(name, pattern) for pattern in wanted):
            skipped[name] = "it is not among names"
            continue
        requested = any(names_one(pattern) and pattern == name for pattern in wanted or ())
        reason = skip_reason(array.shape, array.dtype, weight_threshold=weight_threshold, requested=requested)
        reason = reason or check_finite(name, np.asarray(array), keep_nonfinite)
        if reason is None:
            chosen.append(name)
        else:
            skipped[name] = reason
    return chosen, skipped


def check_patterns(patterns: Iterable[str], names: Iterable[str], field: str) -> None:
    """Refuses a pattern that matches no name; the error lists the nearest names."""
    names = list(names)
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, 3, 0.3) or names[:3]
            raise DczError(
                f"{field}: {pattern!r} matches none of the {plural(len(names), 'tensor')}; "
                f"near it: {', '.join(near) or '(none)'}"
            )


def matches(name: str, pattern: str) -> bool:
    """True if a pattern equals the name or matches it as a file name pattern."""
    return name == pattern or fnmatchcase(name, pattern)


def names_one(pattern: str) -> bool:
    """True if a pattern is a plain name. That tensor is then requested, however small, bias or not."""
    return not _WILD & set(pattern)


def skip_reason(shape: tuple[int, ...], dtype: np.dtype, *, weight_threshold: int, requested: bool) -> str | None:
    """The reason, by shape and dtype, to leave a tensor alone; None if there is none."""
    size = int(np.prod(shape, dtype=np.int64))
    if dtype.name not in FLOATS:
        return f"dtype {dtype.name} has no weights to round"
    if size == 0:
        return "it is empty"
    if requested:
        return None
    if len(shape) < 2:
        return "a bias or norm, of fewer than two dimensions, not named"
    if size < weight_threshold:
        return f"{plural(size, 'weight')}, fewer than weight_threshold={weight_threshold}"
    return None


def check_finite(name: str, array: np.ndarray | Stored, keep_nonfinite: bool) -> str | None:
    """Refuses NaN and infinity, or with `keep_nonfinite` says that they are why the tensor is left alone."""
    if finite(array):
        return None
    if keep_nonfinite:
        return "it has NaN or infinity"
    raise DczError(
        f"tensor {name!r}: has NaN or infinity, which cannot be pruned or clustered; "
        "repair the weights, or keep such tensors as they are (keep_nonfinite=True, --keep-nonfinite)"
    )


def check_number(value: object, field: str, least: float, most: float, *, open_left: bool = False) -> float:
    """A real number within bounds."""
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not good or not least <= value <= most or (open_left and value == least):  # type: ignore[operator]
        bracket = "(" if open_left else "["
        raise DczError(f"{field}: expected a number in {bracket}{least:g}, {most:g}], found {value!r:.80}")
    return float(value)  # type: ignore[arg-type]


def check_integer(value: object, field: str, least: int, most: int) -> int:
    """An integer within bounds."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise DczError(f"{field}: expected an integer from {least} to {most}, found {value!r:.80}")
    return int(value)


def check_choice(value: object, field: str, allowed: Iterable[str]) -> str:
    """One of a few words."""
    allowed = tuple(allowed)
    for each in allowed:
        if value == each:
            return each
    raise DczError(f"{field}: {value!r:.80} is unknown; expected one of {', '.join(allowed)}")
