"""Pruned weights as compressed-tensors stored them up to version 0.13: several tensors for each dense one. Later
versions no longer read them; this module reads them as dense tensors.

`sparse-bitmask`:

    NAME.shape          int64         lengths of the dense tensor
    NAME.compressed     any, 1-D      the kept weights, row by row
    NAME.bitmask        uint8         a bit a weight, lowest first, each row of the last axis in bytes of its own;
                                      or 1-D, all rows without a break
    NAME.row_offsets    int64         weights kept before each row; not needed to read

`sparse-24-bitmask`, of matrices that keep two of every four weights: no `row_offsets`, lengths of shape (2, 1), and
`compressed` of shape (rows, columns / 2).

NAME is the tensor's name in the first versions, which stored all tensors so. Since 0.9 it is the layer's name, whose
NAME is the tensor's name in the first versions, which stored all tensors so. Since 0.9 it is the layer's name, whose
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from dcz import limits
from dcz.convert.guard import Guard
from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.errors import FormatError
from dcz.tensor.words import StoredWords
from dcz.text import plural

_PARTS = ("shape", "compressed", "bitmask")
_OFFSETS = "row_offsets"
_WEIGHT = ".weight"


@dataclass(frozen=True, slots=True)
class _Group:
    """The tensors that encode `tensor`: their common name, and whether the format is `sparse-24-bitmask`."""

    stored: str
    tensor: Tensor
    halved: bool

    def parts(self) -> list[str]:
        """Return the names of these tensors."""
        return [f"{self.stored}.{part}" for part in (_PARTS if self.halved else (*_PARTS, _OFFSETS))]


class BitmaskModel:
    """A model whose bitmask tensors are read as dense ones."""

    remade = True

    def __init__(self, inner: Model, guard: Guard) -> None:
        self._inner, self._path, self._guard = inner, guard.path, guard
        self.metadata: Mapping[str, object] = inner.metadata
        self.aliases: Mapping[str, str] = inner.aliases
        self.tensor_metadata = tensor_metadata(inner)
        self._stored = {tensor.name: tensor for tensor in inner.tensors()}
        names = [name.removesuffix(".bitmask") for name in self._stored if name.endswith(".bitmask")]
        names = [name for name in names if all(f"{name}.{part}" in self._stored for part in _PARTS)]
        of_layers = not any(name.endswith(_WEIGHT) for name in names)
        self._groups: dict[str, _Group] = {}
        for name in names:
            halved = f"{name}.{_OFFSETS}" not in self._stored
            if halved and len(self._stored[f"{name}.compressed"].shape) != 2:
                continue  # of neither kind
            dense = name + _WEIGHT if of_layers else name
            if dense not in self._stored and dense not in self.aliases:
                self._groups[dense] = _Group(name, self._describe(name, dense, halved), halved)

    def _describe(self, name: str, dense: str, halved: bool) -> Tensor:
        where = f"{self._path}: tensor {dense!r:.80}"
        shape, values, mask = (self._stored[f"{name}.{part}"] for part in _PARTS)
        count = prod(shape.shape)
        if shape.dtype.code != "I64" or shape.shape not in ((count,), (count, 1)):
            raise FormatError(f"{where}: its shape: expected a list of int64, found {shape.dtype.code} {shape.shape}")
        if not 0 < count <= limits.MAX_DIMENSIONS or (halved and count != 2):
            allowed = "2" if halved else f"1 to {limits.MAX_DIMENSIONS}"
            raise FormatError(f"{where}: its shape: expected a list of {allowed} int64, found {count}")
        lengths = tuple(self._inner.read(shape.name).reshape(-1).tolist())
        self._guard.shape(lengths, values.dtype.itemsize, f"tensor {dense!r:.80}")
        rows = (*lengths[:-1], -(-lengths[-1] // 8))
        if mask.dtype.code != "U8" or (mask.shape != rows and mask.shape != (-(-prod(lengths) // 8),)):
            raise FormatError(f"{where}: its bitmask: expected U8 {rows}, found {mask.dtype.code} {mask.shape}")
        if halved and values.shape != (lengths[0], lengths[1] // 2):
            expected = lengths[0], lengths[1] // 2
            raise FormatError(f"{where}: its weights: expected shape {expected}, found {values.shape}")
        if not halved and len(values.shape) != 1:
            raise FormatError(f"{where}: its weights: expected a list, found shape {values.shape}")
        return Tensor(dense, values.dtype, lengths)

    def tensors(self) -> list[Tensor]:
        parts = {part for group in self._groups.values() for part in group.parts()}
        dense = [group.tensor for group in self._groups.values()]
        return [*(tensor for name, tensor in self._stored.items() if name not in parts), *dense]

    def read(self, name: str) -> np.ndarray:
        if name not in self._groups:
            return self._inner.read(name)
        tensor, stored = self._groups[name].tensor, self._groups[name].stored
        values, packed = self._inner.read(f"{stored}.compressed").reshape(-1), self._inner.read(f"{stored}.bitmask")
        rows = packed.shape == (*tensor.shape[:-1], -(-tensor.shape[-1] // 8))
        count = tensor.shape[-1] if rows else prod(tensor.shape)
        bits = np.unpackbits(packed, axis=-1, bitorder="little")
        mask, rest = bits[..., :count].reshape(-1).view(bool), bits[..., count:]
        kept = int(np.count_nonzero(mask))
        if kept != len(values) or rest.any():
            raise FormatError(
                f"{self._path}: tensor {name!r:.80}: {plural(len(values), 'weight')} for "
                f"{plural(kept + int(rest.sum()), 'bit')} of its bitmask"
            )
        out = np.zeros(prod(tensor.shape), values.dtype)
        out[mask] = values
        return out.reshape(tensor.shape)

    def in_blocks(self, name: str, block: int) -> StoredWords | None:
        """Return the words of a tensor that is stored dense, if its file can read them by range."""
        read = getattr(self._inner, "in_blocks", None)
        return None if read is None or name in self._groups else read(name, block)

    def __enter__(self) -> BitmaskModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)


def with_dense_bitmasks(inner: Model, guard: Guard) -> Model:
    """Return the model with its bitmask tensors as dense ones, or the model itself if it has none. Errors close
    `inner`."""
    if not any(tensor.name.endswith(".bitmask") for tensor in inner.tensors()):
        return inner
    try:
        return BitmaskModel(inner, guard)
    except BaseException:
        inner.__exit__()
        raise


_FORMATS = ("sparse-bitmask", "sparse-24-bitmask")


def without_bitmasks(config: bytes) -> bytes | None:
    """Return a model's `config.json` for weights that are now dense; None where it does not mention bitmasks.

    `sparsity_config` goes; so does the whole quantization configuration where nothing but sparsity is in it."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    changed = _drop_sparsity(document)
    for key in ("quantization_config", "compression_config"):
        inner = document.get(key)
        if isinstance(inner, dict) and (_drop_sparsity(inner) or inner.get("format") in _FORMATS):
            changed = True
            if inner.get("config_groups"):
                inner |= {"format": "dense"} if inner.get("format") in _FORMATS else {}
            else:
                del document[key]
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode() if changed else None


def _drop_sparsity(config: dict[str, object]) -> bool:
    inner = config.get("sparsity_config")
    if isinstance(inner, dict) and inner.get("format") in _FORMATS:
        del config["sparsity_config"]
        return True
    return False
