"""Compare two files tensor by tensor: equal bits, or errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dcz.convert.blocks import Use, values_of
from dcz.convert.model import Model, Tensor, resolved
from dcz.kernels.interface import U8
from dcz.tensor.words import StoredWords, WordSource, to_words

# Elements compared at a time, as doubles of each file.
_PART = 1 << 20
# Comparing holds a part of each tensor as doubles, their errors, and the words as they are read and decoded.
_COMPARING = Use(whole=2, fixed=32 << 20, statistics=0, times=3, more=0, tensors=2)


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


def differences(
    a: Model,
    b: Model,
    *,
    progress: Callable[[int, int], None] | None = None,
    max_memory: int | None = None,
) -> Iterator[Difference]:
    """Yield the differences by name, aliases included. One tensor of each file is in memory.

    `progress` is called with (bytes done, bytes in all) of A. Tensors that `max_memory` bytes are too few for are read
    in blocks, by default those that 2 GB are too few for; the differences are the same. A tensor that cannot be read in
    blocks is then a `DczError`, by default it is read whole."""
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
                yield _compared(x, y, _words(a, x, owner, max_memory), _words(b, y, other, max_memory))
        if name in here:
            done += here[name][0].nbytes
            if progress is not None:
                progress(done, total)


def _alone(tensor: Tensor, status: str) -> Difference:
    if status == "only in A":
        return Difference(tensor.name, status, tensor.shape, None, tensor.dtype.code, None)
    return Difference(tensor.name, status, None, tensor.shape, None, tensor.dtype.code)


def _words(model: Model, tensor: Tensor, owner: str, max_memory: int | None) -> WordSource:
    """Return the words of a tensor that the file holds under the name `owner`."""
    use = _COMPARING._replace(least=_PART * tensor.dtype.words)
    values = values_of(model, Tensor(owner, tensor.dtype, tensor.shape), max_memory=max_memory, use=use)
    return values if isinstance(values, StoredWords) else to_words(values, tensor.name)


def _compared(x: Tensor, y: Tensor, a: WordSource, b: WordSource) -> Difference:
    same_type = x.dtype == y.dtype
    if same_type and all(np.array_equal(*part) for part in _parts(a, b)):
        return Difference(x.name, "same", x.shape, y.shape, x.dtype.code, y.dtype.code, 0, 0.0, 0.0, 1.0)
    sums = _Sums()
    for bytes_a, bytes_b in _parts(a, b):
        differ = (bytes_a != bytes_b).reshape(-1, x.dtype.itemsize).any(axis=1) if same_type else None
        sums.add(_wide(bytes_a.view(x.dtype.numpy())), _wide(bytes_b.view(y.dtype.numpy())), differ)
    status = "values" if same_type else "dtype"
    return Difference(x.name, status, x.shape, y.shape, x.dtype.code, y.dtype.code, *sums.result())


def _parts(a: WordSource, b: WordSource) -> Iterator[tuple[U8, U8]]:
    """Yield the bytes of `_PART` elements of each, the last time of fewer. They are read in larger blocks."""
    size_a, size_b = a.dtype.itemsize, b.dtype.itemsize
    count = a.count // a.dtype.words
    most = min(a.block // a.dtype.words, b.block // b.dtype.words)
    block = count if a.held and b.held else max(most // _PART, 1) * _PART
    for begin in range(0, count, max(block, 1)):
        end = min(begin + block, count)
        read_a = a.part(begin * a.dtype.words, end * a.dtype.words)
        read_b = b.part(begin * b.dtype.words, end * b.dtype.words)
        for first in range(0, end - begin, _PART):
            last = min(first + _PART, end - begin)
            yield read_a[first * size_a : last * size_a], read_b[first * size_b : last * size_b]
        del read_a, read_b  # before the next are read


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
            error = a - b
            error = np.abs(error) if error.dtype.kind == "c" else np.abs(error, out=error)
            error[(a == b) | (np.isnan(a) & np.isnan(b))] = 0  # and so of equal infinities
            error[np.isnan(error)] = np.inf
            finite = np.isfinite(a) & np.isfinite(b)
            if not finite.all():
                a, b = a[finite], b[finite]
            self.elements += int(np.count_nonzero(error if differ is None else differ))
            self.largest = max(self.largest, float(error.max(initial=0)))
            self.squares += float(np.square(error, out=error).sum())
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
