"""Pytrees as names: the keys on the way to an array, joined by dots."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import jax

from dcz import limits
from dcz.adapters import unique_names
from dcz.errors import LimitError

# Containers and leaves of a tree. A container that occurs in others many times is visited each time: sixty lists of
# which each holds the next twice are 2^60 leaves.
_MAX_NODES = 2 * limits.MAX_TENSORS
_MAX_DEPTH = 256


class Tree(NamedTuple):
    """A pytree taken apart: arrays by name, and how to put others in their place."""

    leaves: dict[str, Any]
    structure: Any

    def rebuild(self, leaves: dict[str, Any]) -> Any:
        """The same tree with these arrays."""
        return jax.tree_util.tree_unflatten(self.structure, [leaves[name] for name in self.leaves])


def flatten(tree: object) -> Tree:
    """Raises `DczError` where two paths make the same name, `LimitError` where the tree is too large or too deep.

    >>> list(flatten({"params": {"layers": [{"kernel": 1}, {"kernel": 2}]}}).leaves)
    ['params.layers.0.kernel', 'params.layers.1.kernel']
    """
    _check_nodes(tree)
    nnx = sys.modules.get("flax.nnx")
    variable = nnx.Variable if nnx else ()
    paths, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, variable))
    pairs = []
    for path, leaf in paths:
        name = ".".join(map(_key, path))
        if isinstance(leaf, variable):  # a box around one array, which is called as the box is
            pairs += [(name, array) for array in jax.tree_util.tree_leaves(leaf)]
        else:
            pairs.append((name, leaf))
    return Tree(unique_names(pairs, "pytree"), jax.tree_util.tree_structure(tree))


def _check_nodes(tree: object) -> None:
    """Visits a tree level by level, before JAX does: its own walk has no bound, and one that an exception ends leaves
    the thread with less recursion depth than before."""
    level, nodes = [tree], 1
    for _ in range(_MAX_DEPTH):
        inner: list[object] = []
        for node in level:
            found = jax.tree_util.default_registry.flatten_one_level(node)
            if found is not None:
                inner += found[0]
            if nodes + len(inner) > _MAX_NODES:
                raise LimitError(
                    f"pytree: more than {_MAX_NODES} containers and leaves; a container that occurs many times counts "
                    "each time"
                )
        if not inner:
            return
        level, nodes = inner, nodes + len(inner)
    raise LimitError(f"pytree: containers are nested deeper than {_MAX_DEPTH}, or one holds itself")


def nest(tensors: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries from names with dots.

    >>> nest({"params.kernel": 1, "params.bias": 2, "step": 3})
    {'params': {'kernel': 1, 'bias': 2}, 'step': 3}
    """
    out: dict[str, Any] = {}
    for name, value in tensors.items():
        *path, last = name.split(".")
        node = out
        for key in path:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise _both(name)
        if last in node:
            raise _both(name)
        node[last] = value
    return out


def _both(name: str) -> Exception:
    from dcz.errors import DczError

    return DczError(f"tensor {name!r}: another tensor is called as a part of its path; load with nested=False")


def _key(key: object) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
