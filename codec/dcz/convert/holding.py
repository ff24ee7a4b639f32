"""Which dtypes the files of other formats hold, and the error for those that one does not."""

from __future__ import annotations

import os
from math import prod

from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import UnsupportedError

# What safetensors has a name for, and its library reads.
SAFETENSORS = frozenset([
    "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
])  # fmt: skip
# What numpy's format can name. Of the types that ml_dtypes adds it keeps the size alone. Two bytes are bfloat16 then,
# the only one of that size, as `np.save` writes it and `.view(ml_dtypes.bfloat16)` reads it; one byte could be any.
NUMPY = frozenset({"BF16"}.union(code for code, dtype in DTYPES.items() if dtype.in_numpy))
# HDF5 has numpy's types. Keras keeps bfloat16 in it as two opaque bytes with an attribute.
HDF5 = NUMPY

# Bits of an element of the types that safetensors has several to a byte.
PACKED_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


def cannot_hold(path: str | os.PathLike[str], tensor: Tensor, holder: str, why: str = "") -> UnsupportedError:
    """The error for a tensor of a dtype, or for the reason `why` of a shape, that a file at `path` of `holder` cannot
    hold. It names a format that can, where there is one.

    >>> print(cannot_hold("m.npz", Tensor("w", DTYPES["F8_E5M2"], (3,)), "numpy files"))
    m.npz: tensor 'w': numpy files cannot hold F8_E5M2; write safetensors instead (-o NAME.safetensors)
    """
    code = tensor.dtype.code
    if in_whole_bytes(tensor) and code in SAFETENSORS:
        remedy = "write safetensors instead (-o NAME.safetensors)"
    elif code in NUMPY:
        remedy = "write npz instead (-o NAME.npz)"
    else:
        remedy = "keep the tensor in a dcz file, or convert its elements first"
    what = f"{code} of shape {list(tensor.shape)}, {why}" if why else code
    return UnsupportedError(f"{os.fspath(path)}: tensor {tensor.name!r:.80}: {holder} cannot hold {what}; {remedy}")


def in_whole_bytes(tensor: Tensor) -> bool:
    """Whether safetensors can pack the elements, which end with a byte."""
    return prod(tensor.shape) * PACKED_BITS.get(tensor.dtype.code, 8) % 8 == 0
