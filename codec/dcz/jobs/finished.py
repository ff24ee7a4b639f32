"""Whether a file that an earlier run made is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dcz import kernels
from dcz.container.file import OpenFile
from dcz.container.segments import stored_segment
from dcz.errors import DczError
from dcz.format.trailer import SIZE as TRAILER
from dcz.io.opening import open_source
from dcz.io.sources import read

# Bytes that are read at once.
_BLOCK = 8 << 20


def stamp_of(path: str) -> dict[str, Any]:
    """Return what identifies the content of a file: its size, and of a dcz file the trailer, whose checksum is of the
    index and so of all checksums; of others the CRC-32C of all bytes."""
    with contextlib.closing(open_source(path, sequential=True)) as source:
        if path.endswith(".dcz"):
            return {"size": source.size, "trailer": read(source, source.size - TRAILER, TRAILER).tobytes().hex()}
        crc = 0
        for at in range(0, source.size, _BLOCK):
            crc = kernels.active().crc32c(read(source, at, min(_BLOCK, source.size - at)), crc)
        return {"size": source.size, "crc32c": crc}


@dataclass(frozen=True, slots=True)
class Check:
    """A task: is the file at one of these places whole, with these names in it, and with this stamp if it is known?
    Returns the place; None if no file is."""

    paths: tuple[str, ...]
    names: frozenset[str]
    stamp: dict[str, Any] | None

    def __call__(self) -> str | None:
        return next((path for path in self.paths if is_whole(path, self.names, self.stamp)), None)


def is_whole(path: str, names: Collection[str], stamp: dict[str, Any] | None = None) -> bool:
    """Return whether a file is there, has these tensors and aliases, and every stored byte of it matches its checksum:
    in dcz files those in the file, in others the stamp's."""
    try:
        if not path.endswith(".dcz"):
            return stamp is not None and stamp_of(path) == stamp
        if stamp is not None and stamp_of(path) != stamp:
            return False
        with contextlib.closing(OpenFile(path, sequential=True)) as store:
            return _is_whole(store, names)
    except (DczError, FileNotFoundError):
        return False


def _is_whole(store: OpenFile, names: Collection[str]) -> bool:
    store.check_prelude()
    entries = store.index.entries.all()
    if {*entries, *store.index.aliases} != {*names}:
        return False
    for number, (name, entry) in enumerate(entries.items()):
        if entry.number == number:  # else it is the same as an earlier one
            store.check_padding(entry)
            for _ in stored_segment(store, name).parts():
                pass
    return True
