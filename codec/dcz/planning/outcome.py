"""A plan: a recipe, and what it is measured to come to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dcz.api import save_file
from dcz.lossy.compression import Compressed
from dcz.lossy.recipe import Recipe
from dcz.planning.points import stored_bytes
from dcz.ties import Ties


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor. `n_bits` is None where it is not clustered by k-means, `step` where it is not by a grid; `clusters`
    is None where it is by neither; `density` is what is left of it; `nbytes` are those it is stored in with its share
    of the index; `skipped` says why nothing is done to it."""

    name: str
    shape: tuple[int, ...]
    density: float | None
    n_bits: int | None
    clusters: int | None
    nbytes: int
    dense: int
    rel_error: float
    skipped: str | None
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """The result of `plan`: `recipe` is plain data for `dcz.compress` and `dcz pack --recipe`; `file_bytes` is the size
    of a file made by it, `dense` that of the arrays, in bytes; `score` is what `evaluate` returned for its tensors,
    `baseline` for the tensors given."""

    recipe: dict[str, object]
    tensors: tuple[PlannedTensor, ...]
    file_bytes: int
    dense: int
    score: float | None = None
    baseline: float | None = None

    @property
    def ratio(self) -> float:
        """Dense bytes per byte of the file."""
        return self.dense / self.file_bytes

    @property
    def rel_error(self) -> float:
        """The largest relative error of a tensor."""
        return max((tensor.rel_error for tensor in self.tensors), default=0.0)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the recipe as .toml or .json."""
        Recipe.parse(self.recipe).save(path)


def file_bytes(tensors: Mapping[str, np.ndarray], profile: str) -> int:
    """The size of the file of these tensors."""
    sink = _Count()
    save_file(tensors, sink, profile=profile)  # type: ignore[arg-type]
    return sink.size


def dense_bytes(tensors: Mapping[str, np.ndarray]) -> int:
    """Bytes of all arrays, each tied one once."""
    ties = Ties()
    return sum(array.nbytes for name, array in tensors.items() if ties.owner(name, array) == name)


class _Count:
    """A file that only counts."""

    size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def outcome(
    recipe: dict[str, object],
    tensors: Mapping[str, np.ndarray],
    compressed: Compressed,
    profile: str,
    score: float | None = None,
    baseline: float | None = None,
) -> Planned:
    """A recipe with all that is known of its result."""
    parsed = Recipe.parse(recipe)
    rows = []
    for name, array in compressed.items():
        report, clustering = compressed.reports[name], parsed.settings(name).clustering
        rows.append(
            PlannedTensor(
                name,
                array.shape,
                report.density,
                clustering.n_bits if clustering is not None and report.skipped is None else None,
                report.clusters,
                stored_bytes(array, profile, name),
                tensors[name].nbytes,
                report.rel_error,
                report.skipped,
                clustering.step if clustering is not None and report.skipped is None else None,
            )
        )
    return Planned(recipe, tuple(rows), file_bytes(compressed, profile), dense_bytes(tensors), score, baseline)
