"""Step, or density and bit-width, of each tensor, chosen for a size, for an error, or for an accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import overload

import numpy as np

from dcz.errors import DczError
from dcz.lossy.moments import Calibration
from dcz.lossy.recipe import Recipe
from dcz.lossy.selection import select
from dcz.planning.curves import Measured, Progress
from dcz.planning.drafts import Costs, Draft, Drafts, OutOfReach
from dcz.planning.outcome import Planned, Plans, dense_bytes
from dcz.planning.points import Tries
from dcz.planning.scores import Evaluate, Scores
from dcz.planning.small import SMALL, small_names
from dcz.planning.targets import check_base, check_target
from dcz.tensor.choose import check_profile

# Keys that have no meaning, or another one, for a grid.
_KMEANS = {"init", "entropy"}


@overload
def plan(
    tensors: Mapping[str, np.ndarray],
    *,
    target_ratio: float | None = None,
    target_bytes: int | None = None,
    max_rel_error: float | None = None,
    max_drop: float | None = None,
    evaluate: Evaluate | None = None,
    validate: Evaluate | None = None,
    calibration: Calibration | None = None,
    steps: Iterable[float] | None = None,
    densities: Iterable[float] | None = None,
    n_bits: Iterable[int] | None = None,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    keep_nonfinite: bool = False,
    progress: Progress | None = None,
) -> Planned: ...
@overload
def plan(
    tensors: Mapping[str, np.ndarray],
    *,
    target_ratio: Iterable[float] | None = None,
    target_bytes: Iterable[int] | None = None,
    evaluate: Evaluate | None = None,
    validate: Evaluate | None = None,
    calibration: Calibration | None = None,
    steps: Iterable[float] | None = None,
    densities: Iterable[float] | None = None,
    n_bits: Iterable[int] | None = None,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    keep_nonfinite: bool = False,
    progress: Progress | None = None,
) -> Plans: ...
@overload
def plan(
    tensors: Mapping[str, np.ndarray],
    *,
    target_ratio: float | Iterable[float] | None = None,
    target_bytes: int | Iterable[int] | None = None,
    max_rel_error: float | None = None,
    max_drop: float | None = None,
    evaluate: Evaluate | None = None,
    validate: Evaluate | None = None,
    calibration: Calibration | None = None,
    steps: Iterable[float] | None = None,
    densities: Iterable[float] | None = None,
    n_bits: Iterable[int] | None = None,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    keep_nonfinite: bool = False,
    progress: Progress | None = None,
    measured: Measured | None = None,
) -> Planned | Plans: ...
def plan(
    tensors: Mapping[str, np.ndarray],
    *,
    target_ratio: float | Iterable[float] | None = None,
    target_bytes: int | Iterable[int] | None = None,
    max_rel_error: float | None = None,
    max_drop: float | None = None,
    evaluate: Evaluate | None = None,
    validate: Evaluate | None = None,
    calibration: Calibration | None = None,
    steps: Iterable[float] | None = None,
    densities: Iterable[float] | None = None,
    n_bits: Iterable[int] | None = None,
    recipe: Mapping[str, object] | None = None,
    names: Iterable[str] | None = None,
    profile: str = "auto",
    keep_nonfinite: bool = False,
    progress: Progress | None = None,
    measured: Measured | None = None,
) -> Planned | Plans:
    """Chooses a step, or a density and a bit-width, for each tensor by measurement, and gives the recipe.

    Every eligible tensor is rounded to the grid of each step, or pruned and clustered as asked, and sized by the codec
    (large ones on a sample), once for all targets. For a size, the plan minimises the sum over tensors of the squared
    relative error: by the slopes of the convex hulls, what costs the least per byte first (Shoham and Gersho 1988).
    With `evaluate` it also tries the sum of squared errors, for which one step for all tensors is the best, and of the
    score that each tensor loses alone, measured at four points, and keeps the plan that scores best. Then it tries
    steps by channel of the first and the last dimension, biases, norms and small weights in bfloat16, and codebooks
    rescaled, and keeps each that scores better in the same bytes. Plans are made, and corrected by the file's size.

    Args:
        tensors: names to numpy arrays; they stay as they are.
        target_ratio: dense bytes per byte of the file, at least. Of several, each gets a plan.
        target_bytes: bytes of the file, at most. Of several, each gets a plan.
        max_rel_error: for each tensor the smallest size at which the root of the sum of squared errors is at most
            this fraction of that of the squared weights.
        max_drop: the smallest file whose score is at most this below that of the tensors given; needs `evaluate`.
        evaluate: takes tensors, gives a score, larger is better: an accuracy. What it raises passes through.
        validate: a score on other samples than those of `evaluate`, of the final plans alone: a plan that was searched
            on a score looks better on it than it is.
        calibration: second moments of layers' inputs (`dcz.torch.calibrate`, `dcz.onnx.calibrate`). Then the relative
            error of each layer's outputs counts, also for `max_rel_error`, where `compress` rounds its weights with
            error feedback by the same calibration. The recipe asks for it.
        steps: of a grid, in units of each tensor's root mean square. Without `steps`, `densities` and `n_bits`, 26 of
            them are tried, and a few densities for sizes that no grid reaches.
        densities, n_bits: every density is tried with every number of bits of k-means. 1.0 stands for no pruning.
        recipe: keys for all tensors, as `init`, `entropy` and `weight_threshold`; the first two go with k-means, which
            is tried then.
        names: names or patterns of the tensors to plan for; others are left alone.
        profile: as in `save_file`.
        keep_nonfinite: leaves tensors with NaN or infinity alone instead of refusing them.
        progress: called with (tensors measured, tensors in all).
        measured: measures tensors elsewhere, as `dcz.jobs.plan` does on workers: takes names, what is tried, the
            recipe's common keys, the profile and `progress`, and returns the points of each name.

    Returns:
        A plan; of several sizes `Plans`, a tuple of them from the largest file to the smallest. Without a size that
        cannot be made, unless none can. A plan's `warnings` say so, and where outputs fall apart, where a score is not
        monotone, and where `validate` contradicts it.

    Raises:
        DczError: invalid arguments, a score that is not a finite number, or a target that cannot be met; the error says
            what can.

    >>> import numpy, dcz
    >>> w = numpy.random.default_rng(0).laplace(size=(128, 128)).astype("float32")
    >>> planned = dcz.plan({"w": w, "bias": w[0]}, target_ratio=10, densities=[1, 0.3, 0.1], n_bits=[2, 4])
    >>> planned.ratio >= 10, list(planned.recipe["tensors"])
    (True, ['w'])
    >>> small = dcz.compress({"w": w, "bias": w[0]}, planned.recipe)
    """
    check_profile(profile)
    targets = check_target(target_ratio, target_bytes, max_rel_error, max_drop)
    for field, value in (("max_drop", max_drop), ("validate", validate)):
        if value is not None and evaluate is None:
            raise DczError(f"{field}: needs evaluate, a function from tensors to a score")
    base = check_base(recipe)
    if recipe is not None:
        Recipe.parse(recipe).check_calibration(calibration is not None)
    if calibration is not None:
        calibration.check(tensors)
    tries = Tries.of(steps, densities, n_bits, kmeans=bool(base.keys() & _KMEANS))
    threshold = base.get("weight_threshold", SMALL)
    chosen, skipped = select(tensors, names, threshold, keep_nonfinite)  # type: ignore[arg-type]
    if not chosen:
        raise DczError("tensors: none is eligible; see names and weight_threshold")
    scores = None if evaluate is None else Scores(evaluate, tensors)
    validation = None if validate is None else Scores(validate, tensors, "validate")
    drafts = Drafts(tensors, base, profile, keep_nonfinite, scores, validation, calibration, measured)
    drafts.curves.measure(chosen, tries, progress)
    if scores is not None and names is None:
        drafts.measure_small(small_names(tensors, skipped))
    if max_rel_error is not None:
        return drafts.planned(drafts.draft(drafts.by_error(max_rel_error)))
    costs = drafts.costs()
    if max_drop is not None:
        return drafts.planned(drafts.by_drop(costs, max_drop))
    dense = dense_bytes(tensors)
    wanted = [target if target_ratio is None else int(dense / target) for target in targets]
    if isinstance(target_ratio if target_bytes is None else target_bytes, Iterable):
        return _all(drafts, costs, sorted(wanted, reverse=True))
    return _best(drafts, costs, int(wanted[0]))


def _all(drafts: Drafts, costs: Sequence[Costs], wanted: Iterable[float]) -> Plans:
    """A plan for each size; the last one says of smaller ones that cannot be made."""
    found: list[Planned] = []
    for nbytes in wanted:
        try:
            found.append(_best(drafts, costs, int(nbytes)))
        except OutOfReach as error:
            if not found:
                raise
            return Plans([*found[:-1], replace(found[-1], warnings=(*found[-1].warnings, str(error)))])
    return Plans(found)


def _best(drafts: Drafts, costs: Iterable[Costs], wanted: int) -> Planned:
    """Of the plans for a size by each of the costs that of the best score, improved by what else scores better."""
    best: Draft | None = None
    for each in costs:
        draft = drafts.by_size(each, wanted)
        if best is None or drafts.score(draft) > drafts.score(best):
            best = draft
    assert best is not None
    return drafts.planned(best if drafts.scores is None else drafts.improved(best, wanted))
