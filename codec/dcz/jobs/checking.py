"""`verify` and `compare` as jobs: nothing is written, and what the workers find is put together here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from dcz.container.opening import open_file
from dcz.container.sharded import ShardedReader
from dcz.container.verification import Verified
from dcz.convert import open_model
from dcz.convert.blocks import values_of
from dcz.convert.folder import in_folder
from dcz.convert.model import Tensor
from dcz.deltas import verify as verify_file
from dcz.jobs import opened
from dcz.jobs.contents import Contents, Wanted
from dcz.jobs.conversion import TASK_BYTES, absolute, file_of
from dcz.jobs.job import Progress
from dcz.jobs.runners import runner_for
from dcz.jobs.tasks import Ran, Runner, Task, batches
from dcz.report import StorageReport
from dcz.report.comparison import MEASURING, Measured, assembled, measured


def verify(
    file: str | os.PathLike[str],
    *,
    client: Any = None,
    base: str | os.PathLike[str] | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Check every byte of a model in several files, a task for each; arguments and errors as of `dcz.verify` and
    `pack`.

    >>> import numpy, dcz, tempfile
    >>> from dcz import jobs
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.zeros(90), "b": numpy.ones(90)}, folder, shard_size=800)
    >>> jobs.verify(index).tensors
    2
    """
    runner = runner_for(client)
    path = absolute(os.fspath(in_folder(file)))
    with open_file(path) as reader:
        shards = reader.check_names() if isinstance(reader, ShardedReader) else None
        if shards is None:
            sizes = {path: sum(reader.info(name).nbytes for name in reader if name not in reader.aliases)}
        else:
            sizes = {shard: sum(nbytes) for shard, nbytes in shards.items()}
    against = None if base is None else absolute(os.fspath(base))
    tasks = [
        Task(f"verify:{shard.rpartition('/')[2]}", _Verify(shard, against, max_bytes, runner.workers), (), nbytes)
        for shard, nbytes in sizes.items()
    ]
    ran = run_all(runner, tasks, progress)
    found = Verified(0, 0, 0, 0)
    for task in tasks:
        found = Verified(*(a + b for a, b in zip(astuple(found), astuple(ran.results[task.key]))))
    return found


@dataclass(frozen=True, slots=True)
class _Verify:
    """A task: one file is checked."""

    file: str
    base: str | None
    max_bytes: int | None
    alone: bool

    def __call__(self) -> Verified:
        return verify_file(self.file, base=self.base, threads=1 if self.alone else None, max_bytes=self.max_bytes)


def compare(
    model: str | os.PathLike[str],
    *,
    client: Any = None,
    shapes: str | os.PathLike[str] | None = None,
    max_memory: int | None = None,
    task_bytes: int = TASK_BYTES,
    progress: Progress | None = None,
) -> StorageReport:
    """Compare exact sizes of each tensor in every layout; arguments and result as of `dcz.compare`, `client` as of
    `pack`.

    >>> import numpy, dcz, tempfile
    >>> from dcz import jobs
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.zeros(90), "b": numpy.ones(90)}, folder, shard_size=800)
    >>> jobs.compare(index).total("auto") == dcz.compare(index).total("auto")
    True
    """
    runner = runner_for(client)
    source = absolute(os.fspath(in_folder(model)))
    contents = Contents(shapes=None if shapes is None else absolute(os.fspath(shapes)), max_memory=max_memory)
    try:
        with open_model(source, shapes=contents.shapes) as whole:
            tensors = sorted(whole.tensors(), key=lambda tensor: tensor.name)
            files, aliases = file_of(whole, source), dict(whole.aliases)
        tasks = []
        for some in batches([tensor.nbytes for tensor in tensors], task_bytes):
            own = tensors[some.start : some.stop]
            wanted = tuple(Wanted(tensor.name, files[tensor.name]) for tensor in own)
            more = f" and {len(own) - 1} more" if len(own) > 1 else ""
            nbytes = sum(tensor.nbytes for tensor in own)
            tasks.append(Task(f"compare:{own[0].name}{more}", _Compare(contents, wanted, len(tensors)), (), nbytes))
        ran = run_all(runner, tasks, progress)
    finally:
        opened.close_all()
    found = [each for task in tasks for each in ran.results[task.key]]
    return assembled(os.fspath(model), found, aliases)


@dataclass(frozen=True, slots=True)
class _Compare:
    """A task: some tensors are measured."""

    contents: Contents
    wanted: tuple[Wanted, ...]
    count: int

    def __call__(self) -> list[Measured]:
        found = []
        known: dict[str, dict[str, Tensor]] = {}
        for name, file in self.wanted:
            model = self.contents.model(file)
            if file not in known:
                known[file] = {tensor.name: tensor for tensor in model.tensors()}
            values = values_of(model, known[file][name], max_memory=self.contents.max_memory, use=MEASURING)
            found.append(measured(name, values, self.count))
        return found


def run_all(runner: Runner, tasks: Sequence[Task], progress: Progress | None) -> Ran:
    """Run tasks; raise the error of the first that fails, in their order."""
    total, done = sum(task.nbytes for task in tasks), 0

    def report(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    ran = runner.run(tasks, report)
    errors: Mapping[str, Exception] = ran.errors
    for task in tasks:
        if task.key in errors:
            raise errors[task.key]
    return ran
