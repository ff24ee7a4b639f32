"""DFloat11 checkpoints, which their own package alone loads, and only on a GPU: read as the bfloat16 tensors they
stand for.

A module PREFIX has the tensors PREFIX.encoded_exponent and so on (`dfloat11_decode`), and where it stands for several
layers, PREFIX.split_positions: where the weights of the second and later ones begin. The layers' names are in the
`dfloat11_config` of config.json, under a pattern of module names. Shapes are nowhere: they follow from the number of
weights and the model's `hidden_size`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import numpy as np

from dcz import limits
from dcz.convert.dfloat11_decode import BLOCK, LANE, Exponents, joined
from dcz.convert.guard import Guard
from dcz.convert.model import Model, Tensor, tensor_metadata
from dcz.convert.net import read_shapes
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.text import plural

_MARK = ".encoded_exponent"
_PARTS = ("encoded_exponent", "sign_mantissa", "luts", "gaps", "output_positions")
_SPLIT = "split_positions"
_KEY = "dfloat11_config"
_LARGEST_CONFIG = 16 << 20
# Layers by what `hidden_size` is of them: their columns, or their rows.
_COLUMNS = (
    *("q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj", "gate_up_proj", "embed_tokens", "lm_head"),
    *("wte", "w1", "w3"),
)
_ROWS = ("o_proj", "down_proj", "w2")


class _Weight(NamedTuple):
    """Weights [first, last) of a module."""

    module: str
    first: int
    last: int
    tensor: Tensor


class DFloat11Model:
    """A model whose DFloat11 tensors are read as bfloat16 ones."""

    remade = True

    def __init__(self, inner: Model, guard: Guard, shapes: str | os.PathLike[str] | None = None) -> None:
        self._inner, self._path = inner, guard.path
        self.metadata: Mapping[str, object] = inner.metadata
        self.aliases: Mapping[str, str] = inner.aliases
        self.tensor_metadata = tensor_metadata(inner)
        self._stored = {tensor.name: tensor for tensor in inner.tensors()}
        self._config = _config(guard)
        given = [] if shapes is None else read_shapes(shapes)
        self._shapes = {f"{layer.name}.weight": layer.shape for layer in given}
        self._open: tuple[str, Exponents] | None = None
        self._weights: dict[str, _Weight] = {}
        for name in self._stored:
            if name.endswith(_MARK):
                for weight in self._module(name.removesuffix(_MARK), guard):
                    if weight.tensor.name in self._stored or weight.tensor.name in self._weights:
                        raise FormatError(f"{self._path}: tensor {weight.tensor.name!r:.80}: duplicate name")
                    self._weights[weight.tensor.name] = weight

    def _module(self, module: str, guard: Guard) -> list[_Weight]:
        where = f"{self._path}: module {module!r:.80}"
        for part in _PARTS:
            tensor = self._stored.get(f"{module}.{part}")
            if tensor is None or tensor.dtype.code != "U8":
                found = "none" if tensor is None else tensor.dtype.code
                raise FormatError(f"{where}: {part}: expected U8, found {found}")
        count = self._stored[f"{module}.sign_mantissa"].shape
        coded = self._stored[f"{module}.encoded_exponent"].shape
        if len(count) != 1 or len(coded) != 1 or count[0] > coded[0] * 8:
            raise FormatError(
                f"{where}: encoded_exponent: expected shape (n,) for weights of shape {count}, found {coded}"
            )
        names = _names(self._config, module, where)
        edges = self._edges(module, count[0], len(names), where)
        out = []
        for name, first, last in zip(names, edges, edges[1:]):
            shape = self._shape(name, last - first)
            guard.shape(shape, 2, f"tensor {name!r:.80}")
            out.append(_Weight(module, first, last, Tensor(f"{name}.weight", DTYPES["BF16"], shape)))
        return out

    def _shape(self, name: str, count: int) -> tuple[int, ...]:
        where = f"{self._path}: tensor {name + '.weight'!r:.80}"
        given = self._shapes.get(f"{name}.weight")
        if given is None:
            return _shape(self._config, name, count, where)
        if prod(given) != count:
            raise FormatError(f"{where}: {plural(count, 'weight')}, the given shape {list(given)} takes {prod(given)}")
        return given

    def _edges(self, module: str, count: int, layers: int, where: str) -> list[int]:
        stored = self._stored.get(f"{module}.{_SPLIT}")
        split: list[int] = []
        if stored is not None:
            if stored.dtype.code != "I64" or len(stored.shape) != 1 or stored.shape[0] > limits.MAX_TENSORS:
                raise FormatError(
                    f"{where}: {_SPLIT}: expected a list of I64, found {stored.dtype.code} {stored.shape}"
                )
            split = self._inner.read(stored.name).tolist()
        edges = [0, *split, count]
        if len(edges) != layers + 1 or any(a > b for a, b in zip(edges, edges[1:])):
            raise FormatError(
                f"{where}: {_SPLIT}: expected to cut {count} weights for {layers} layers, found {split!r:.80}"
            )
        return edges

    def tensors(self) -> list[Tensor]:
        modules = {weight.module for weight in self._weights.values()}
        parts = {f"{module}.{part}" for module in modules for part in (*_PARTS, _SPLIT)}
        others = [tensor for name, tensor in self._stored.items() if name not in parts]
        return [*others, *(weight.tensor for weight in self._weights.values())]

    def read(self, name: str) -> np.ndarray:
        weight = self._weights.get(name)
        if weight is None:
            return self._inner.read(name)
        exponents = self._exponents(weight.module).decode(weight.first, weight.last)
        signs = self._inner.read(f"{weight.module}.sign_mantissa")[weight.first : weight.last]
        return joined(exponents, signs).view(DTYPES["BF16"].numpy()).reshape(weight.tensor.shape)

    def _exponents(self, module: str) -> Exponents:
        """Return the codes of a module; those of the last one are kept."""
        if self._open is None or self._open[0] != module:
            parts = {part: self._inner.read(f"{module}.{part}") for part in _PARTS if part != "sign_mantissa"}
            count = self._stored[f"{module}.sign_mantissa"].shape[0]
            self._open = module, Exponents(parts, count, f"{self._path}: module {module!r:.80}")
        return self._open[1]

    def __enter__(self) -> DFloat11Model:
        return self

    def __exit__(self, *error: object) -> None:
        self._open = None
        self._inner.__exit__(*error)


def with_plain_dfloat11(inner: Model, guard: Guard, shapes: str | os.PathLike[str] | None = None) -> Model:
    """Return the model with its DFloat11 tensors as bfloat16 ones, or the model itself if it has none. Errors close
    `inner`."""
    found = any(tensor.name.endswith(_MARK) for tensor in inner.tensors())
    if not found and shapes is None:
        return inner
    try:
        if not found:
            raise DczError(f"{guard.path}: shapes are for .net files and DFloat11; this file has its own")
        return DFloat11Model(inner, guard, shapes)
    except BaseException:
        inner.__exit__()
        raise


def has_config(folder: str) -> bool:
    """Return whether a folder's config.json is that of a DFloat11 checkpoint."""
    path = os.path.join(folder, "config.json")
    if not os.path.isfile(path) or os.path.getsize(path) > _LARGEST_CONFIG:
        return False
    with open(path, "rb") as file:
        return without_dfloat11(file.read()) is not None


