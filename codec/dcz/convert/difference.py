"""Compare two files tensor by tensor: equal bits, or errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dcz.convert.model import Model, Tensor, resolved
from dcz.tensor import to_words

# Elements compared at a time, as doubles of each file.
_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One tensor of two files, A and B.

    `status` is "same" (shape, dtype and every bit), "values", "dtype", "shape", "only in A" or "only in B".
    Where the shapes agree: `elements` counts those whose bits (of another dtype: values) differ; `max_error` is the
    largest |a - b|, `relative_error` |a - b| / |a| of the whole tensors in the 2-norm, `cosine` a.b / (|a| |b|).
    Two NaNs are equal; a NaN or an infinity against anything else is an infinite error. Norms and cosine leave out
    elements that are not finite, and are None where they are undefined."""

    name: str
    status: str
    shape_a: tuple[int, ...] | None
    shape_b: tuple[int, ...] | None
    dtype_a: str | None
    dtype_b: str | None
    elements: int | None = None
    max_error: float | None = None
    relative_error: float | None = None
    cosine: float | None = None


def differences(a: Model, b: Model, *, progress: Callable[[int, int], None] | None = None) -> Iterator[Difference]:
    """Yield the differences by name, aliases included. One tensor of each file is in memory.

    `progress` is called with (bytes done, bytes in all) of A."""
    there = {tensor.name: (tensor, owner) for tensor, owner in resolved(b.tensors(), b.aliases)}
    here = {tensor.name: (tensor, owner) for tensor, owner in resolved(a.tensors(), a.aliases)}
    total = sum(tensor.nbytes for tensor, _ in here.values())
    done = 0
    for name in sorted(here.keys() | there.keys()):
        if name not in there:
            yield _alone(here[name][0], "only in A")
        elif name not in here:
            yield _alone(there[name][0], "only in B")
        else:
            (x, owner), (y, other) = here[name], there[name]
            if x.shape != y.shape:
                yield Difference(name, "shape", x.shape, y.shape, x.dtype.code, y.dtype.code)
            else:
                yield _compared(x, y, a.read(owner), b.read(other))
        if name in here:
            done += here[name][0].nbytes
            if progress is not None:
                progress(done, total)


def _alone(tensor: Tensor, status: str) -> Difference:
    if status == "only in A":
        return Difference(tensor.name, status, tensor.shape, None, tensor.dtype.code, None)
    return Difference(tensor.name, status, None, tensor.shape, None, tensor.dtype.code)


def _compared(x: Tensor, y: Tensor, a: np.ndarray, b: np.ndarray) -> Difference:
    same_type = x.dtype == y.dtype
    words_a, words_b = to_words(a, x.name), to_words(b, x.name)
    if same_type and _equal(words_a.data, words_b.data):
        return Difference(x.name, "same", x.shape, y.shape, x.dtype.code, y.dtype.code, 0, 0.0, 0.0, 1.0)
    size_a, size_b = x.dtype.itemsize, y.dtype.itemsize
    count = len(words_a.data) // size_a
    sums = _Sums()
    for first in range(0, count, _PART):
        last = min(first + _PART, count)
        bytes_a = words_a.data[first * size_a : last * size_a]
        bytes_b = words_b.data[first * size_b : last * size_b]
        part_a, part_b = _wide(bytes_a.view(x.dtype.numpy())), _wide(bytes_b.view(y.dtype.numpy()))
        differ = (bytes_a != bytes_b).reshape(-1, size_a).any(axis=1) if same_type else None
        sums.add(part_a, part_b, differ)
    status = "values" if same_type else "dtype"
    return Difference(x.name, status, x.shape, y.shape, x.dtype.code, y.dtype.code, *sums.result())


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether all bytes are equal, without an array of results."""
    step = 8 * _PART
    return all(np.array_equal(a[at : at + step], b[at : at + step]) for at in range(0, len(a), step))


def _wide(values: np.ndarray) -> np.ndarray:
    """Return values as doubles; 64-bit integers as long doubles, where these hold them exactly."""
    if values.dtype.kind == "c":
        return values.astype(np.complex128)
    return values.astype(np.longdouble if values.dtype.kind in "iu" and values.itemsize == 8 else np.float64)


class _Sums:
    """The sums of a tensor's errors, over its parts."""

    def __init__(self) -> None:
        self.elements = 0
        self.largest = 0.0
        self.squares = self.norm_a = self.norm_b = self.product = 0.0

    def add(self, a: np.ndarray, b: np.ndarray, differ: np.ndarray | None) -> None:
        with np.errstate(all="ignore"):
            error = np.abs(a - b)
            error[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # and so of equal infinities
            error[np.isnan(error)] = np.inf
            finite = np.isfinite(a) & np.isfinite(b)
            a, b = a[finite], b[finite]
            self.elements += int(np.count_nonzero(error if differ is None else differ))
            self.largest = max(self.largest, float(error.max(initial=0)))
            self.squares += float(np.square(error).sum())
            self.norm_a += float(np.vdot(a, a).real)
            self.norm_b += float(np.vdot(b, b).real)
            self.product += float(np.vdot(a, b).real)

    def result(self) -> tuple[int, float, float | None, float | None]:
        """Return elements, max_error, relative_error and cosine."""
        norms = math.sqrt(self.norm_a) * math.sqrt(self.norm_b)
        cosine = min(1.0, max(-1.0, self.product / norms)) if 0 < norms < math.inf else None
        if self.squares == 0:
            return self.elements, self.largest, 0.0, cosine
        relative = math.sqrt(self.squares) / math.sqrt(self.norm_a) if 0 < self.norm_a < math.inf else None
        return self.elements, self.largest, relative, cosine
