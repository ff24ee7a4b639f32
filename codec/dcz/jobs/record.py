"""The record of a job beside its output, NAME.job.json: what is made, from what, and by which version.

    {"dcz": VERSION, "format": 1, "id": RANDOM, "state": "running" | "committed", "verb": "pack",
     "sources": {FILE: {"size": BYTES, "mtime_ns": ...}}, "options": {...}, "files": {FILE: {"size": BYTES, ...}}}

`files` are those of the output once all of them are made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dcz.container.shards import SUFFIX, ShardIndex
from dcz.errors import DczError, FormatError
from dcz.format.trailer import FORMAT_VERSION
from dcz.io.sources import is_url
from dcz.jobs import places
from dcz.jobs.tasks import persistently
from dcz.version import __version__

RUNNING, COMMITTED = "running", "committed"


@dataclass(slots=True)
class Record:
    """What identifies a job, and how far it is."""

    verb: str
    sources: dict[str, Any]
    options: dict[str, Any]
    dcz: str = __version__
    format: int = FORMAT_VERSION
    id: str = field(default_factory=lambda: os.urandom(6).hex())
    state: str = RUNNING
    files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, path: str) -> None:
        """Write the record over an older one."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        persistently(lambda: places.write_bytes(path, text.encode()))

    @staticmethod
    def read(path: str) -> Record | None:
        """Return the record of an earlier run; None where there is none."""
        data = persistently(lambda: places.read_bytes(path))
        if data is None:
            return None
        try:
            found = json.loads(data)
            record = Record(**found)
            whole = isinstance(record.sources, dict) and isinstance(record.options, dict) and record.id.isalnum()
            if not whole or any(not isinstance(file, dict) for file in record.files.values()):
                raise ValueError("fields of another kind")
        except (ValueError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: is not the record of a job ({error}); start anew with --force") from None
        return record

    def check(self, path: str, now: Record) -> None:
        """Refuse to resume a job of another source, with other options, or of another version."""
        anew = "start anew with --force"
        for name, mine, theirs in (("dcz", now.dcz, self.dcz), ("format version", now.format, self.format)):
            if mine != theirs:
                raise DczError(
                    f"{path}: the job was begun by {name} {theirs}, this is {mine}; finish it with that, or {anew}"
                )
        if self.verb != now.verb:
            raise DczError(f"{path}: the job is to {self.verb}, not to {now.verb}; {anew}")
        for file in {**self.sources, **now.sources}:
            before, found = self.sources.get(file), now.sources.get(file)
            if before != found:
                what = _changed(file, before, found)
                raise DczError(
                    f"{path}: the job was begun from another source: {what}; finish it with that source, or {anew}"
                )
        for key in {**self.options, **now.options}:
            one, other = self.options.get(key), now.options.get(key)
            if one != other:
                raise DczError(
                    f"{path}: the job was begun with {key} {_shown(one)}, found {_shown(other)}; "
                    f"resume with the same, or {anew}"
                )


def sources(path: str) -> dict[str, Any]:
    """Return the files that a model is read from, each with its fingerprint, by their names."""
    if not is_url(path) and os.path.isdir(path):
        files = [os.path.join(root, name) for root, _, names in os.walk(path) for name in names]
        return {os.path.relpath(file, path): places.fingerprint(file) for file in sorted(files)}
    found = {path.rpartition("/")[2]: places.fingerprint(path)}
    if path.lower().endswith(SUFFIX):
        index = ShardIndex.read(path)
        found |= {file: places.fingerprint(index.locate(file)) for file in index.files()}
    return found


def _changed(file: str, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    if before is None or now is None:
        return f"{file!r:.120} is " + ("not part of it" if before is None else "missing from this one")
    if before.get("size") != now.get("size"):
        return f"{file!r:.120} had {before.get('size')} bytes, it has {now.get('size')}"
    return f"{file!r:.120} has been written since"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def path_of(target: str) -> str:
    """Return where the record of a job at this target is, without `.job.json`.

    >>> path_of("s3://models/model.dcz.index.json")
    's3://models/model.dcz'
    """
    name = target.rpartition("/")[2] if is_url(target) else os.path.basename(target)
    return places.join(places.folder_of(target), name.removesuffix(SUFFIX))


def unfinished(target: str) -> bool:
    """Return whether a job at this path has begun and is not finished; of a URL nothing is asked."""
    if is_url(target):
        return False
    try:
        record = Record.read(path_of(target) + ".job.json")
    except (OSError, DczError):
        return False
    return record is not None and record.state != COMMITTED
