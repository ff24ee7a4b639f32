"""What others make of the same tensors: NNCodec's own quantizers, and palettes of float16 values."""

from __future__ import annotations

import sys
import tempfile
import types
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import dcz

Tensors = Mapping[str, np.ndarray]
Made = Iterator[tuple[str, Tensors, int]]
SMALL = 2048
# Of NNCodec: a step of 2^(qp / 4), a little more than that between.
QPS = (-4, -8, -12, -16, -20, -24, -28, -32, -36, -40, -44, -48, -52, -56)


def large(array: np.ndarray) -> bool:
    """True of weights that integers and palettes are made of; the others stay floats."""
    return array.size >= SMALL and array.ndim > 1


def nncodec(dependent: bool) -> Any:
    """A method: weights by one quantization parameter for all tensors, with or without dependent quantization."""

    def make(tensors: Tensors) -> Made:
        if find_spec("nncodec") is None:
            return
        nnc = _nnc()
        floats = {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items() if array.ndim}
        for qp in QPS:
            with tempfile.TemporaryDirectory() as folder:
                stream = nnc.compress(
                    floats, return_bitstream=True, bitstream_path=str(Path(folder) / "it.nnc"), qp=qp,
                    use_dq=dependent, verbose=False,
                )  # fmt: skip
            back = nnc.decompress(bytearray(stream))
            out = {name: np.asarray(back[name], np.float32).reshape(floats[name].shape) for name in floats}
            scalars = sum(array.nbytes for array in tensors.values() if not array.ndim)
            yield f"qp {qp}", {**tensors, **out}, len(stream) + scalars

    return make


def palettes(tensors: Tensors) -> Made:
    """Codes of n bits into 2^n float16 values a tensor, packed: those of least squared error, as k-means in one
    dimension has them."""
    for bits in (2, 3, 4, 6, 8):
        chosen = {name: array for name, array in tensors.items() if large(array)}
        made = dcz.cluster(chosen, n_bits=bits, init="optimal", codebook_dtype="float16").tensors
        total = sum(
            array.size * bits + 16 * 2**bits if name in chosen else 8 * array.nbytes for name, array in tensors.items()
        )
        yield f"{bits} bits", {**tensors, **made}, total // 8


def _nnc() -> Any:
    # Its front end wants frameworks that coding arrays does not use.
    framework = types.ModuleType("nncodec.framework")
    framework.__path__ = []  # type: ignore[attr-defined]
    sys.modules.setdefault(framework.__name__, framework)
    for part in ("tensorflow_model", "pytorch_model", "use_case_init"):
        module = types.ModuleType(f"{framework.__name__}.{part}")
        setattr(framework, part, module)
        sys.modules.setdefault(module.__name__, module)
    from nncodec import nnc

    return nnc
