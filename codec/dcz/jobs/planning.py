"""`plan` as a job: the workers measure tensors, and the plans are made from that here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dcz.convert import open_model
from dcz.convert.folder import in_folder
from dcz.jobs import opened
from dcz.jobs.checking import run_all
from dcz.jobs.contents import Contents, Wanted
from dcz.jobs.conversion import absolute, file_of
from dcz.jobs.job import Progress
from dcz.jobs.runners import runner_for
from dcz.jobs.tasks import Runner, Task
from dcz.lossy.moments import Calibration
from dcz.planning import Planned, Plans, Tries
from dcz.planning import plan as planned
from dcz.planning.points import Point, curve


def plan(
    model: str | os.PathLike[str],
    *,
    client: Any = None,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Planned | Plans:
    """Plan for a model in files, whose tensors are measured in tasks, one for each: arguments, result and errors as of
    `dcz.plan`, `client` as of `pack`. The plans are made here from what was measured, so here the model is in memory.

    >>> import numpy, dcz, os, tempfile
    >>> from dcz import jobs
    >>> w = numpy.random.default_rng(0).laplace(size=(128, 128)).astype("float32")
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcz")
    >>> _ = dcz.save_file({"w": w}, path)
    >>> jobs.plan(path, target_ratio=10).recipe == dcz.plan({"w": w}, target_ratio=10).recipe
    True
    """
    runner = runner_for(client)
    source = absolute(os.fspath(in_folder(model)))
    with open_model(source) as whole:
        files, aliases = file_of(whole, source), dict(whole.aliases)
        tensors = {tensor.name: np.asarray(whole.read(tensor.name)) for tensor in whole.tensors()}
    moments = None if calibration is None else calibration.renamed(aliases)
    return planned(tensors, measured=_Elsewhere(runner, files), calibration=moments, progress=progress, **options)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """Measures tensors in tasks."""

    runner: Runner
    files: Mapping[str, str]

    def __call__(
        self, names: list[str], tries: Tries, base: Mapping[str, object], profile: str, progress: Progress | None
    ) -> dict[str, list[Point]]:
        first = _Curve(Contents(), Wanted("", ""), tries, base, profile)
        tasks = {
            name: Task(f"plan:{name}", replace(first, wanted=Wanted(name, self.files[name])), (), 1) for name in names
        }
        try:
            ran = run_all(self.runner, list(tasks.values()), progress)
        finally:
            opened.close_all()
        return {name: ran.results[task.key] for name, task in tasks.items()}


@dataclass(frozen=True, slots=True)
class _Curve:
    """A task: one tensor is measured."""

    contents: Contents
    wanted: Wanted
    tries: Tries
    base: Mapping[str, object]
    profile: str

    def __call__(self) -> list[Point]:
        name, file = self.wanted
        array = np.asarray(self.contents.model(file).read(name))
        return curve(name, array, self.tries, self.base, self.profile)
