"""Ties: which tensors of a mapping are the same memory, and so one tensor with several names."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np


def memory_of(array: object) -> Hashable:
    """What two numpy arrays share when both are alive and are the same memory seen the same way: address, shape,
    strides and dtype. None for anything else, and for an array without bytes."""
    if not isinstance(array, np.ndarray) or array.nbytes == 0:
        return None
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


class Ties:
    """Finds tensors that are the same memory. This is the only place that answers the question.

    An address identifies memory only while the memory is in use. A mapping that makes its tensors when asked (an open
    file) frees the last one before it makes the next, often at the same address. So a tensor is tied only to one that
    is still alive: each is held by a weak reference, or by a plain one where its type allows no weak references.

    Args:
        identity: a tensor to a value that is equal for two living tensors exactly if they are the same memory, or to
            None if it is never the memory of another.

    >>> import numpy
    >>> ties, array = Ties(), numpy.ones(3)
    >>> ties.owner("a", array), ties.owner("b", array), ties.owner("c", array.copy())
    ('a', 'a', 'c')
    """

    def __init__(self, identity: Callable[[Any], Hashable] = memory_of) -> None:
        self._identity = identity
        self._owners: dict[Hashable, tuple[str, Callable[[], object]]] = {}

    def owner(self, name: str, tensor: object, *conditions: Hashable) -> str:
        """The first name under which this memory came, with equal `conditions`: `name` itself if it is new."""
        identity = self._identity(tensor)
        if identity is None:
            return name
        key = identity, conditions
        found = self._owners.get(key)
        if found is not None and found[1]() is not None:
            return found[0]
        self._owners[key] = name, _reference(tensor)
        return name


def _reference(tensor: object) -> Callable[[], object]:
    try:
        return weakref.ref(tensor)
    except TypeError:
        return lambda: tensor  # kept alive, so that its address stays its own
