"""`pack` and `unpack` as jobs, which can be resumed, and which several machines can work at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dcz.container.shards import SUFFIX
from dcz.convert import WRITABLE, extension_of
from dcz.errors import DczError, UnsupportedError
from dcz.io.sources import is_url
from dcz.jobs.contents import Contents
from dcz.jobs.conversion import TASK_BYTES, Conversion, Done
from dcz.jobs.job import Progress
from dcz.jobs.runners import runner_for
from dcz.lossy.recipe import Recipe


def pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    client: Any = None,
    resume: bool = False,
    replace: bool = False,
    profile: str = "auto",
    portable: bool = False,
    recipe: Mapping[str, object] | str | os.PathLike[str] | None = None,
    keep_nonfinite: bool = False,
    base: str | os.PathLike[str] | None = None,
    base_hints: Mapping[str, object] | None = None,
    transform: str = "auto",
    shard_size: int | None = None,
    shapes: str | os.PathLike[str] | None = None,
    max_bytes: int | None = None,
    max_memory: int | None = None,
    threads: int | None = None,
    strict: bool = False,
    task_bytes: int = TASK_BYTES,
    progress: Progress | None = None,
) -> Done:
    """Pack a model as a job: one that can be resumed, and that several machines can work at. The files are those of
    `dcz pack`, byte for byte.

    Args:
        source: what `dcz pack` reads; a folder stands for the weights in it. All workers must see it under this name.
        target: a `.dcz` file or a `.dcz.index.json`: a path that all workers see, or a URL.
        client: a `distributed.Client`, whose workers do the work; without, this process does.
        resume: keep the files that an earlier run of the same job made, after checking their stored bytes, and make the
            others. Without an earlier run it begins one.
        replace: whether existing files may be replaced.
        profile, portable, recipe, keep_nonfinite, base, transform, shard_size, shapes, max_bytes, max_memory, threads,
            strict: as the options of `dcz pack`. Workers use one thread a task unless `threads` says otherwise.
        task_bytes: bytes of arrays that one task packs, if one tensor has not more.
        progress: called with (bytes done, bytes in all).

    Raises:
        DczError: another job writes to the same place; the earlier run was of another source, recipe or version;
            workers have another version; or some files could not be made: the error names them, the others are kept for
            `resume=True`.

    >>> import numpy, dcz, os, tempfile
    >>> from dcz import jobs
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.zeros(90), "b": numpy.ones(90)}, folder, shard_size=800)
    >>> done = jobs.pack(index, os.path.join(folder, "again.dcz.index.json"), shard_size=800)
    >>> done.files, done.kept
    (('again-00001-of-00002.dcz', 'again-00002-of-00002.dcz'), 0)
    """
    treatment = None if recipe is None else Recipe.parse(recipe)
    if portable and base is not None:
        raise DczError("portable: does not go with base")
    runner = runner_for(client)
    contents = Contents(
        profile=profile, portable=portable, threads=threads or (1 if runner.workers else None), max_bytes=max_bytes,
        max_memory=max_memory,
        shapes=None if shapes is None else os.fspath(shapes), recipe=None if treatment is None else treatment.to_dict(),
        keep_nonfinite=keep_nonfinite, base=None if base is None else os.fspath(base), transform=transform,
    )  # fmt: skip
    if extension_of(target, (".dcz", ".dcz" + SUFFIX)) is None:
        raise DczError(f"{os.fspath(target)}: the name of a packed file ends in .dcz")
    conversion = Conversion(
        source, target, contents, runner, shard_size, task_bytes if runner.workers else None, base_hints
    )
    return conversion.run("pack", resume, replace, strict, progress)


def unpack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    client: Any = None,
    resume: bool = False,
    replace: bool = False,
    shard_size: int | None = None,
    max_bytes: int | None = None,
    max_memory: int | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Done:
    """Unpack a model as a job, file by file; arguments and errors as of `pack`. The target is a path.

    >>> import numpy, dcz, os, tempfile
    >>> from dcz import jobs
    >>> folder = tempfile.mkdtemp()
    >>> index = dcz.save_sharded({"a": numpy.zeros(90), "b": numpy.ones(90)}, folder, shard_size=800)
    >>> jobs.unpack(index, os.path.join(folder, "model.safetensors")).files
    ('model.safetensors',)
    """
    if is_url(target):
        raise UnsupportedError(f"{target}: only dcz files are written to URLs; name a path that all workers see")
    if extension_of(target, WRITABLE) is None:
        raise UnsupportedError(
            f"{os.fspath(target)}: writing such a file is not supported; expected one of {', '.join(WRITABLE)}"
        )
    runner = runner_for(client)
    contents = Contents(max_bytes=max_bytes, max_memory=max_memory, threads=1 if runner.workers else None)
    return Conversion(source, target, contents, runner, shard_size, None, None).run(
        "unpack", resume, replace, strict, progress
    )
