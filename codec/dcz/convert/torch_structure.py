"""What a PyTorch checkpoint has beside tensors: its nested containers and plain values, as metadata and back.

Tensors and values are named by their path, keys and indices joined by dots. A value is metadata under its path. What
names alone do not say is under `torch`: `containers` lists [path, kind, keys] of every container, `kinds` the Python
types of values that metadata hold as another one, and `root` the name of a tensor that is the whole checkpoint.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType

import msgpack

from dcz import limits
from dcz.errors import DczError

KEY = "torch"
MAX_DEPTH = 64
# In a file's metadata there are other things, too.
_LARGEST = limits.MAX_METADATA_BYTES - (1 << 20)
_CONTAINERS: dict[str, type] = {"OrderedDict": OrderedDict, "dict": dict, "tuple": tuple, "list": list}
_INTEGERS = range(-(1 << 63), 1 << 64)


class Structure:
    """The containers and values of a checkpoint that is read; what cannot be kept is in `left_out`."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self.values: dict[str, object] = {}
        self.left_out: dict[str, str] = {}
        self._containers: list[list[object]] = []
        self._kinds: dict[str, str] = {}
        self._flat = True
        self._root = ""

    def root(self, name: str) -> None:
        """The checkpoint is a tensor."""
        self._root, self._flat = name, False

    def container(self, path: str, value: object) -> None:
        """A container that tensors or other containers may be in."""
        kind = next(name for name, kind in _CONTAINERS.items() if isinstance(value, kind))
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))  # type: ignore[arg-type]
        self._flat &= not path and isinstance(value, dict) and all(type(key) is str for key in keys)
        self._containers.append([path, kind, [key for key in keys if type(key) in (str, int)]])

    def value(self, path: str, value: object) -> bool:
        """Keeps a plain value, or a sequence of them; false where it is none."""
        if isinstance(value, (self._torch.dtype, self._torch.device)):
            self._kinds[path] = "dtype" if isinstance(value, self._torch.dtype) else "device"
            value = str(value)
        elif type(value) is int and value not in _INTEGERS:
            self._kinds[path] = "int"
            value = hex(value)  # has no longest length, which decimal digits have in Python
        elif isinstance(value, (list, tuple)) and all(_plain(item) for item in value):
            if not isinstance(value, list):
                self._kinds[path] = "Size" if isinstance(value, self._torch.Size) else "tuple"
            value = list(value)
        elif not _plain(value):
            return False
        self.values[path] = value
        self._flat = False
        return True

    def metadata(self) -> dict[str, object]:
        """All of it as metadata; values too large for them are left out, the largest first."""
        sizes = {path: len(msgpack.packb(value)) + len(path) for path, value in self.values.items()}
        total = sum(sizes.values())
        for path in sorted(sizes, key=lambda path: -sizes[path]):
            if total <= _LARGEST // 2:
                break
            total -= sizes[path]
            del self.values[path]
            self.left_out[path] = f"a value of {sizes[path]} bytes; metadata hold {limits.MAX_METADATA_BYTES} in all"
        if KEY in self.values:
            self.left_out[KEY] = "a value of the name that the structure of a checkpoint has in metadata"
        if self._flat:
            return {}
        structure: dict[str, object] = {"containers": self._containers, "kinds": self._kinds}
        if self._root:
            structure["root"] = self._root
        if len(msgpack.packb(structure)) > _LARGEST // 2:
            self.left_out["(structure)"] = (
                "the checkpoint's nesting; metadata have no room for the names of all entries"
            )
            return dict(self.values)
        return {**self.values, KEY: structure}


def _plain(value: object) -> bool:
    """Whether metadata can hold a value as it is."""
    if isinstance(value, str):
        return type(value) is str and not any("\ud800" <= c <= "\udfff" for c in value)
    return value is None or type(value) in (bool, float, bytes) or (type(value) is int and value in _INTEGERS)


def rebuild(entries: Mapping[str, object], metadata: Mapping[str, object], torch: ModuleType) -> object:
    """The checkpoint that was packed: `entries` (what stands for tensors, by name) and values in their containers.

    Without a structure in `metadata` it is one flat mapping. Entries that the structure does not name are put in the
    outermost mapping; what it names and is no longer there is absent."""
    structure = metadata.get(KEY)
    if not isinstance(structure, Mapping) or "containers" not in structure:
        return OrderedDict(sorted(entries.items()))
    builder = _Builder(entries, metadata, structure, torch)
    root = structure.get("root")
    if isinstance(root, str) and list(entries) == [root]:
        return entries[root]
    out = builder.build("", 0)
    missed = [name for name in sorted(entries) if name not in builder.placed]
    if not isinstance(out, dict):
        return OrderedDict(sorted(entries.items())) if missed else out
    out.update((name, entries[name]) for name in missed)
    return out


class _Builder:
    """Puts a checkpoint together; each container is built once, so that the work is bounded by the metadata."""

    def __init__(
        self,
        entries: Mapping[str, object],
        metadata: Mapping[str, object],
        structure: Mapping[str, object],
        torch: ModuleType,
    ) -> None:
        self._entries, self._metadata, self._torch = entries, metadata, torch
        self.placed: set[str] = set()
        self._containers: dict[str, tuple[str, list[object]]] = {}
        containers, kinds = structure.get("containers"), structure.get("kinds", {})
        if not isinstance(containers, list) or not isinstance(kinds, Mapping):
            raise DczError("metadata: torch: expected a list of containers and a mapping of kinds")
        self._kinds = kinds
        for each in containers:
            match each:
                case [str(path), "dict" | "OrderedDict" | "list" | "tuple" as kind, [*keys]] if all(
                    type(key) in (str, int) for key in keys
                ):
                    self._containers[path] = kind, keys
                case _:
                    raise DczError(f"metadata: torch.containers: expected [path, kind, keys], found {each!r:.80}")

    def build(self, path: str, depth: int) -> object:
        if depth > MAX_DEPTH or path not in self._containers:
            raise DczError(f"metadata: torch.containers: {path!r:.80} is missing or nested deeper than {MAX_DEPTH}")
        kind, keys = self._containers.pop(path)
        items = []
        for key in keys:
            name = f"{path}.{key}" if path else str(key)
            if name in self._containers:
                items.append((key, self.build(name, depth + 1)))
            elif name in self._entries:
                self.placed.add(name)
                items.append((key, self._entries[name]))
            elif name in self._metadata and name != KEY:
                items.append((key, self._value(name, self._metadata[name])))
        if kind in ("dict", "OrderedDict"):
            return dict(items) if kind == "dict" else OrderedDict(items)
        values = [value for _, value in items]
        return values if kind == "list" else tuple(values)

    def _value(self, name: str, value: object) -> object:
        kind = self._kinds.get(name)
        try:
            match kind, value:
                case "tuple", [*items]:
                    return tuple(items)
                case "Size", [*items]:
                    return self._torch.Size(items)
                case "int", str(text):
                    return int(text, 16)
                case "device", str(text):
                    return self._torch.device(text)
                case "dtype", str(text):
                    found = getattr(self._torch, text.removeprefix("torch."), None)
                    if isinstance(found, self._torch.dtype):
                        return found
                case None, _:
                    return value
        except (ValueError, TypeError, RuntimeError, OverflowError):
            pass
        raise DczError(f"metadata: {name!r:.80}: {value!r:.80} is not a {kind!r:.20} of PyTorch")