def _config(guard: Guard) -> dict[str, Any]:
    path = os.path.join(os.path.dirname(guard.path), "config.json")
    if not os.path.isfile(path):
        raise DczError(
            f"{guard.path}: DFloat11 weights, whose names are in a config.json, which is not beside the file"
        )
    if guard.beside(path) > _LARGEST_CONFIG:
        raise FormatError(f"{path}: more than {_LARGEST_CONFIG} bytes")
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON ({error!s:.200})") from None
    own = document.get(_KEY) if isinstance(document, dict) else None
    if not isinstance(own, dict) or not isinstance(own.get("pattern_dict"), dict):
        raise FormatError(f"{path}: has no {_KEY} with a pattern_dict, which names the weights of {guard.path}")
    lane, block = own.get("bytes_per_thread", LANE), own.get("threads_per_block", [BLOCK])
    if lane != LANE or block not in (BLOCK, [BLOCK]):
        raise UnsupportedError(
            f"{path}: {_KEY}: bytes_per_thread {lane!r:.40} and threads_per_block {block!r:.40}; {LANE} and {BLOCK} "
            "are supported"
        )
    for pattern, names in own["pattern_dict"].items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FormatError(f"{path}: {_KEY}: pattern {pattern!r:.80} has no list of names")
    return document


def _names(config: dict[str, Any], module: str, where: str) -> list[str]:
    """Return the layers that a module's weights belong to."""
    for pattern, names in config[_KEY]["pattern_dict"].items():
        if _matches(pattern, module, where):
            return [f"{module}.{name}" for name in names] or [module]
    raise FormatError(f"{where}: no pattern of config.json's pattern_dict has this name")


def _matches(pattern: str, name: str, where: str) -> bool:
    """Return whether a name matches a pattern. Patterns are regular expressions, of which literal text, `\\.`, `.`,
    `\\d+` and `[0-9]+` are taken: any other may run for ever."""
    tokens = re.findall(r"\\d\+|\[0-9\]\+|\\\.|[A-Za-z0-9_\-.]", pattern)
    digits = re.compile(r"(\\d\+|\[0-9\]\+)(\\d\+|\[0-9\]\+)")
    if "".join(tokens) != pattern or digits.search(pattern) or len(pattern) > 1000:
        raise UnsupportedError(f"{where}: pattern {pattern!r:.200} of config.json; expected names, \\. and \\d+")
    return re.fullmatch(pattern, name) is not None


def _shape(config: dict[str, Any], name: str, count: int, where: str) -> tuple[int, int]:
    """Return the shape of a layer's matrix by the model's sizes."""
    sizes = [config, *(config[key] for key in ("text_config", "llm_config") if isinstance(config.get(key), dict))]
    hidden = next((each["hidden_size"] for each in sizes if type(each.get("hidden_size")) is int), 0)
    layer = name.rpartition(".")[2]
    if hidden <= 0 or layer not in (*_COLUMNS, *_ROWS):
        raise UnsupportedError(
            f"{where}: DFloat11 stores no shapes; that of {layer!r} is not known" + ("" if hidden > 0 else
            ", as config.json has no hidden_size") + "; pack the file with --shapes, a JSON of names to shapes"
        )  # fmt: skip
    if count % hidden:
        raise FormatError(f"{where}: expected weights in rows of hidden_size {hidden}, found {count}")
    return (hidden, count // hidden) if layer in _ROWS else (count // hidden, hidden)


def without_dfloat11(config: bytes) -> bytes | None:
    """Return a model's `config.json` for weights that are bfloat16 now; None where it does not mention DFloat11."""
    try:
        document = json.loads(config)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get(_KEY), dict):
        return None
    del document[_KEY]
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
