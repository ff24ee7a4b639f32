"""A plan: a recipe, and what it is measured to come to."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dcz.api import save_file
from dcz.lossy.recipe import Recipe
from dcz.markup import table
from dcz.planning.made import Made
from dcz.text import plural, printable
from dcz.ties import Ties

# Characters of a name that a notebook shows.
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor. `n_bits` is None where it is not clustered by k-means, `step` where it is not by a grid; `clusters`
    is None where it is by neither; `density` is what is left of it; `nbytes` are those it is stored in with its share
    of the index; `skipped` says why nothing is done to it; `output_error` is the relative error of its layer's outputs,
    None where their inputs are unknown."""

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
    output_error: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Planned:
    """The result of `plan`: `recipe` is plain data for `dcz.compress` and `dcz pack --recipe`; `file_bytes` is the size
    of a file made by it, `dense` that of the arrays, in bytes; `score` is what `evaluate` returned for its tensors,
    `baseline` for the tensors given, `validated` what `validate` returned for its tensors. `warnings` say why a score
    is not to be trusted, `remarks` what to know besides: which tensors were planned without data."""

    recipe: dict[str, object]
    tensors: tuple[PlannedTensor, ...]
    file_bytes: int
    dense: int
    score: float | None = None
    baseline: float | None = None
    validated: float | None = None
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        """Dense bytes per byte of the file."""
        return self.dense / self.file_bytes

    @property
    def rel_error(self) -> float:
        """The largest relative error of a tensor."""
        return max((tensor.rel_error for tensor in self.tensors), default=0.0)

    @property
    def output_error(self) -> float | None:
        """The largest relative error of a layer's outputs; None where no inputs are known."""
        known = [tensor.output_error for tensor in self.tensors if tensor.output_error is not None]
        return max(known, default=None)

    def __repr__(self) -> str:
        return f"<dcz.Planned: {self._summary()}>"

    def _summary(self) -> str:
        scored = "" if self.score is None else f", score {self.score:.6g}"
        return (
            f"{plural(len(self.tensors), 'tensor')} to a file of {plural(self.file_bytes, 'byte')}, {self.ratio:.2f} "
            f"times smaller, largest relative error {self.rel_error:.4f}{scored}"
        )

    def _repr_html_(self) -> str:
        head = (
            "tensor",
            "shape",
            "density",
            "step",
            "bits",
            "clusters",
            "bytes",
            "smaller",
            "error",
            "left alone",
        )
        rows = [
            (
                printable(t.name, _LONGEST),
                "x".join(map(str, t.shape)) or "scalar",
                "" if t.density is None else f"{100 * t.density:.1f}%",
                "" if t.step is None else f"{t.step:.3g}",
                "" if t.n_bits is None else t.n_bits,
                "" if t.clusters is None else t.clusters,
                f"{t.nbytes:,}",
                f"{t.dense / t.nbytes:.1f} x" if t.nbytes else "",
                f"{t.rel_error:.4f}",
                t.skipped or "",
            )
            for t in self.tensors
        ]
        said = "".join(f"<p>{html.escape(printable(warning))}</p>" for warning in (*self.warnings, *self.remarks))
        return f"<div>{table('Plan: ' + self._summary(), head, rows)}{said}</div>"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the recipe as .toml or .json."""
        Recipe.parse(self.recipe).save(path)


class Plans(tuple[Planned, ...]):
    """Plans for several sizes, from the largest file to the smallest: a curve of size and score."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{plan.file_bytes:,}",
                f"{plan.ratio:.2f}",
                f"{plan.rel_error:.4f}",
                *("" if score is None else f"{score:.6g}" for score in (plan.score, plan.validated)),
                "; ".join(plan.warnings),
            )
            for plan in self
        ]
        head = ("bytes", "times smaller", "rel. error", "score", "validated", "warnings")
        return f"<div>{table('Plans, from the largest file to the smallest', head, rows)}</div>"

    @property
    def recommended(self) -> Planned | None:
        """The smallest file without a warning; None without scores, or where each has one."""
        good = [plan for plan in self if plan.score is not None and not plan.warnings]
        return min(good, key=lambda plan: plan.file_bytes, default=None)


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
    made: Mapping[str, Made],
    nbytes: int,
    score: float | None,
    baseline: float | None,
    validated: float | None,
    warnings: Iterable[str],
    remarks: tuple[str, ...] = (),
) -> Planned:
    """A recipe with all that is known of its result."""
    rows = []
    for name, each in made.items():
        report, clustering = each.report, each.settings.clustering if each.report.skipped is None else None
        rows.append(
            PlannedTensor(
                name,
                each.array.shape,
                report.density,
                None if clustering is None else clustering.n_bits,
                report.clusters,
                each.nbytes,
                tensors[name].nbytes,
                report.rel_error,
                report.skipped,
                None if clustering is None else clustering.step,
                report.output_error,
            )
        )
    dense = dense_bytes(tensors)
    return Planned(recipe, tuple(rows), nbytes, dense, score, baseline, validated, tuple(warnings), remarks)
