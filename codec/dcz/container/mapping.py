"""Mappings of tensors to save: their names, and metadata of single tensors."""

from __future__ import annotations

from collections.abc import Mapping

from dcz.errors import DczError


def check_names(tensors: object, field: str = "tensors") -> list[str]:
    """Return the names of a mapping of tensors in ascending order; raise `DczError` for anything else."""
    if not isinstance(tensors, Mapping):
        raise DczError(f"{field}: expected a mapping of names to tensors, found {type(tensors).__name__}")
    for name in tensors:
        if not isinstance(name, str):
            raise DczError(f"{field}: names are strings, found {name!r:.80}")
    return sorted(tensors)


class TensorMetadata:
    """Metadata of tensors by name.

    Raises `DczError` for names that are not among the `tensors`."""

    def __init__(self, about: Mapping[str, Mapping[str, object]] | None, tensors: Mapping[str, object]) -> None:
        self._about = {} if about is None else about
        for name in self._about:
            if name not in tensors:
                raise DczError(f"tensor_metadata: {name!r:.200} is not among the tensors")

    def of(self, name: str) -> Mapping[str, object] | None:
        """Return the metadata of a tensor; None where it has none."""
        return self._about.get(name)

    def check_none(self, name: str, owner: str) -> None:
        """Refuse metadata of a second name: one tensor has one set."""
        if self._about.get(name):
            raise DczError(f"tensor_metadata: {name!r:.200} is the same array as {owner!r:.200}; name that one instead")
