"""Second moments of a layer's inputs: what rounding its weights costs at its outputs.

A layer computes W x. Rounding W to Q changes its outputs by (W - Q) x, in the mean over samples by the quadratic form
E|(W - Q) x|^2 = tr((W - Q) H (W - Q)^T) of the second moments H = E[x x^T]. Where a bias takes up the mean of that
change, (W - Q) E[x], what is left is the same form of the covariance H - E[x] E[x]^T.

Few samples make correlations of nothing: with fewer vectors than inputs, weights that make up for each other on these
do harm on others. So what lies off the diagonal is shrunk by the share of it that is expected to be noise (Ledoit and
Wolf 2004; for correlations Schaefer and Strimmer 2005, "A shrinkage approach to large-scale covariance matrix
estimation", section 2.4)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dcz.errors import DczError
from dcz.lossy.samples import F64
from dcz.text import plural

F32 = NDArray[np.float32]
# Inputs of which all products are kept; of more, those within blocks of so many, and of so many products in all.
MAX_INPUTS = 2048
_MAX_PRODUCTS = 1 << 24


class Shaped(Protocol):
    """An array, or what a file says of one."""

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of one layer's inputs, `count` vectors of them.

    Attributes:
        blocks: for consecutive inputs the means of their products, each of shape (groups, b, b), float32. One block
            has all inputs unless there are more than `MAX_INPUTS`.
        mean: of each input, shape (groups, inputs), float32.
        shrinkage: the share of what is off the diagonal of each block that is taken for noise, shape (blocks, groups),
            float32, 0 to 1.
        count: vectors seen.
        inputs_first: the tensor's first dimension are the inputs, and not the outputs.
        bias: the tensor that is added to the layer's outputs, if any.
    """

    blocks: tuple[F32, ...]
    mean: F32
    shrinkage: F32
    count: int
    inputs_first: bool = False
    bias: str | None = None

    @property
    def groups(self) -> int:
        """Groups of channels that have inputs of their own."""
        return self.mean.shape[0]

    @property
    def inputs(self) -> int:
        """Inputs of each output."""
        return self.mean.shape[1]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """True if a tensor of this shape can be the layer's."""
        if len(shape) < 2 or 0 in shape:
            return False
        if self.inputs_first:
            return self.groups == 1 and shape[0] == self.inputs
        if shape[0] == self.groups and len(shape) == 3 and shape[2] == self.inputs:
            return True  # recurrent layers of ONNX: directions, outputs, inputs
        return shape[0] % self.groups == 0 and int(np.prod(shape[1:], dtype=np.int64)) == self.inputs

    def outputs(self, shape: tuple[int, ...]) -> int:
        """Outputs of a layer with a tensor of this shape: the size of its bias."""
        return int(np.prod(shape, dtype=np.int64)) // self.inputs

    def matrix(self, array: np.ndarray) -> NDArray[Any]:
        """The tensor as (groups, inputs, outputs of a group), in the type to compute with."""
        kind = np.float64 if array.dtype == np.float64 else np.float32
        if self.inputs_first:
            return np.ascontiguousarray(array.reshape(1, self.inputs, -1), kind)
        rows = array.reshape(self.groups, -1, self.inputs)
        return np.ascontiguousarray(rows.transpose(0, 2, 1), kind)

    def tensor(self, matrix: NDArray[Any], like: np.ndarray) -> np.ndarray:
        """The inverse of `matrix`."""
        rows = matrix if self.inputs_first else matrix.transpose(0, 2, 1)
        return np.ascontiguousarray(rows.reshape(like.shape), like.dtype)

    def importance(self, shape: tuple[int, ...]) -> F32:
        """The mean square of the input that each weight of a tensor of this shape is multiplied by."""
        own = np.concatenate([np.diagonal(block, axis1=1, axis2=2) for block in self.blocks], axis=1)
        if self.inputs_first:
            return np.broadcast_to(own.reshape(-1, *[1] * (len(shape) - 1)), shape)
        each = np.repeat(own, self.outputs(shape) // self.groups, axis=0)
        return each.reshape(shape)

    def parts(self, centred: bool, shrunk: bool = True) -> Iterator[tuple[int, slice, F64]]:
        """Each group and block: its number, which inputs, and their second moments, or the covariance, shrunk."""
        for group in range(self.groups):
            start = 0
            for block, noise in zip(self.blocks, self.shrinkage):
                part = slice(start, start + block.shape[1])
                second = block[group].astype(np.float64)
                if centred:
                    mean = self.mean[group, part].astype(np.float64)
                    second -= np.outer(mean, mean)
                if shrunk:
                    own = np.diagonal(second).copy()
                    second *= 1 - float(noise[group])
                    np.fill_diagonal(second, own)
                yield group, part, second
                start = part.stop

    def squared(self, difference: NDArray[Any], centred: bool = False, shrunk: bool = False) -> float:
        """E|D x|^2 for D as `matrix` gives it: what the outputs change by, squared, summed over them. `centred` leaves
        out what a bias can take up; `shrunk` is for other samples than those measured."""
        total = 0.0
        for group, part, second in self.parts(centred, shrunk):
            own = difference[group, part].astype(np.float64)
            total += float(np.einsum("ij,ij->", own, second @ own))
        return max(total, 0.0)


class Calibration(Mapping[str, Moments]):
    """Moments by the name of the tensor that the inputs are multiplied by; `unreached` names those of layers that no
    sample reached.

    >>> import numpy
    >>> inputs = numpy.float32([[1, 0], [3, 4]])
    >>> found = Calibration.of({"w": inputs})
    >>> found["w"].blocks[0][0], found["w"].count
    (array([[5., 6.],
           [6., 8.]], dtype=float32), 2)
    """

    def __init__(self, moments: Mapping[str, Moments], unreached: tuple[str, ...] = ()) -> None:
        self._moments, self.unreached = dict(moments), unreached

    @staticmethod
    def of(inputs: Mapping[str, np.ndarray], *, inputs_first: bool = False) -> Calibration:
        """From the inputs themselves: for each tensor an array of shape (vectors, inputs)."""
        out = {}
        for name, array in inputs.items():
            if array.ndim != 2:
                raise DczError(f"inputs of {name!r}: expected shape (vectors, inputs), found {array.shape}")
            each = Accumulator(name, 1, array.shape[1], inputs_first=inputs_first)
            each.add(array[:, None])
            if not each.count:
                raise DczError(f"inputs of {name!r}: there are none")
            out[name] = each.moments()
        return Calibration(out)

    def __getitem__(self, name: str) -> Moments:
        return self._moments[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def __len__(self) -> int:
        return len(self._moments)

    def __repr__(self) -> str:
        return f"<dcz.Calibration of {plural(len(self), 'tensor')}>"

    def importance(self, tensors: Mapping[str, np.ndarray]) -> dict[str, F32]:
        """The mean square of the input that each weight is multiplied by, as `dcz.cluster` takes `importance`."""
        self.check(tensors)
        return {name: moments.importance(tensors[name].shape) for name, moments in self._moments.items()}

    def renamed(self, aliases: Mapping[str, str]) -> Calibration:
        """With tensors by their names, where `aliases` has second ones; of two names of a tensor its first counts."""
        out: dict[str, Moments] = {}
        for name, moments in self._moments.items():
            bias = None if moments.bias is None else aliases.get(moments.bias, moments.bias)
            out.setdefault(aliases.get(name, name), replace(moments, bias=bias))
        return Calibration(out, self.unreached)

    def check(self, tensors: Mapping[str, Shaped]) -> None:
        """Refuses moments of tensors that are not there, or of other shapes."""
        for name, moments in self._moments.items():
            if name not in tensors:
                raise DczError(f"calibration: there is no tensor {name!r}; it was made for another model")
            shape = tensors[name].shape
            if not moments.fits(shape):
                where = "first" if moments.inputs_first else "last"
                raise DczError(
                    f"calibration of {name!r}: {moments.inputs} inputs in {moments.groups} groups do not fit shape "
                    f"{shape}, whose inputs come {where}; it was made for another model"
                )
            bias = None if moments.bias is None else tensors.get(moments.bias)
            if bias is not None and int(np.prod(bias.shape, dtype=np.int64)) != moments.outputs(shape):
                raise DczError(
                    f"calibration of {name!r}: its bias {moments.bias!r} of shape {tuple(bias.shape)} does not fit "
                    f"{plural(moments.outputs(shape), 'output')}; it was made for another model"
                )


class Accumulator:
    """Adds up the moments of one layer's inputs, in float32: memory does not grow with the samples."""

    def __init__(
        self, name: str, groups: int, inputs: int, *, inputs_first: bool = False, bias: str | None = None,
        max_inputs: int = MAX_INPUTS,
    ) -> None:  # fmt: skip
        self.name, self._inputs_first, self._bias = name, inputs_first, bias
        most = min(max_inputs, max(_MAX_PRODUCTS // max(groups * inputs, 1), 1))
        cuts = np.linspace(0, inputs, -(-inputs // most) + 1).astype(int).tolist()
        self._parts = [slice(a, b) for a, b in zip(cuts, cuts[1:])]
        self._blocks = [np.zeros((groups, p.stop - p.start, p.stop - p.start), np.float32) for p in self._parts]
        self._mean = np.zeros((groups, inputs))
        # Sums over pairs of different inputs of the mean of (z_i z_j)^2, where z are inputs in units of `_scale`.
        self._fourth = np.zeros((len(self._parts), groups))
        self._scale: F32 | None = None
        self.count = 0

    @np.errstate(over="ignore", invalid="ignore")  # `moments` refuses what is beyond float32
    def add(self, vectors: np.ndarray) -> None:
        """Inputs of shape (vectors, groups, inputs). Raises `DczError` for NaN, infinity, and other shapes."""
        if vectors.shape[1:] != self._mean.shape:
            raise DczError(
                f"layer of {self.name!r}: inputs of shape {vectors.shape[1:]}, its weight takes {self._mean.shape}"
            )
        if not len(vectors):
            return
        grouped = np.ascontiguousarray(vectors.transpose(1, 0, 2), np.float32)
        if not np.isfinite(grouped).all():
            raise DczError(
                f"layer of {self.name!r}: its inputs have NaN or infinity; leave out the samples that cause them"
            )
        self.count += len(vectors)
        share = len(vectors) / self.count
        self._mean += (grouped.mean(axis=1, dtype=np.float64) - self._mean) * share
        squares = self._squares(grouped)
        for number, (part, block) in enumerate(zip(self._parts, self._blocks)):
            own, z = grouped[:, :, part], squares[:, :, part]
            block *= 1 - share
            block += own.transpose(0, 2, 1) @ own / np.float32(self.count)
            pairs = np.square(z.sum(axis=2, dtype=np.float64)) - np.square(z).sum(axis=2, dtype=np.float64)
            self._fourth[number] += (pairs.mean(axis=1) - self._fourth[number]) * share

    def _squares(self, grouped: F32) -> F32:
        """Squares of inputs, in units of their root mean squares in the first batch."""
        if self._scale is None:
            rms = np.sqrt(np.square(grouped, dtype=np.float64).mean(axis=1, keepdims=True))
            self._scale = np.maximum(rms, rms.max() * 1e-3 or 1.0).astype(np.float32)
        return np.square(grouped / self._scale)

    def _shrinkage(self) -> F32:
        """For each block and group the variance of the means of products over their squares."""
        out = np.ones(self._fourth.shape, np.float32)
        for number, (part, block) in enumerate(zip(self._parts, self._blocks)):
            scale = np.ones((len(block), 1, block.shape[1])) if self._scale is None else self._scale[:, :, part]
            for group in range(len(block)):
                products = block[group] / (scale[group].T * scale[group])
                off = float(np.square(products).sum(dtype=np.float64))
                off -= float(np.square(np.diagonal(products)).sum(dtype=np.float64))
                noise = max(self._fourth[number, group] - off, 0.0)
                if off <= 0:
                    out[number, group] = 0
                elif self.count > 1:
                    out[number, group] = min(noise / (self.count - 1) / off, 1.0)
        return out

    def moments(self) -> Moments:
        """The moments of all inputs so far."""
        if not all(np.isfinite(block).all() for block in self._blocks):
            raise DczError(f"layer of {self.name!r}: the squares of its inputs are beyond float32; scale the samples")
        mean = self._mean.astype(np.float32)
        return Moments(tuple(self._blocks), mean, self._shrinkage(), self.count, self._inputs_first, self._bias)


def collected(layers: Mapping[str, Accumulator]) -> Calibration:
    """The moments of all layers; a warning names those that no sample reached."""
    unreached = tuple(name for name, each in layers.items() if not each.count)
    if unreached:
        listed = ", ".join(unreached[:5]) + (f" and {len(unreached) - 5} more" if len(unreached) > 5 else "")
        warnings.warn(f"no sample reached the layers of {listed}; they are rounded without moments", stacklevel=3)
    return Calibration({name: each.moments() for name, each in layers.items() if each.count}, unreached)
