"""A job: a place that it writes to, its lock, its record, and the folder of what is made but not yet in place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

from dcz.container.shards import SUFFIX
from dcz.convert.shard_layout import of_the_same_model
from dcz.errors import DczError
from dcz.io.sources import is_url
from dcz.io.together import publish_together
from dcz.jobs import places
from dcz.jobs.finished import Check
from dcz.jobs.lock import Lock
from dcz.jobs.making import STAMP
from dcz.jobs.record import COMMITTED, Record, path_of
from dcz.jobs.tasks import Runner, Task, persistently


class Job:
    """A job that holds its lock, with the record of an earlier run if it resumes one.

    Beside the output NAME.dcz or NAME.dcz.index.json are NAME.dcz.job.json, the record; NAME.dcz.job.lock while a
    process works; and NAME.dcz.job-ID, a folder that goes when all is in place."""

    def __init__(self, target: str, record: Record, *, resume: bool, replace: bool) -> None:
        self.target = target
        self.folder = places.folder_of(target)
        base = path_of(target)
        self._path = base + ".job.json"
        self._lock = Lock(base + ".job.lock", target)
        try:
            self.record = self._found(record, resume, replace)
            self.scratch = f"{base}.job-{self.record.id}"
            places.make_folder(self.scratch)
        except BaseException as error:
            self._release(error)
            raise

    def _found(self, record: Record, resume: bool, replace: bool) -> Record:
        earlier = Record.read(self._path)
        if resume and earlier is not None:
            earlier.check(self._path, record)
            return earlier
        unfinished = earlier is not None and earlier.state != COMMITTED
        if unfinished and not replace:
            raise DczError(
                f"{self._path}: an earlier job is not finished; --resume goes on with it, --force starts anew"
            )
        if persistently(lambda: places.exists(self.target)) and not replace:
            raise DczError(f"{self.target}: already exists; use --force to replace it")
        if earlier is not None:
            stale = self._path.removesuffix(".json") + f"-{earlier.id}"
            persistently(lambda: places.remove_folder(stale))
        record.write(self._path)
        return record

    def path(self, file: str) -> str:
        """Return where a file of the output is made."""
        return places.join(self.scratch, file)

    def part(self, file: str, number: int) -> str:
        """Return where a part of a file is made."""
        return places.join(self.scratch, f"{file}.part-{number:05d}.dcz")

    def kept(self, runner: Runner, names: Mapping[str, frozenset[str]]) -> dict[str, str]:
        """Return the files that an earlier run made and that are whole, with their places; remove what is not whole.
        `names` are those that each file must have."""
        there = {*persistently(lambda: places.names(self.scratch))}
        committed = self.record.state == COMMITTED
        tasks = []
        for file, expected in names.items():
            stamp = self.record.files.get(file)
            found = [self.path(file)] if file in there else []
            if committed:
                found.append(places.join(self.folder, file))
            if found:
                if stamp is None and file + STAMP in there:
                    path = self.path(file) + STAMP
                    stamp = json.loads(persistently(partial(places.read_bytes, path)) or b"null")
                tasks.append((file, Task(f"check:{file}", Check(tuple(found), expected, stamp))))
        ran = runner.run([task for _, task in tasks], lambda nbytes: None)
        for error in ran.errors.values():
            raise error
        whole = {file: ran.results[task.key] for file, task in tasks if ran.results[task.key] is not None}
        for file in names.keys() & there - whole.keys():
            persistently(partial(places.remove, self.path(file)))
        return whole

    def committed(self, stamps: Mapping[str, Mapping[str, Any]]) -> None:
        """Note that all files are made, before the first is moved."""
        self.record.files = {file: dict(stamp) for file, stamp in stamps.items()}
        self.record.state = COMMITTED
        self.record.write(self._path)

    def finish(self) -> None:
        """Remove what only an unfinished job needs."""
        persistently(lambda: places.remove_folder(self.scratch))

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release(error)

    def _release(self, error: BaseException | None) -> None:
        """Let others write there. What made the job fail is told, not that the lock could not be removed after it."""
        try:
            self._lock.release()
        except (OSError, DczError):
            if error is None:
                raise


@dataclass(frozen=True, slots=True)
class Commit:
    """The last task: it moves the files to their places, and the index after them. It can be repeated."""

    scratch: str
    target: str
    files: tuple[str, ...]
    index: str | None
    extension: str
    source: str

    def __call__(self) -> None:
        folder, name = places.folder_of(self.target), self.target.rpartition("/")[2]
        stale = self._stale(folder, name)
        made = [file for file in self.files if places.exists(places.join(self.scratch, file))]
        if self.index is not None:
            places.write_bytes(places.join(self.scratch, name), self.index.encode())
        indexes = [] if self.index is None else [name]
        if not is_url(self.target) and len(made) == len(self.files):
            publish_together(self.scratch, folder, made, indexes)
        else:
            if self.index is not None and made:
                places.remove(self.target)  # never an index with files of two models
            for file in (*made, *indexes):
                places.move(places.join(self.scratch, file), places.join(folder, file))
        for path in stale:
            places.remove(path)

    def _stale(self, folder: str, name: str) -> list[str]:
        """Return files of an older model of the same name: other shards, and a single file that loaders would prefer.
        The source of this one stays."""
        if self.index is None or is_url(self.target):
            return []
        there = of_the_same_model(folder, name.removesuffix(SUFFIX).removesuffix(self.extension), self.extension)
        paths = [os.path.join(folder, file) for file in there if file not in self.files]
        source = self.source if os.path.exists(self.source) else None
        return [path for path in paths if source is None or not os.path.samefile(path, source)]


Progress = Callable[[int, int], None]
