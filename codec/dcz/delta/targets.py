"""The arrays that a file of differences changes, found by the base's names and checked."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.delta.base import Base
from dcz.delta.links import Link, check_base
from dcz.delta.transforms import COPY
from dcz.errors import DczError
from dcz.kernels.interface import U8


class Target(NamedTuple):
    """A tensor of the result, and the bytes of the base's array that become it."""

    link: Link
    flat: U8


class Piece(NamedTuple):
    """Chunks [first, last) of a tensor changed in place, and their bytes."""

    target: Target
    first: int
    last: int
    out: U8


@dataclass(frozen=True, slots=True)
class Targets:
    """Tensors `changed` in place, tensors `copied` from the base, and the arrays of the result's names, of both kinds
    (`moved`)."""

    changed: list[Target]
    copied: list[Target]
    moved: dict[str, NDArray[Any]]

    def uses(self, array: NDArray[Any]) -> bool:
        """Return whether the result uses the memory of an array."""
        return any(np.may_share_memory(array, own) for own in self.moved.values())


def find_targets(
    tensors: Mapping[str, NDArray[Any]], store: OpenFile, wanted: Mapping[str, Link], *, partial: bool, fixed: bool
) -> Targets:
    """Return the targets of a file. An array that becomes several tensors of the result is copied for all but one.
    Raises `BaseError` for a base that does not fit, `DczError` for arrays that cannot be changed in place."""
    if not isinstance(tensors, Mapping):
        raise DczError(f"tensors: expected a mapping of names to arrays, found {type(tensors).__name__}")
    based = {name: link for name, link in wanted.items() if link.based}
    for link in based.values():
        array = tensors.get(link.base_name)
        if array is not None and not isinstance(array, np.ndarray):
            raise DczError(f"tensor {link.base_name!r}: expected a numpy array, found {type(array).__name__}")
    check_base(store, Base(tensors), based)
    if fixed or partial or not isinstance(tensors, MutableMapping):
        _check_fixed(tensors, wanted)
    taken: dict[str, str] = {}
    for name, link in based.items():  # the tensor that keeps its name keeps its memory
        if name == link.base_name or link.base_name not in taken:
            taken[link.base_name] = name
    changed: list[Target] = []
    copied: list[Target] = []
    moved: dict[str, NDArray[Any]] = {}
    for name, link in based.items():
        array = tensors[link.base_name]
        if link.changed and taken[link.base_name] == name:
            _check_memory(link.base_name, array)
        if taken[link.base_name] != name:
            array = np.array(array, order="C")
        target = Target(link, _flat(array))
        (copied if link.transform == COPY else changed).append(target)
        moved[name] = array if array.shape == link.entry.shape else array.reshape(link.entry.shape)
    _check_overlaps(changed, copied)
    return Targets(changed, copied, moved)


def _flat(array: NDArray[Any]) -> U8:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _check_memory(name: str, array: NDArray[Any]) -> None:
    if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
        raise DczError(
            f"tensor {name!r}: to be changed in place, an array must be C-contiguous, writeable and of the machine's "
            "byte order; load the result with dcz.load_file(file, base=...) instead"
        )


def _check_overlaps(changed: list[Target], copied: list[Target]) -> None:
    """Refuse arrays that share memory with another tensor that the file leaves."""
    spans = sorted(
        (target.flat.ctypes.data, target.flat.ctypes.data + len(target.flat), number < len(changed), target.link)
        for number, target in enumerate((*changed, *copied))
        if len(target.flat)
    )
    for (_, end, first, one), (start, _, second, other) in zip(spans, spans[1:]):
        if start < end and (first or second):
            raise DczError(
                f"tensors {one.base_name!r} and {other.base_name!r} share memory, but the file changes them apart; "
                "give one of them memory of its own"
            )


def _check_fixed(tensors: Mapping[str, NDArray[Any]], wanted: Mapping[str, Link]) -> None:
    """Refuse a result with other names or shapes, where the mapping cannot change."""
    for name, link in wanted.items():
        found = tensors.get(name)
        if found is None or found.shape != link.entry.shape or found.dtype != link.entry.dtype.numpy():
            what = "is not there" if found is None else f"is {found.dtype} {found.shape}"
            raise DczError(
                f"tensor {name!r}: the result has {link.entry.dtype.name} {link.entry.shape}, what is to be changed in "
                f"place {what}; load the result with dcz.load_file(file, base=...) instead"
            )
        if link.based and link.base_name != name:
            raise DczError(
                f"tensor {name!r}: is made of the base's {link.base_name!r}, which cannot be done in place here; load "
                "the result with dcz.load_file(file, base=...) instead"
            )


def check_none_gone(tensors: Mapping[str, NDArray[Any]], stores: Sequence[OpenFile]) -> None:
    """Refuse tensors that the result lacks, where the mapping cannot change."""
    for name in tensors:
        if not any(name in store.index.entries or name in store.index.aliases for store in stores):
            raise DczError(
                f"tensor {name!r}: the result lacks it, and it cannot be removed here; load the result with "
                "dcz.load_file(file, base=...) instead"
            )
