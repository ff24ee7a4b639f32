"""A model that is made from another in tasks: each file of the output, its parts, and a last task that puts all in
place."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dcz.container.shards import SUFFIX, ShardIndex
from dcz.convert import WRITABLE, extension_of, open_model
from dcz.convert.folder import in_folder
from dcz.convert.model import Model, Tensor, check_not_empty, extensions
from dcz.convert.shard_layout import ShardFile, ShardLayout, stem_of
from dcz.convert.shards import ShardedModel
from dcz.convert.transfers import check_nothing_left_out
from dcz.delta.renames import Renames
from dcz.errors import DczError, UnsupportedError
from dcz.io.sources import is_url
from dcz.jobs import opened, places
from dcz.jobs.contents import Contents, Wanted
from dcz.jobs.finished import stamp_of
from dcz.jobs.job import Commit, Job, Progress
from dcz.jobs.making import DczFile, Made, OtherFile, Part
from dcz.jobs.record import Record, sources
from dcz.jobs.tasks import Ran, Runner, Task, batches, persistently
from dcz.lossy.compression import TensorReport
from dcz.lossy.recipe import Recipe
from dcz.models import tensors_of
from dcz.text import plural

# Bytes of arrays that one task packs, if one tensor has not more: enough that a scheduler's share is small, few enough
# that little is lost with a worker.
TASK_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Done:
    """What a job did: counts as of `dcz.convert.Transfer`; the files of the output; how many of them an earlier run had
    made (`kept`); and what a recipe did to the tensors of the others."""

    tensors: int
    aliases: int
    nbytes: int
    files: tuple[str, ...]
    kept: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    reports: Mapping[str, TensorReport] = field(default_factory=dict)


class Conversion:
    """A model to be made from another, as tasks."""

    def __init__(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        contents: Contents,
        runner: Runner,
        shard_size: int | None,
        task_bytes: int | None,
        hints: Mapping[str, object] | None,
    ) -> None:
        self.source = absolute(os.fspath(in_folder(source)))
        self.target = absolute(os.fspath(target))
        shapes = None if contents.shapes is None else absolute(contents.shapes)
        base = None if contents.base is None else absolute(contents.base)
        self.contents = replace(contents, shapes=shapes, base=base)
        self.runner, self.shard_size, self.task_bytes = runner, shard_size, task_bytes
        self.hints = hints
        self.extension = extension_of(target, WRITABLE) or ""
        self.sharded = self.extension.endswith(SUFFIX)
        if shard_size is not None and not self.sharded:
            raise DczError(f"{self.target}: a shard size is for several files; name their index")

    def run(self, verb: str, resume: bool, replace: bool, strict: bool, progress: Progress | None) -> Done:
        """Do the job."""
        record = Record(verb, persistently(self._sources), self._options())
        # Before the job begins: what is refused here leaves nothing at the target, and no job to go on with.
        layout, files, about, aliases, left_out = persistently(lambda: self._planned(strict))
        with Job(self.target, record, resume=resume, replace=replace) as job:
            try:
                kept = job.kept(self.runner, {file.name: _names(file) for file in layout.files})
                ran = self._run(job, layout, files, about, kept, progress)
                self._commit(job, layout, kept, ran)
            finally:
                opened.close_all()
        tensors = [tensor for file in layout.files for tensor in file.tensors]
        reports: dict[str, TensorReport] = {}
        for result in ran.results.values():
            reports |= result.reports if isinstance(result, Made) else result
        return Done(
            len(tensors), aliases, sum(tensor.nbytes for tensor in tensors),
            tuple(file.name for file in layout.files), len(kept), left_out, dict(sorted(reports.items())),
        )  # fmt: skip

    def _planned(self, strict: bool) -> tuple[ShardLayout, dict[str, str], dict[str, object], int, dict[str, str]]:
        """Return the files to make, each tensor's file, extensions, the number of aliases, and what is left out."""
        with open_model(self.source, shapes=self.contents.shapes, max_bytes=self.contents.max_bytes) as model:
            check_not_empty(model, self.source)
            left_out = dict(getattr(model, "left_out", {}))
            if strict:
                check_nothing_left_out(left_out)
            files = file_of(model, self.source)
            return self._layout(model), files, dict(extensions(model)), len(model.aliases), left_out

    def _sources(self) -> dict[str, Any]:
        found = sources(self.source)
        if self.contents.base is not None:
            found |= {f"base: {name}": value for name, value in sources(self.contents.base).items()}
        return found

    def _options(self) -> dict[str, Any]:
        """What decides bytes; threads do not."""
        own = self.contents
        return {
            "profile": own.profile, "portable": own.portable, "recipe": own.recipe,
            "keep_nonfinite": own.keep_nonfinite, "transform": own.transform, "shard_size": self.shard_size,
        }  # fmt: skip

    def _layout(self, model: Model) -> ShardLayout:
        tensors = sorted(model.tensors(), key=lambda tensor: tensor.name)
        self._check_recipe(tensors)
        metadata = {**model.metadata, "base": dict(self.hints)} if self.hints else dict(model.metadata)
        if self.sharded:
            extension = self.extension.removesuffix(SUFFIX)
            stem = stem_of(self.target, extension)
            return ShardLayout.of(stem, extension, tensors, model.aliases, metadata, self.shard_size)
        name = self.target.rpartition("/")[2]
        return ShardLayout([ShardFile(name, tensors, dict(model.aliases))], metadata, {}, True)

    def _check_recipe(self, tensors: Sequence[Tensor]) -> None:
        if self.contents.recipe is None:
            return
        recipe = Recipe.parse(self.contents.recipe)
        names = [tensor.name for tensor in tensors]
        recipe.check(names)
        if recipe.calibrated:
            raise UnsupportedError(
                "recipe: calibration: tasks see one tensor each, while biases change with their layers; pack without "
                "--scheduler and --resume, with --calibration FILE"
            )
        for name in names:
            pruning = recipe.settings(name).pruning
            if pruning is not None and pruning.scope == "global":
                raise UnsupportedError(
                    "recipe: scope: a global density counts the weights of all tensors in order, which tasks cannot; "
                    "pack without --scheduler and --resume, or give each tensor its density (dcz plan)"
                )

    def _run(
        self,
        job: Job,
        layout: ShardLayout,
        files: Mapping[str, str],
        about: Mapping[str, object],
        kept: Mapping[str, str],
        progress: Progress | None,
    ) -> Ran:
        total = sum(file.nbytes for file in layout.files)
        done = sum(file.nbytes for file in layout.files if file.name in kept)

        def report(nbytes: int) -> None:
            nonlocal done
            done += nbytes
            if progress is not None:
                progress(done, total)

        report(0)
        tasks: list[Task] = []
        owners: dict[str, str] = {}
        for file in layout.files:
            if file.name not in kept:
                of_file = self._tasks(job, layout, file, files, about)
                owners |= {task.key: file.name for task in of_file}
                tasks += of_file
        ran = self.runner.run(tasks, report)
        if ran.errors:
            raise self._failed(ran, owners, len(layout.files), len(kept))
        return ran

    def _tasks(
        self,
        job: Job,
        layout: ShardLayout,
        file: ShardFile,
        files: Mapping[str, str],
        about: Mapping[str, object],
    ) -> list[Task]:
        """Return the tasks that make a file: the last of them the file itself."""
        wanted = tuple(Wanted(tensor.name, files[tensor.name]) for tensor in file.tensors)
        path, key = job.path(file.name), f"write:{file.name}"
        if not file.name.endswith(".dcz"):
            described = tuple((tensor.name, tensor.dtype.code, tensor.shape) for tensor in file.tensors)
            work = OtherFile(self.contents, wanted, described, file.aliases, layout.metadata, path)
            return [Task(key.replace("write", "unpack", 1), work, (), file.nbytes)]
        ranges = [] if self.task_bytes is None else batches([tensor.nbytes for tensor in file.tensors], self.task_bytes)
        if len(ranges) < 2 or self._renamed(file):
            made = DczFile(self.contents, wanted, file.aliases, layout.metadata, about, path)
            return [Task(key.replace("write", "pack", 1), made, (), file.nbytes)]
        tasks, parts = [], []
        among = (*_names(file),) if self.contents.base is not None else ()
        for number, some in enumerate(ranges, 1):
            part = job.part(file.name, number)
            own = wanted[some.start : some.stop]
            nbytes = sum(tensor.nbytes for tensor in file.tensors[some.start : some.stop])
            parts.append((part, len(own)))
            tasks.append(Task(_title(own), Part(self.contents, own, among, part, path), (), nbytes))
        whole = DczFile(self.contents, wanted, file.aliases, layout.metadata, about, path, tuple(parts))
        return [*tasks, Task(key, whole, tuple(task.key for task in tasks))]

    def _renamed(self, file: ShardFile) -> bool:
        """Whether tensors of this file may be those of the base under other names, which are given out in order."""
        if self.contents.base is None:
            return False
        with tensors_of(self.contents.base) as base:
            names = _names(file)
            return bool(Renames(base, names).left) and any(name not in base for name in names)

    def _commit(self, job: Job, layout: ShardLayout, kept: Mapping[str, str], ran: Ran) -> None:
        stamps: dict[str, Mapping[str, Any]] = dict(job.record.files)
        for file in layout.files:
            result = next(
                (
                    ran.results[key]
                    for key in (f"write:{file.name}", f"pack:{file.name}", f"unpack:{file.name}")
                    if key in ran.results
                ),
                None,
            )
            if isinstance(result, Made):
                stamps[file.name] = result.stamp
            elif file.name not in stamps:
                stamps[file.name] = stamp_of(kept[file.name])
        in_place = all(path == places.join(job.folder, file) for file, path in kept.items())
        if not ran.results and in_place and persistently(lambda: places.exists(self.target)):
            job.finish()
            return
        job.committed(stamps)
        index = layout.index({file: stamp["size"] for file, stamp in stamps.items()}) if self.sharded else None
        extension = self.extension.removesuffix(SUFFIX)
        commit = Commit(job.scratch, self.target, tuple(stamps), index, extension, self.source)
        done = self.runner.run([Task(f"commit:{self.target.rpartition('/')[2]}", commit)], lambda nbytes: None)
        for error in done.errors.values():
            raise error
        job.finish()

    def _failed(self, ran: Ran, owners: Mapping[str, str], count: int, kept: int) -> DczError:
        """Return the error for files that could not be made: the first one's, and how the others are."""
        failed: dict[str, Exception] = {}
        for key, error in ran.errors.items():
            failed.setdefault(owners[key], error)
        file, error = min(failed.items())
        made = kept + sum(isinstance(result, Made) for result in ran.results.values())
        more = plural(len(failed) - 1, "more file fails", "more files fail")
        others = f" (and {more}: {', '.join(sorted(failed)[1:4])})" if len(failed) > 1 else ""
        kind = type(error) if isinstance(error, DczError) and type(error).__init__ is DczError.__init__ else DczError
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        return kind(
            f"{file}: {said or type(error).__name__}{others}; {made} of "
            f"{plural(count, 'file is', 'files are')} made; --resume makes the others"
        )


def file_of(model: Model, source: str) -> dict[str, str]:
    """Return the file of each tensor, which a worker opens alone: a shard of the source where that is possible."""
    if type(model) is not ShardedModel:
        return {tensor.name: source for tensor in model.tensors()}
    index = ShardIndex.read(source)
    return {name: index.locate(file) for name, file in index.weight_map.items()}


def _names(file: ShardFile) -> frozenset[str]:
    return frozenset((*(tensor.name for tensor in file.tensors), *file.aliases))


def _title(wanted: Sequence[Wanted]) -> str:
    """The name of a task for these tensors, as people read it."""
    more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
    return f"pack:{wanted[0].name}{more}"


def absolute(path: str) -> str:
    return path if is_url(path) else os.path.abspath(path)
