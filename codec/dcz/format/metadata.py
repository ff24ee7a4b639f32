"""Typed metadata of a file: strings, numbers, booleans, bytes, None, lists and maps of them (SPEC 7.3)."""

from __future__ import annotations

from collections.abc import Mapping

import msgpack
import numpy as np

from dcz import limits
from dcz.errors import DczError, FormatError, LimitError

_SCALAR_TYPES = frozenset((str, bytes, bool, int, float, type(None)))
_SCALARS = (str, bytes, bool, int, float, type(None))


def normalize(value: object, field: str = "metadata") -> dict[str, object]:
    """Return a copy as the file will give it back: keys in order, tuples as lists.

    Raises `DczError` for values that msgpack cannot hold exactly, and `LimitError` for too many bytes."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DczError(f"{field}: expected a mapping, found {type(value).__name__}")
    out = _copy(value, field, 0, _Room())
    check_size(out)
    return out  # type: ignore[return-value]


class _Room:
    """A budget of values to copy: each takes at least a byte. A list that occurs in others is copied each time: five
    lists of a thousand, each holding the next, are 10^15 values. The count is rough: `check_size` reports a small
    excess."""

    def __init__(self) -> None:
        self._left = limits.MAX_METADATA_BYTES + (1 << 16)

    def take(self, nbytes: int, field: str) -> None:
        self._left -= nbytes
        if self._left < 0:
            raise LimitError(f"{field}: metadata beyond {limits.MAX_METADATA_BYTES} bytes; store a tensor instead")


def check_size(*values: object) -> None:
    """Refuse metadata of too many bytes."""
    size = sum(len(msgpack.packb(value, use_bin_type=True)) for value in values if value)
    if size > limits.MAX_METADATA_BYTES:
        raise LimitError(f"metadata: {size} bytes; the limit is {limits.MAX_METADATA_BYTES}; store a tensor instead")


def _copy(value: object, field: str, depth: int, room: _Room) -> object:
    room.take(1 + (len(value) if isinstance(value, (str, bytes)) else 0), field)
    if depth > limits.MAX_METADATA_DEPTH:
        raise LimitError(f"{field}: nested deeper than {limits.MAX_METADATA_DEPTH}")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DczError(f"{field}: keys are strings, found {key!r:.80}")
            room.take(1 + len(key), field)
        return {_text(key, field): _copy(value[key], f"{field}.{key:.80}", depth + 1, room) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_copy(item, f"{field}[{i}]", depth + 1, room) for i, item in enumerate(value)]
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        raise DczError(f"{field}: {value} does not fit 64 bits; store it as a string")
    if isinstance(value, str):
        return _text(value, field)
    if type(value) in _SCALARS:
        return value
    raise DczError(
        f"{field}: {type(value).__name__} cannot be stored; metadata values are str, int, float, bool, bytes, None, "
        "and lists and mappings of them"
    )


def _text(value: str, field: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DczError(f"{field}: {value!r:.80} is not valid Unicode ({error.reason})") from None
    return str.__str__(value)  # of a subclass, such as an enumeration: its value, not what it prints


def check_map(value: object, field: str) -> None:
    """Check a map of a file by the same rules."""
    if type(value) is not dict:
        raise FormatError(f"{field}: expected a map")
    check(value, field)


def check(value: object, field: str, depth: int = 0) -> None:
    """Check a value in it by the same rules."""
    if depth > limits.MAX_METADATA_DEPTH:
        raise LimitError(f"{field}: nested deeper than {limits.MAX_METADATA_DEPTH}")
    if type(value) is dict:
        keys = list(value)
        if any(type(key) is not str for key in keys) or keys != sorted(keys):
            raise FormatError(f"{field}: keys are strings in ascending order")
        for key in keys:
            check(value[key], f"{field}.{key:.80}", depth + 1)
    elif type(value) is list:
        if set(map(type, value)) <= _SCALAR_TYPES and depth < limits.MAX_METADATA_DEPTH:
            return  # naming every item of a long list would take longer than reading it
        if value and depth == limits.MAX_METADATA_DEPTH:
            raise LimitError(f"{field}[0]: nested deeper than {limits.MAX_METADATA_DEPTH}")
        for i, item in enumerate(value):
            if type(item) not in _SCALARS:  # naming every item of a long list would take longer than reading it
                check(item, f"{field}[{i}]", depth + 1)
    elif type(value) not in _SCALARS:
        raise FormatError(f"{field}: a value of type {type(value).__name__} is not allowed")
