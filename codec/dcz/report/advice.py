"""Why a model shrank or did not, and what to do about it, in one line or two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcz.text import compared

if TYPE_CHECKING:
    from dcz.container.summary import StoredFile, StoredTensor
    from dcz.report.tensor import TensorStorage
    from dcz.report.totals import ModelStorage

# What most of a model's bytes are: neither, one of the two, or both; and what stores nothing of its own.
_DENSE, _PRUNED, _CLUSTERED, _BOTH = "dense", "pruned", "clustered", "pruned and clustered"
# Nonzero weights above which a tensor does not count as pruned: a few zeros are chance.
_PRUNED_DENSITY = 0.9
# Weights of the smallest tensor that a plan rounds: biases and norms are left alone.
_LEAST = 2048
# The share of a model's bytes that is called most of it.
_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Facts:
    """What counts of one tensor. `noise` are the bytes of its values that coding cannot shrink, because no byte of them
    is much more frequent than others; `real` says that the values are floating-point numbers, which a recipe rounds."""

    dense: int
    stored: int
    weights: int
    nonzeros: int
    clustered: bool
    noise: int
    real: bool

    @property
    def kind(self) -> str:
        """Dense, pruned, clustered, or pruned and clustered."""
        pruned = self.nonzeros <= _PRUNED_DENSITY * self.weights
        return (_BOTH if pruned else _CLUSTERED) if self.clustered else _PRUNED if pruned else _DENSE


def of_file(found: StoredFile) -> list[Facts]:
    """The facts of a packed file."""
    return [_of_stored(t) for t in found.tensors if t.alias_of is None]


def _of_stored(t: StoredTensor) -> Facts:
    nonzeros = round(t.density * t.weights)
    return Facts(t.dense, t.stored, t.weights, nonzeros, t.clusters is not None, t.noise, _real(t.dtype))


def of_report(report: ModelStorage) -> list[Facts]:
    """The facts of a comparison."""
    return [_of_compared(t) for t in report.tensors]


def _of_compared(t: TensorStorage) -> Facts:
    auto = t.auto
    return Facts(t.dense, auto.size.total, t.weights, t.nonzeros, auto.values == "codebook", auto.noise, _real(t.dtype))


def _real(dtype: str) -> bool:
    return dtype.startswith(("F", "BF"))


def advice(facts: Iterable[Facts], model: str = "MODEL") -> list[str]:
    """Lines for what most bytes of a model are; `model` is what the reader calls it on the command line."""
    facts = [each for each in facts if each.dense]
    dense, stored = sum(each.dense for each in facts), sum(each.stored for each in facts)
    if not dense:
        return []
    of = {kind: [each for each in facts if each.kind == kind] for kind in (_DENSE, _PRUNED, _CLUSTERED, _BOTH)}
    most = max(of, key=lambda kind: sum(each.dense for each in of[kind]))
    found = of[most]
    if sum(each.dense for each in found) < _MOST * dense or most == _BOTH:
        return []
    plan = f"dcz plan {model} --target-ratio 8 -o recipe.toml"
    if most == _DENSE:
        what = f"why: dense weights{_noise(found)}; {_limit(stored, dense)}"
        if sum(each.dense for each in found if each.real and each.weights >= _LEAST) < _MOST * dense:
            return [what] if any(each.weights >= _LEAST for each in found) else []
        return [what, f"to prune and cluster them: {plan}"]
    weights, nonzeros = sum(each.weights for each in found), sum(each.nonzeros for each in found)
    if most == _PRUNED:
        kept = f"{100 * nonzeros / weights:.0f}% of the weights are not zero"
        return [f"why: pruned, not clustered: {kept}{_noise(found)}", f"to cluster them: {plan}"]
    return ["why: clustered, not pruned: every weight takes a cluster index", f"to prune them, too: {plan}"]


def _noise(facts: list[Facts]) -> str:
    """How much of every value is noise."""
    values, noise = sum(each.nonzeros for each in facts), sum(each.noise for each in facts)
    stored = sum(each.weights if each.kind == _DENSE else each.nonzeros for each in facts)
    width = 8 * sum(each.dense for each in facts) / max(sum(each.weights for each in facts), 1)
    bits = 8 * noise / max(stored, 1)
    return f", noise in {bits:.0f} of the {width:.0f} bits of each value" if values and bits >= 0.5 else ""


def _limit(stored: int, dense: int) -> str:
    if stored < dense:
        return f"{dense / max(stored, 1):.2f} times smaller is what lossless coding can do"
    return "lossless coding cannot make them smaller"


def grown(file: int, dense: int, stored: int) -> str | None:
    """Why a file is larger than the arrays in it; None where it is not."""
    if file <= dense:
        return None
    least = "" if stored >= dense else f", and the tensors shrank by {dense - stored:,} only"
    return (
        f"why: the index with names, shapes and checksums takes {file - stored:,} bytes{least}: "
        f"the file is {compared(file, dense)} the arrays"
    )
