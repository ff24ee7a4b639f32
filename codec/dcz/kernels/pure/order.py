"""Words as integers whose difference is the distance of two values, and what a transform stores of a change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.kernels.interface import REPLACE, STEP, U8, XOR, KernelError, Status
from dcz.kernels.pure.words import as_words, blocks


def _signs(words: NDArray[Any]) -> NDArray[Any]:
    """Return all ones where the highest bit is set, else zero."""
    return -(words >> words.dtype.type(8 * words.itemsize - 1))


def order(words: NDArray[Any]) -> NDArray[Any]:
    """Map sign and magnitude to two's complement. The map is its own inverse; -0.0 becomes -1."""
    return words ^ (_signs(words) >> words.dtype.type(1))


def stored(now: NDArray[Any], base: NDArray[Any], transform: int, magnitude: bool) -> NDArray[Any]:
    """Return what a transform stores of words and their base."""
    if transform == XOR:
        return now ^ base
    if transform == REPLACE:
        return now
    if transform != STEP:
        raise KernelError(Status.ARGUMENT)
    step = order(now) - order(base) if magnitude else now - base
    return step << step.dtype.type(1) ^ _signs(step)


def applied(base: NDArray[Any], words: NDArray[Any], transform: int, magnitude: bool, backward: bool) -> NDArray[Any]:
    """Return the words from their base and what is stored of them; with `backward`, the base from the words."""
    if transform == XOR:
        return base ^ words
    if transform == REPLACE and not backward:
        return words
    if transform != STEP:
        raise KernelError(Status.ARGUMENT)
    one = words.dtype.type(1)
    step = words >> one ^ -(words & one)
    if backward:
        step = -step
    return order(order(base) + step) if magnitude else base + step


def compare(now: U8, base: U8, word: int, transform: int, magnitude: bool) -> tuple[U8, U8]:
    a, b = as_words(now, word), as_words(base, word)
    bits, out, at = np.empty(-(-len(a) // 8), np.uint8), np.empty_like(a), 0
    for block in blocks(len(a)):
        new, old = a[block].copy(), b[block].copy()  # the arrays may change meanwhile
        differ = new != old
        bits[block.start // 8 : -(-block.stop // 8)] = np.packbits(differ, bitorder="little")
        found = stored(new[differ], old[differ], transform, magnitude)
        out[at : at + len(found)] = found
        at += len(found)
    out.resize(at, refcheck=False)
    return bits, out.view(np.uint8)
