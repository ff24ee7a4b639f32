"""What a plan is asked for, checked."""

from __future__ import annotations

from collections.abc import Iterable

from dcz.errors import DczError
from dcz.lossy.config import SIZES
from dcz.lossy.recipe import Recipe
from dcz.lossy.selection import check_integer, check_number


def check_target(ratio: object, nbytes: object, error: object, drop: object = None) -> tuple[int | float, ...]:
    """The targets that are given, checked: one, or several sizes. Raises `DczError` unless one kind is given."""
    targets = {"target_ratio": ratio, "target_bytes": nbytes, "max_rel_error": error, "max_drop": drop}
    given = [name for name, value in targets.items() if value is not None]
    if len(given) != 1:
        raise DczError(f"plan: give one of {', '.join(targets)}, found {' and '.join(given) or 'none'}")
    if error is not None:
        return (check_number(error, "max_rel_error", 0, 1),)
    if drop is not None:
        return (check_number(drop, "max_drop", 0, 1e9),)
    if ratio is not None:
        return tuple(check_number(each, "target_ratio", 0, 1e9, open_left=True) for each in _several(ratio, given[0]))
    return tuple(check_integer(each, "target_bytes", 1, 1 << 62) for each in _several(nbytes, given[0]))


def _several(target: object, field: str) -> list[object]:
    """The sizes of a list, or one."""
    found = list(target) if isinstance(target, Iterable) and not isinstance(target, (str, bytes)) else [target]
    if not found:
        raise DczError(f"{field}: give at least one")
    return found


def check_base(recipe: object) -> dict[str, object]:
    """Keys for all tensors; the plan adds the others."""
    if recipe is None:
        return {}
    parsed = Recipe.parse(recipe)
    Recipe.parse({**parsed.default, "n_bits": 4})  # keys that go with clustering are checked where there is some
    chosen = {"density", "threshold", "quality", "n_m_ratio", "scope", "method", *SIZES} & set(parsed.default)
    if parsed.overrides or chosen:
        raise DczError("recipe: the plan chooses density, n_bits and tensors; give only keys such as init and entropy")
    return parsed.default
