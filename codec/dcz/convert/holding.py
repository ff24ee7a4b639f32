"""The dtypes that other formats hold, and the error for those that one does not."""

from __future__ import annotations

import os
from math import prod

from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import UnsupportedError
from dcz.plain.header import CODES, PACKED_BITS

# Dtypes that numpy's format can name. It keeps only the size of those that ml_dtypes adds. Two bytes are bfloat16 then,
# the only one of that size, as `np.save` writes it and `.view(ml_dtypes.bfloat16)` reads it; one byte could be any.
NUMPY = frozenset({"BF16"}.union(code for code, dtype in DTYPES.items() if dtype.in_numpy))
# HDF5 has numpy's types. Keras keeps bfloat16 in it as two opaque bytes with an attribute.
HDF5 = NUMPY


def cannot_hold(path: str | os.PathLike[str], tensor: Tensor, holder: str, why: str = "") -> UnsupportedError:
    """Return the error for a tensor whose dtype, or shape for the reason `why`, a file of `holder` at `path` cannot
    hold. It names a format that can, if there is one.

    >>> print(cannot_hold("m.npz", Tensor("w", DTYPES["F8_E5M2"], (3,)), "numpy files"))
    m.npz: tensor 'w': numpy files cannot hold F8_E5M2; write safetensors instead (-o NAME.safetensors)
    """
    code = tensor.dtype.code
    if in_whole_bytes(tensor) and code in CODES:
        remedy = "write safetensors instead (-o NAME.safetensors)"
    elif code in NUMPY:
        remedy = "write npz instead (-o NAME.npz)"
    else:
        remedy = "keep the tensor in a dcz file, or convert its elements first"
    what = f"{code} of shape {list(tensor.shape)}, {why}" if why else code
    return UnsupportedError(f"{os.fspath(path)}: tensor {tensor.name!r:.80}: {holder} cannot hold {what}; {remedy}")


def in_whole_bytes(tensor: Tensor) -> bool:
    """Return whether safetensors can pack the elements: they fill whole bytes."""
    return prod(tensor.shape) * PACKED_BITS.get(tensor.dtype.code, 8) % 8 == 0
