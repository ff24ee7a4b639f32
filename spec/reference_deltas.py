"""SPEC 8: differences to a base."""

import numpy as np
from reference_tensors import DTYPES

NONE, COPY, STEP, XOR, REPLACE = range(5)


def order(words: np.ndarray | int, bits: int, dtype: str) -> np.ndarray | int:
    """Words as integers in the order of the values they stand for, or back (8.2)."""
    if not DTYPES[dtype].signed:
        return words
    return words ^ (words >> bits - 1) * ((1 << bits - 1) - 1)


def changed(transform: int, base: np.ndarray, stored: np.ndarray, dtype: str) -> np.ndarray:
    """Words of the result, of the base's and the stored ones (8.1)."""
    if transform == REPLACE:
        return stored
    if transform == XOR:
        return base ^ stored
    bits, one = 8 * base.itemsize, base.dtype.type(1)
    step = stored >> one ^ -(stored & one)  # back from its zigzag code
    return order(order(base, bits, dtype) + step, bits, dtype)
