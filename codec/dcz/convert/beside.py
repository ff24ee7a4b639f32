"""Compare what two files hold besides tensors: metadata key by key, and what is not compared."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dcz.container.shards import SUFFIX
from dcz.convert.formats import READABLE, extension_of
from dcz.convert.model import Model, tensor_metadata
from dcz.convert.safetensors import as_text
from dcz.text import plural

_TORCH = (".bin", ".ckpt", ".pt", ".pth", ".pth.tar")
# Formats with metadata of their own, which unpacking restores.
_FAMILIES = {
    **dict.fromkeys(_TORCH, "torch"), ".dcz": "dcz", ".safetensors": "safetensors", ".gguf": "gguf",
    ".h5": "hdf5", ".hdf5": "hdf5", ".keras": "keras", ".onnx": "onnx", ".tflite": "tflite", ".mlmodel": "coreml",
    ".mlpackage": "coreml",
}  # fmt: skip
_GRAPHS = {".onnx": "graph", ".mlmodel": "program", ".mlpackage": "program", ".tflite": "graph"}
_SHOWN = 60  # characters of a value


@dataclass(frozen=True, slots=True)
class MetadataDifference:
    """A key that differs in the metadata of the file, or of the named `tensor`. `status` is "values", "only in A" or
    "only in B"; values are shortened for display."""

    key: str
    status: str
    a: str | None
    b: str | None
    tensor: str | None = None


def beside(
    a: Model, b: Model, path_a: str | os.PathLike[str], path_b: str | os.PathLike[str]
) -> tuple[list[MetadataDifference], list[str]]:
    """Return the metadata that differ, and notes on what was not compared.

    Metadata are compared if both files have one format, or one of them is a dcz file: packing keeps them and unpacking
    restores them. Between other formats they mean different things. Values of safetensors are text; another file's
    value is equal if it would be written as that text."""
    notes = []
    names = [_extension(path) for path in (path_a, path_b)]
    families = [_FAMILIES.get(name) for name in names]
    for which, name, model in zip("AB", names, (a, b)):
        if name in _GRAPHS:
            notes.append(f"the {_GRAPHS[name]} of {which}, of which a dcz file keeps the weights alone")
        if left_out := getattr(model, "left_out", {}):
            shown = ", ".join(list(left_out)[:3]) + (", ..." if len(left_out) > 3 else "")
            one, more = f"entry of {which} that is not a weight", f"entries of {which} that are not weights"
            notes.append(f"{plural(len(left_out), one, more)}: {shown}")
    if None in families:
        if _any_metadata(a) or _any_metadata(b):
            lacking = names[families.index(None)]
            notes.append(f"metadata, as {lacking} files have none")
        return [], notes
    if families[0] != families[1] and "dcz" not in families:
        if _any_metadata(a) or _any_metadata(b):
            notes.append(f"metadata, which mean other things in {names[0]} and {names[1]} files")
        return [], notes
    return [*_differences(a.metadata, b.metadata), *_of_tensors(a, b)], notes


def _any_metadata(model: Model) -> bool:
    return bool(model.metadata or tensor_metadata(model))


def _of_tensors(a: Model, b: Model) -> Iterator[MetadataDifference]:
    """Compare metadata of tensors that both files have; the others differ anyway."""
    here, there = tensor_metadata(a), tensor_metadata(b)
    both = {tensor.name for tensor in a.tensors()} & {tensor.name for tensor in b.tensors()}
    for name in sorted((here.keys() | there.keys()) & both):
        yield from _differences(here.get(name, {}), there.get(name, {}), name)


def _extension(path: str | os.PathLike[str]) -> str:
    return (extension_of(path, READABLE) or "").removesuffix(SUFFIX)


def _differences(
    a: Mapping[str, object], b: Mapping[str, object], tensor: str | None = None
) -> Iterator[MetadataDifference]:
    for key in sorted(a.keys() | b.keys()):
        if key not in b:
            yield MetadataDifference(key, "only in A", _shown(a[key]), None, tensor)
        elif key not in a:
            yield MetadataDifference(key, "only in B", None, _shown(b[key]), tensor)
        elif not _equal(a[key], b[key]):
            yield MetadataDifference(key, "values", _shown(a[key]), _shown(b[key]), tensor)


def _equal(x: object, y: object) -> bool:
    if isinstance(x, str) != isinstance(y, str):
        return as_text(x) == as_text(y)
    if isinstance(x, Mapping) and isinstance(y, Mapping):
        return x.keys() == y.keys() and all(_equal(x[key], y[key]) for key in x)
    if isinstance(x, (list, tuple)) and isinstance(y, (list, tuple)):
        return len(x) == len(y) and all(_equal(one, other) for one, other in zip(x, y))
    if isinstance(x, float) and isinstance(y, float) and math.isnan(x):
        return math.isnan(y)
    return isinstance(x, bool) == isinstance(y, bool) and x == y


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, bytes)) else as_text(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
